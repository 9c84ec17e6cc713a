"""Does a contrastive model name the object or the ground? As Waterbirds, with the ground swapped.

Ranasinghe et al. 2022 (arXiv 2210.09996), section 4.5, on Waterbirds (Sagawa et al. 2020). Scenes
are drawn, so the same object is also shown on the other ground, pixel for pixel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ...arguments import checked
from ...data import Grounded, Sample
from ...data.scenes import AT_HOME, GROUNDS
from ...encoders import TwoTower, check_unseen, small_names
from ...encoders.comparison import OBJECTIVES
from ...errors import InputError
from ...grouping import check_different
from .._executor import Example, Rows
from .._models import describe, shown_name
from .._needs import Need
from .._study import Study
from .._training_runs import run_columns
from ..group.subjects import Grouped, opened
from ..summary import Record
from .summary import COLUMNS

KINDS = tuple(kind for ground in GROUNDS for kind in AT_HOME[ground])


@checked
def grounded_specs(folder: str) -> tuple[str, ...]:
    """Returns the encoders in a folder that were trained on grounds, all seeds of each.

    Raises:
        InputError: there is no such folder, or no such encoder in it.
    """
    grounded = [name for name, objective in OBJECTIVES.items() if objective.grounded]
    specs = small_names(folder, grounded)
    if not specs:
        raise InputError(
            f"{folder}: expected encoders that were trained on grounds, got none: train them with "
            "`retinoscope train encoders`"
        )
    return specs


@dataclass(frozen=True)
class _GroundContext:
    towers: tuple[tuple[Record, TwoTower, np.ndarray], ...]
    """Columns of a model, the model, and the vectors of its prompts."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SpuriousGround(Study[_GroundContext]):
    """Zero-shot naming of a scene's object, on the ground it goes with and on the other.

    Every scene is shown twice, with the same objects on both grounds: of the kinds that go with a
    ground (`retinoscope.data.scenes.AT_HOME`), which does the most similar prompt name? "correct"
    is the kind itself, "side_correct" a kind of the same side. Groups are side x ground.

    Args:
        vlm: a contrastive model, or the name of one.
        samples: `retinoscope.data.grounded(n, correlation=None)`, which is balanced.
        encoders: further models; training runs of one objective are estimated together.
    """

    encoders: tuple[Any, ...] = ()

    name: ClassVar[str] = "spurious"
    opens: ClassVar[bool] = True
    needs: ClassVar[str] = "scenes on grounds (grounded:N)"
    uses: ClassVar[tuple[Need, ...]] = (Need("objects", "objects", "objects on grounds"),)
    schema: ClassVar[int] = 2
    columns: ClassVar[tuple[str, ...]] = tuple(COLUMNS)

    def _check(self) -> None:
        # A worker replaces an empty sequence by its own samples.
        if len(self.samples) and not isinstance(self.samples, Grounded):
            raise InputError(
                "expected scenes whose ground can be swapped, got other data: give grounded:N"
            )

    def _given(self) -> Sequence[object]:
        return (self.vlm, *self.encoders)

    def _check_model(self) -> None:
        for model in self._models:
            if not isinstance(model, TwoTower):
                raise InputError(
                    f"{describe(model)[0]}: expected a contrastive model, got one without texts"
                )
        check_unseen((describe(model)[0] for model in self._models), self.samples)

    def studied(self) -> tuple[Grouped, ...]:
        return self._models

    @cached_property
    def _models(self) -> tuple[Grouped, ...]:
        return opened((self.vlm, *self.encoders))

    def asks(self, sample: Sample) -> Mapping[str, int]:
        return {"objects": len(sample.objects)}

    def _parameters(self) -> dict[str, object]:
        return {
            "n_examples": self.n_examples,
            "encoders": [list(describe(model)[:2]) for model in self._models[1:]],
        }

    def _prepare(self, readable: Sequence[Sample]) -> _GroundContext:
        towers = []
        for model in self._models:
            assert isinstance(model, TwoTower)
            vectors = model.text(model.prompts(KINDS))
            check_different(vectors, KINDS)
            named = {"model": shown_name(model.name)} | run_columns(model.encoder)
            towers.append((named, model, vectors))
        return _GroundContext(tuple(towers))

    def _rows(
        self, context: _GroundContext, index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        assert isinstance(self.samples, Grounded)
        kind = sample.objects[sample.meta["target"]].name
        side = sample.meta["side"]
        other = self.samples.on_other_ground()[index]
        rows: Rows = []
        for shown in (sample, other):
            for named, tower, vectors in context.towers:
                predicted = KINDS[int((vectors @ tower.image(shown.image)).argmax())]
                rows.append(
                    {
                        "sample": sample.id,
                        **named,
                        "side": side,
                        "ground": shown.meta["ground"],
                        "correct": predicted == kind,
                        "side_correct": predicted in AT_HOME[side],
                    }
                )
        return rows, []
