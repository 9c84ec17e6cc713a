"""The lens's curves by layer, of each group of tokens at each cover, from its summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...report.blocks import Interval, Record
from ...report.rows import band, interval, pick, values
from ..runs import StudyRun
from .options import KINDS, MEASURES

OWN = ("object", "trained")
CONTROLS = (
    ("background", "trained", "background tokens"),
    ("shuffled", "trained", "another image's mask"),
    ("object", "untrained", "an untrained copy"),
    ("object", "random adapter", "a random adapter"),
    ("object", "untrained language", "an untrained language model"),
)
"""Group, weights and name of the curves compared with that of an object's tokens."""
PARTS = (("inner", "inner tokens"), ("border", "border tokens"))
"""The two groups into which an object's tokens are divided."""


@dataclass(frozen=True)
class Curve:
    """Share of tokens whose top-1 word is the object's name, by layer (0 = input embeddings).

    `bands` hold the whole curve at 95%, `points` one layer each.
    """

    layers: tuple[int, ...]
    points: tuple[Interval, ...]
    bands: tuple[Interval, ...]

    @property
    def best(self) -> int:
        return max(range(len(self.points)), key=lambda k: self.points[k].value)

    @property
    def peak(self) -> Interval:
        return self.points[self.best]


Curves = dict[tuple[str, str], Curve]
"""By group and weights."""


def curve_of(
    rows: Sequence[Record],
    group: str,
    weights: str,
    cover: float | None,
    metric: str = "strict",
    lens: str = "logit",
) -> Curve | None:
    """Returns one curve of a lens summary; None if the study did not measure it."""
    # Background tokens are the same at every cover.
    cover = None if group == "background" else cover
    points = [
        (int(layer), x, wide)
        for row in pick(rows, lens=lens, group=group, weights=weights, cover=cover, measure=metric)
        if isinstance(layer := row.get("layer"), int)
        and (x := interval(row, "share", "n_images"))
        and (wide := band(row, "share"))
    ]
    points.sort(key=lambda point: point[0])
    return Curve(*zip(*points, strict=True)) if points else None


def covers_of(run: StudyRun) -> list[float | None]:
    """Returns the study's covers, any overlap first; None if an older run does not record them."""
    recorded = values(pick(run.summary, group="object"), "cover")
    known = sorted(float(cover) for cover in recorded if cover is not None)
    return [*known] if known else [None]


def curves_of(run: StudyRun, cover: float | None, lens: str = "logit") -> Curves:
    """Returns a run's curves at one cover."""
    keys = (OWN, *((group, weights) for group, weights, _ in CONTROLS))
    return {key: curve for key in keys if (curve := curve_of(run.summary, *key, cover, lens=lens))}


def readings_of(run: StudyRun, cover: float | None, lens: str) -> dict[str, Curve]:
    """Returns the curves of an object's tokens under every rule of counting."""
    return {
        measure: curve
        for measure in MEASURES
        if (curve := curve_of(run.summary, *OWN, cover, measure, lens))
    }


def kinds_of(run: StudyRun) -> list[str]:
    """Returns the kinds of lens of a run, in the order of `KINDS`."""
    known = set(values(run.summary, "lens"))
    return [kind for kind in KINDS if kind in known]


def cover_name(cover: float | None) -> str:
    """Returns a cover in words: "any overlap", "at least half covered"."""
    if cover is None:
        return "the run's one cover"
    if cover == 0:
        return "any overlap"
    return f"at least {'half' if cover == 0.5 else f'{cover:.0%}'} covered"


def at_cover(cover: float | None) -> str:
    """Returns a cover in words to follow a share: "at any overlap", "at half cover"."""
    if cover is None:
        return ""
    return (
        "at any overlap" if cover == 0 else f"at {'half' if cover == 0.5 else f'{cover:.0%}'} cover"
    )
