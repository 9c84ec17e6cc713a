"""Figures of the lens study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ._models import READ
from ._parts import Figure, percent
from ._style import BLUE, BROWN, GREEN, GREY, INK, MUTED, ORANGE, PURPLE, figure_style, svg_of

if TYPE_CHECKING:
    from ._lens import Curve

_LINES = {
    ("object", "trained"): (BLUE, "-", "o", "object tokens"),
    ("background", "trained"): (ORANGE, "--", "s", "background tokens"),
    ("shuffled", "trained"): (PURPLE, ":", "^", "another image's mask"),
    ("object", "untrained"): (GREY, "-.", "D", "untrained copy"),
    ("object", "random adapter"): (BROWN, "--", "v", "random adapter"),
    ("object", "untrained language"): (GREEN, ":", "x", "untrained language model"),
}
_READINGS = {
    "strict": (BLUE, "-", "o", "its name"),
    "lenient": (GREEN, "--", "s", "part of its name, or a synonym"),
    "colour": (ORANGE, "-.", "^", "its colour"),
    "any_kind": (BROWN, ":", "D", "any object's name"),
    "piece": (PURPLE, "--", "v", "any piece of its name"),
    "synonym": (INK, ":", "x", "a synonym"),
    "near": (MUTED, "-", "P", "near its name"),
    "near_other": (GREY, "--", "", "near another object's name (control)"),
}


def lens_figure(curves: Mapping[str, Mapping[tuple[str, str], Curve]]) -> Figure:
    """One panel a model, all on the same axes."""
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import PercentFormatter

    n = len(curves)
    columns = min(n, 3) if n != 4 else 2
    # Models of different depth each have their own axis of layers.
    depths = {c.layers[-1] for found in curves.values() for c in found.values()}
    with figure_style("lens"):
        drawing = Drawing(figsize=(9.2 if n > 1 else 6.4, 3.5 * -(-n // columns)))
        grid = drawing.subplots(
            -(-n // columns), columns, sharex=len(depths) == 1, sharey=True, squeeze=False
        )
        panels = list(grid.flat)
        for panel in panels[n:]:
            panel.set_visible(False)
        for panel, (model, found) in zip(panels, curves.items(), strict=False):
            for key, curve in found.items():
                _draw(panel, curve, *_LINES[key])
            panel.set_title(model, pad=22 if model in READ else 10)
            if model in READ:
                panel.text(0, 1.03, READ[model], transform=panel.transAxes, color=MUTED, size=8.6)
            _layers(panel, max(c.layers[-1] for c in found.values()))
            panel.set_ylim(-0.03, 1.03)
            panel.set_yticks([0, 0.25, 0.5, 0.75, 1])
            panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        drawing.axes[0].set_ylabel("tokens whose top word\nis the object's name")
        drawing.axes[0].set_xlabel("layer (0 = what the decoder receives)", loc="left")
        handles, labels = drawing.axes[0].get_legend_handles_labels()
        # More than one line of names begins below the axis' own.
        few = len(labels) <= 4
        place = (0.995, -0.08 if few else -0.2)
        drawing.legend(
            handles, labels, loc="lower right", bbox_to_anchor=place, ncols=4 if few else 3
        )
        drawing.tight_layout(w_pad=1.6)
        svg = svg_of(drawing)
    peaks = [
        f"{model}: {percent(c.peak.value)} at layer {c.layers[c.best]}"
        for model, found in curves.items()
        if (c := found.get(("object", "trained")))
    ]
    bands = _bands(curve for found in curves.values() for curve in found.values())
    return Figure(
        name="lens",
        svg=svg,
        alt="Share of an object's tokens whose top word is its name, by layer. Peaks: "
        + "; ".join(peaks)
        + ".",
        caption="Share of tokens whose most probable word is the object's name, by layer; all "
        f"models on the same axes. {bands}",
    )


def readings_figure(model: str, readings: Mapping[str, Curve]) -> Figure:
    """The main model's object tokens under every rule of counting."""
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import PercentFormatter

    with figure_style("lens-readings"):
        drawing = Drawing(figsize=(6.6, 3.1) if len(readings) <= 4 else (8.4, 3.6))
        panel = drawing.subplots()
        for metric, curve in readings.items():
            _draw(panel, curve, *_READINGS[metric])
        _layers(panel, max(c.layers[-1] for c in readings.values()))
        panel.set_ylim(-0.03, 1.03)
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        panel.set_ylabel("object tokens")
        panel.set_xlabel("layer", loc="left")
        panel.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
        svg = svg_of(drawing)
    return Figure(
        name="lens-readings",
        svg=svg,
        alt=f"{model}: what an object's tokens say by layer: "
        + "; ".join(
            f"{_READINGS[m][3]} {percent(c.peak.value)} at layer {c.layers[c.best]}"
            for m, c in readings.items()
        )
        + ".",
        caption=f"What the object tokens of {model} have as their top word. "
        f"{_bands(readings.values())}",
        wide=len(readings) > 4,
    )


def _bands(curves: Iterable[Curve]) -> str:
    zeros = [point.high for curve in curves for point in curve.points if point.value == 0]
    none = f"; that of a share of 0% ends at {percent(max(zeros))} at most" if zeros else ""
    return f"Bands are 95% intervals over images{none}."


def _draw(panel, curve: Curve, color: str, dash: str, mark: str, label: str) -> None:
    y = [x.value for x in curve.points]
    low, high = [x.low for x in curve.points], [x.high for x in curve.points]
    every = max(1, len(y) // 9)
    # Bands of shares of 0 would all lie on each other: the caption says how wide they are.
    seen = [value > 0 for value in y]
    panel.fill_between(curve.layers, low, high, where=seen, color=color, alpha=0.16, lw=0)
    panel.plot(curve.layers, y, dash, marker=mark, markevery=every, color=color, label=label)


def _layers(panel, last: int) -> None:
    step = 1 if last <= 12 else 4 if last <= 40 else 8
    panel.set_xticks(range(0, last + 1, step))
    panel.tick_params(labelbottom=True, labelcolor=INK)
