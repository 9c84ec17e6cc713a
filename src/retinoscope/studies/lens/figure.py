"""Figures of the lens study."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...report.blocks import Figure, percent
from ...report.charts import SHARE, Axis, Look, Panel, Series, small_multiples
from ...report.style import BLUE, BROWN, GREEN, GREY, INK, MUTED, ORANGE, PURPLE, SKY
from ..runs import StudyRun
from .curves import OWN, Curve, Curves, cover_name, curves_of, kinds_of
from .options import LABELS
from .pretraining import READ

_LINES = {
    ("object", "trained"): ("object tokens", Look(BLUE, "-", "o")),
    ("background", "trained"): ("background tokens", Look(ORANGE, "--", "s")),
    ("shuffled", "trained"): ("another image's mask", Look(PURPLE, ":", "^")),
    ("object", "untrained"): ("untrained copy", Look(GREY, "-.", "D")),
    ("object", "random adapter"): ("random adapter", Look(BROWN, "--", "v")),
    ("object", "untrained language"): ("untrained language model", Look(GREEN, ":", "x")),
}
_READINGS = {
    "strict": ("its name", Look(BLUE, "-", "o")),
    "lenient": ("part of its name, or a synonym", Look(GREEN, "--", "s")),
    "colour": ("its colour", Look(ORANGE, "-.", "^")),
    "part": ("one of its parts", Look(SKY, "-", "+")),
    "any_kind": ("any object's name", Look(BROWN, ":", "D")),
    "piece": ("any piece of its name", Look(PURPLE, "--", "v")),
    "synonym": ("a synonym", Look(INK, ":", "x")),
    "near": ("near its name", Look(MUTED, "-", "P")),
    "near_other": ("near another object's name (control)", Look(GREY, "--", "")),
}
_KINDS = {
    "logit": Look(BLUE, "-", "o"),
    "embedding": Look(GREEN, "-", "s"),
    "tuned": Look(GREY, "-", "D"),
    "jacobian": Look(ORANGE, "-", "^"),
    "contextual": Look(PURPLE, "-", "v"),
    "patchscope": Look(BROWN, "-", "P"),
}
_NAMED = Axis(
    "tokens whose nearest word\nis the object's name", SHARE, (0, 0.25, 0.5, 0.75, 1), share=True
)
_LAYERS = Axis("layer (0 = what the decoder receives)", whole=True)


def kinds_figure(runs: Sequence[StudyRun], covers: Sequence[float | None]) -> Figure:
    """All kinds of lens on the same axes, a panel for each model and cover, with one control."""
    columns = _columns(len(runs), len(covers))
    panels: list[Panel | None] = []
    peaks = []
    for cover in covers:
        for run in runs:
            series = []
            for kind in kinds_of(run):
                curves, look = curves_of(run, cover, kind), _KINDS[kind]
                if own := curves.get(OWN):
                    points = list(zip(own.layers, own.bands, strict=True))
                    series.append(Series(LABELS[kind], points, look))
                    peaks.append(
                        f"{run.label}, {cover_name(cover)}, {LABELS[kind]} "
                        f"{percent(own.peak.value)} at layer {own.layers[own.best]}"
                    )
                if other := curves.get(("shuffled", "trained")):
                    plain = [replace(x, low=math.nan, high=math.nan) for x in other.points]
                    points = list(zip(other.layers, plain, strict=True))
                    series.append(Series("", points, look._replace(dash=":", mark="")))
            title = f"{run.label}\n{cover_name(cover)}"
            panels.append(Panel(series, title, note=READ.get(run.label, "")))
        panels += [None] * (-len(panels) % columns)
    return Figure(
        name="lens-kinds",
        svg=small_multiples(
            "lens-kinds", panels, _LAYERS, _NAMED, columns=columns, size=(9.2, 3.3), legend=3
        ),
        alt="Share of an object's tokens whose nearest word is its name, by layer and kind of "
        f"lens. Largest values: {'; '.join(peaks)}.",
        caption="Share of an object's tokens whose nearest word is its name, by layer and kind of "
        "lens. Dotted, in the same colour: the same names under another image's mask. Bands cover "
        "a whole curve with 95% confidence, over images.",
    )


def _columns(n_models: int, n_covers: int) -> int:
    """Panels side by side: the covers of one model, or two or three models."""
    return n_covers if n_models == 1 else 2 if n_models == 4 else min(n_models, 3)


def lens_figure(curves: Mapping[str, Mapping[float | None, Curves]], kind: str = "logit") -> Figure:
    """One panel for each model and cover, all on the same axis of shares."""
    name = "lens" if kind == "logit" else f"lens-{kind}"
    covers = list(next(iter(curves.values())))
    columns = _columns(len(curves), len(covers))
    break_ = ", " if len(curves) == 1 else "\n"
    panels: list[Panel | None] = []
    for cover in covers:
        panels += [
            Panel(
                _series(_LINES, of_model.get(cover, {})),
                f"{model}{break_}{cover_name(cover)}",
                note=READ.get(model, ""),
            )
            for model, of_model in curves.items()
        ]
        if len(curves) > 1:
            panels += [None] * (-len(panels) % columns)
    peaks = [
        f"{model}, {cover_name(cover)}: {percent(c.peak.value)} at layer {c.layers[c.best]}"
        for model, of_model in curves.items()
        for cover, of_cover in of_model.items()
        if (c := of_cover.get(OWN))
    ]
    return Figure(
        name=name,
        svg=small_multiples(
            name,
            panels,
            _LAYERS,
            _NAMED,
            columns=columns,
            size=(9.2 if columns > 1 else 6.4, 3.3),
        ),
        alt=f"{LABELS[kind].capitalize()}: share of an object's tokens whose nearest word is its "
        f"name, by layer and by how much of a token's box the object must cover. Largest "
        f"values: {'; '.join(peaks)}.",
        caption=f"{LABELS[kind].capitalize()}: share of tokens whose nearest word is the "
        "object's name, by layer and by how much of a token's box the object must cover; all "
        "panels on the same axes. "
        + _bands(
            curve
            for of_model in curves.values()
            for of_cover in of_model.values()
            for curve in of_cover.values()
        ),
    )


def readings_figure(
    model: str, kind: str, readings: Mapping[float | None, Mapping[str, Curve]]
) -> Figure:
    """The main model's object tokens under every rule of counting, one panel per cover."""
    return Figure(
        name="lens-readings",
        svg=small_multiples(
            "lens-readings",
            [
                Panel(_series(_READINGS, by_rule), cover_name(cover))
                for cover, by_rule in readings.items()
            ],
            _LAYERS,
            Axis("object tokens", SHARE, share=True),
            size=(9.2 if len(readings) > 1 else 6.4, 3.3),
        ),
        alt=f"{model}: what an object's tokens say by layer: "
        + "; ".join(
            f"{_READINGS[m][0]}, {cover_name(cover)}, {percent(c.peak.value)} at layer "
            f"{c.layers[c.best]}"
            for cover, by_rule in readings.items()
            for m, c in by_rule.items()
        )
        + ".",
        caption=f"What the word nearest to an object's tokens in {model} is, by the "
        f"{LABELS[kind]}. "
        + _bands(curve for by_rule in readings.values() for curve in by_rule.values()),
    )


def _series(lines: Mapping[Any, tuple[str, Look]], curves: Mapping[Any, Curve]) -> list[Series]:
    series = []
    for key, curve in curves.items():
        label, look = lines[key]
        series.append(Series(label, list(zip(curve.layers, curve.bands, strict=True)), look))
    return series


def _bands(curves: Iterable[Curve]) -> str:
    zeros = [x.high for curve in curves for x in curve.bands if x.value == 0 and x.high == x.high]
    none = f"; a share of 0% has a band up to {percent(max(zeros))}" if zeros else ""
    return f"Bands cover a whole curve with 95% confidence, over images{none}."
