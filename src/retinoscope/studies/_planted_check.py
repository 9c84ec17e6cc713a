"""What a method finds on the planted models, whose mechanism is known.

A method that cannot tell two models apart that work differently does not measure the difference,
whatever figures it draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import whole
from ..data import Sample, squares
from ..engine import load
from ..errors import InputError
from ..pocket.planted import PLANTED, PREFIX
from ._planted_maps import map_checks
from ._tables import Cell
from .ablation.study import TokenAblation
from .flow.study import InformationFlow
from .group.planted import planted_grouping
from .knockout.study import AttentionKnockout
from .lens.study import LogitLens
from .probe.planted import planted_probe

if TYPE_CHECKING:
    from ..engine import VLM
    from ._study import Study

_MOST = 32
"""Visual tokens, of 36, without which hardly anything is left to see."""

Measured = Mapping[str, float | None]
"""Measure -> its value from 0 to 1; None where it is undefined."""

TOLD = 0.5
"""Two models are told apart by a measure that differs by at least this much."""
PAIRS = (
    ("via-query", "direct"),
    ("one-hot-patch", "global-broadcast"),
    *((name, "blind") for name in ("via-query", "direct", "one-hot-patch", "global-broadcast")),
)
"""Models that differ in how words reach the answer, in what a visual token holds, in whether the
image is seen at all."""


@dataclass(frozen=True)
class PlantedCheck:
    """The table of one method.

    Attributes:
        measured: model -> measure -> value.
    """

    method: str
    n: int
    measured: Mapping[str, Measured]

    @property
    def told(self) -> dict[tuple[str, str], str | None]:
        """For each of `PAIRS` the measure that differs most if it does by `TOLD`, else None."""
        found: dict[tuple[str, str], str | None] = {}
        for one, other in PAIRS:
            gaps = {
                name: abs(value - theirs)
                for name, value in self.measured[one].items()
                if value is not None and (theirs := self.measured[other][name]) is not None
            }
            best = max(gaps, key=lambda name: gaps[name], default=None)
            found[one, other] = best if best is not None and gaps[best] >= TOLD else None
        return found

    def __str__(self) -> str:
        measures = list(next(iter(self.measured.values())))
        wide = max(map(len, self.measured))
        lines = [f"{self.method} on the planted models, {self.n} images of squares", ""]
        lines += [f"  ({number}) {name}" for number, name in enumerate(measures, 1)]
        heads = "".join(f"{f'({number})':>8}" for number in range(1, len(measures) + 1))
        lines += ["", f"  {'':<{wide}}{heads}"]
        for model, values in self.measured.items():
            cells = ("-" if value is None else f"{value:.2f}" for value in values.values())
            lines.append(f"  {model:<{wide}}" + "".join(f"{cell:>8}" for cell in cells))
        lines.append("")
        for (one, other), by in self.told.items():
            told = "does not tell" if by is None else "tells"
            end = "" if by is None else f" by ({measures.index(by) + 1})"
            lines.append(f"  {told} {one} from {other}{end}")
        return "\n".join(lines)


def check_planted(method: str, n: int = 24, seed: int = 0) -> PlantedCheck:
    """Runs a method on every planted model.

    Args:
        method: of `CHECKS`.
        n: images of squares; ten times as many for what has to be trained first.
        seed: of the images.

    Raises:
        InputError: no such method, or no images.
    """
    if method not in CHECKS:
        raise InputError(f"expected a method ({', '.join(CHECKS)}), got {method!r}")
    n = whole(n, "images", 1) * _IMAGES.get(method, 1)
    samples = squares(n, seed)
    return PlantedCheck(
        method, n, {name: CHECKS[method](load(PREFIX + name), samples) for name in PLANTED}
    )


def _summary(study: Study) -> list[dict[str, Cell]]:
    with TemporaryDirectory() as folder:
        return study.run(Path(folder) / "run").summary().to_pylist()


def _value(rows: Sequence[Mapping[str, Cell]], column: str, **where: Cell) -> float | None:
    """The largest value of a column in the rows that have these values."""
    found = [
        float(value)
        for row in rows
        if all(row[name] == wanted for name, wanted in where.items())
        and (value := row[column]) is not None
    ]
    return max(found, default=None)


def _flow(vlm: VLM, samples: Sequence[Sample]) -> Measured:
    through, direct, objects = "image:query", "image:generated", "object:query,object:generated"
    rows = _summary(
        InformationFlow(
            vlm,
            samples,
            edges=(through, direct, objects),
            readings=("generated",),
            layers=("all",),
            controls=False,
            untrained=False,
        )
    )
    described = [row for row in rows if row["task"] == "description"]
    change = _value(rows, "probability_change", task="question", edges=objects)
    return {
        "F1 of the objects named without image -> query": _value(described, "f1", edges=through),
        "F1 of the objects named without image -> generated": _value(described, "f1", edges=direct),
        "loss of the answer's probability without object -> text": _negative(change),
    }


def _knockout(vlm: VLM, samples: Sequence[Sample]) -> Measured:
    rows = _summary(
        AttentionKnockout(
            vlm,
            samples,
            sources=("visual", "object"),
            targets=("last", "question"),
            windows=("all",),
        )
    )
    return {
        f"relative accuracy without {source} -> {target}": _value(
            rows, "accuracy", token_set=source, target=target
        )
        for source, target in (("visual", "question"), ("visual", "last"), ("object", "last"))
    }


def _ablation(vlm: VLM, samples: Sequence[Sample]) -> Measured:
    rows = _summary(
        TokenAblation(
            vlm,
            samples,
            tasks=("generative",),
            modes=("corrected",),
            conditions=("object", "random"),
            sizes=(_MOST,),
        )
    )
    return {
        "words lost without the object's tokens": _value(rows, "decrease", token_set="object"),
        f"words lost without {_MOST} random visual tokens of 36": _value(
            rows, "decrease", token_set="random", n_drawn=_MOST
        ),
    }


def _lens(vlm: VLM, samples: Sequence[Sample]) -> Measured:
    rows = _summary(LogitLens(vlm, samples, untrained=False))
    return {
        **{
            f"{group} tokens that name the object at their best layer": _value(
                rows, "share", group=group, measure="strict"
            )
            for group in ("object", "background")
        },
        "object tokens that name any object at their best layer": _value(
            rows, "share", group="object", measure="any_kind"
        ),
        "question's tokens that name an object of the image": _question_lens(vlm, samples),
    }


def _question_lens(vlm: VLM, samples: Sequence[Sample]) -> float:
    """Share of the question's tokens whose most probable word is in the image, at the best layer.

    The words that the blind model always says do not count where they happen to be there: it is
    the last position that says them, which is left out.
    """
    shares = []
    for sample in samples:
        run = vlm.run(vlm.prompt(sample.image, sample.questions[0].question))
        asked = run.positions["question"]
        top = run.lens(top_k=1, positions=asked).ids[..., 0]
        present = {vlm.tokenizer.encode(obj.name)[-1] for obj in sample.objects}
        shares.append([[token in present for token in layer] for layer in top.tolist()])
    return float(np.array(shares).mean((0, 2)).max())


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


CHECKS: dict[str, Callable[[VLM, Sequence[Sample]], Measured]] = {
    "flow": _flow,
    "knockout": _knockout,
    "ablation": _ablation,
    "lens": _lens,
    "probe": planted_probe,
    "group": planted_grouping,
    **map_checks(),
}
"""Method -> what it measures on one model."""
_IMAGES = {"probe": 10}
"""Method -> how many times as many images it needs."""
