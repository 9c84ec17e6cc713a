"""Figures of the lens study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...report.blocks import Figure, percent
from ...report.charts import SHARE, Axis, Look, Panel, Series, small_multiples
from ...report.style import BLUE, BROWN, GREEN, GREY, INK, MUTED, ORANGE, PURPLE
from .curves import OWN, Curve, Curves, cover_name
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
    "any_kind": ("any object's name", Look(BROWN, ":", "D")),
    "piece": ("any piece of its name", Look(PURPLE, "--", "v")),
    "synonym": ("a synonym", Look(INK, ":", "x")),
    "near": ("near its name", Look(MUTED, "-", "P")),
    "near_other": ("near another object's name (control)", Look(GREY, "--", "")),
}
_LAYERS = Axis("layer (0 = what the decoder receives)", whole=True)


def lens_figure(curves: Mapping[str, Mapping[float | None, Curves]]) -> Figure:
    """One panel for each model and cover, all on the same axis of shares."""
    covers = list(next(iter(curves.values())))
    columns = len(covers) if len(curves) == 1 else 2 if len(curves) == 4 else min(len(curves), 3)
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
        name="lens",
        svg=small_multiples(
            "lens",
            panels,
            _LAYERS,
            Axis(
                "tokens whose top word\nis the object's name",
                SHARE,
                (0, 0.25, 0.5, 0.75, 1),
                share=True,
            ),
            columns=columns,
            size=(9.2 if columns > 1 else 6.4, 3.3),
        ),
        alt="Share of an object's tokens whose top word is its name, by layer and by how much of "
        f"a token's box the object must cover. Largest values: {'; '.join(peaks)}.",
        caption="Share of tokens whose most probable word is the object's name, by layer and by "
        "how much of a token's box the object must cover; all panels on the same axes. "
        + _bands(
            curve
            for of_model in curves.values()
            for of_cover in of_model.values()
            for curve in of_cover.values()
        ),
    )


def readings_figure(model: str, readings: Mapping[float | None, Mapping[str, Curve]]) -> Figure:
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
        caption=f"What the object tokens of {model} have as their top word. "
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
