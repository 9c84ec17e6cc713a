"""Figures of the lens study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...report.blocks import Figure, percent
from ...report.style import (
    BLUE,
    BROWN,
    GREEN,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    figure_style,
    svg_of,
)
from .curves import OWN, Curve, Curves, cover_name
from .pretraining import READ

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


def lens_figure(curves: Mapping[str, Mapping[float | None, Curves]]) -> Figure:
    """One panel for each model and cover, all on the same axes."""
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import PercentFormatter

    covers = list(next(iter(curves.values())))
    panels_of = [(cover, model) for cover in covers for model in curves]
    if len(curves) == 1:
        # The covers of one model stand side by side.
        n_rows, n_columns = 1, len(covers)
    else:
        n_columns = 2 if len(curves) == 4 else min(len(curves), 3)
        n_rows = len(covers) * -(-len(curves) // n_columns)
    # Models of different depth each have their own axis of layers.
    depths = {c.layers[-1] for _, _, c in _all(curves)}
    with figure_style("lens"):
        drawing = Drawing(figsize=(9.2 if n_columns > 1 else 6.4, 3.3 * n_rows))
        grid = drawing.subplots(
            n_rows, n_columns, sharex=len(depths) == 1, sharey=True, squeeze=False
        )
        for panel in grid.flat:
            panel.set_visible(False)
        for place, (cover, model) in enumerate(panels_of):
            within = place % len(curves)
            row = (place // len(curves)) * (n_rows // len(covers)) + within // n_columns
            panel = grid[0, place] if len(curves) == 1 else grid[row, within % n_columns]
            panel.set_visible(True)
            found = curves[model].get(cover, {})
            for key, curve in found.items():
                _draw(panel, curve, *_LINES[key])
            # Rows of several models are of one cover, which their axis names.
            name = f"{model}, {cover_name(cover)}" if len(curves) == 1 else model
            panel.set_title(name, pad=22 if model in READ else 10)
            if within % n_columns == 0:
                of = f",\n{cover_name(cover)}" if len(curves) > 1 else ""
                panel.set_ylabel(f"tokens whose top word\nis the object's name{of}")
            if model in READ:
                panel.text(0, 1.03, READ[model], transform=panel.transAxes, color=MUTED, size=8.6)
            _layers(panel, max((c.layers[-1] for c in found.values()), default=1))
            panel.set_ylim(-0.03, 1.03)
            panel.set_yticks([0, 0.25, 0.5, 0.75, 1])
            panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        grid[-1][0].set_xlabel("layer (0 = what the decoder receives)", loc="left")
        _legend(drawing, grid[0][0], 3)
        drawing.tight_layout(w_pad=1.6, h_pad=1.8)
        svg = svg_of(drawing)
    peaks = [
        f"{model}, {cover_name(cover)}: {percent(c.peak.value)} at layer {c.layers[c.best]}"
        for model, of_model in curves.items()
        for cover, found in of_model.items()
        if (c := found.get(OWN))
    ]
    return Figure(
        name="lens",
        svg=svg,
        alt="Share of an object's tokens whose top word is its name, by layer and by how much of "
        f"a token's box the object must cover. Largest values: {'; '.join(peaks)}.",
        caption="Share of tokens whose most probable word is the object's name, by layer and by "
        "how much of a token's box the object must cover; all panels on the same axes. "
        f"{_bands(c for *_, c in _all(curves))}",
    )


def _all(
    curves: Mapping[str, Mapping[float | None, Curves]],
) -> list[tuple[str, float | None, Curve]]:
    return [
        (model, cover, curve)
        for model, of_model in curves.items()
        for cover, found in of_model.items()
        for curve in found.values()
    ]


def readings_figure(model: str, readings: Mapping[float | None, Mapping[str, Curve]]) -> Figure:
    """The main model's object tokens under every rule of counting, a panel for each cover."""
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import PercentFormatter

    every = [curve for found in readings.values() for curve in found.values()]
    with figure_style("lens-readings"):
        drawing = Drawing(figsize=(9.2 if len(readings) > 1 else 6.4, 3.3))
        panels = drawing.subplots(1, len(readings), sharey=True, squeeze=False)[0]
        for panel, (cover, found) in zip(panels, readings.items(), strict=True):
            for metric, curve in found.items():
                _draw(panel, curve, *_READINGS[metric])
            panel.set_title(cover_name(cover))
            _layers(panel, max((c.layers[-1] for c in found.values()), default=1))
            panel.set_ylim(-0.03, 1.03)
            panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        panels[0].set_ylabel("object tokens")
        panels[0].set_xlabel("layer", loc="left")
        _legend(drawing, panels[0], 4)
        drawing.tight_layout(w_pad=1.6)
        svg = svg_of(drawing)
    return Figure(
        name="lens-readings",
        svg=svg,
        alt=f"{model}: what an object's tokens say by layer: "
        + "; ".join(
            f"{_READINGS[m][3]}, {cover_name(cover)}, {percent(c.peak.value)} at layer "
            f"{c.layers[c.best]}"
            for cover, found in readings.items()
            for m, c in found.items()
        )
        + ".",
        caption=f"What the object tokens of {model} have as their top word. {_bands(every)}",
    )


def _bands(curves: Iterable[Curve]) -> str:
    zeros = [x.high for curve in curves for x in curve.bands if x.value == 0 and x.high == x.high]
    none = f"; that of a share of 0% ends at {percent(max(zeros))} at most" if zeros else ""
    return f"Bands hold a whole curve at 95%, over images{none}."


def _legend(drawing, panel, n_columns: int) -> None:
    """A panel's legend below the drawing; `n_columns` of more than four lines, else 4."""
    handles, labels = panel.get_legend_handles_labels()
    place = {"loc": "upper right", "bbox_to_anchor": (0.995, 0.0)}
    drawing.legend(handles, labels, ncols=n_columns if len(labels) > 4 else 4, **place)


def _draw(panel, curve: Curve, color: str, dash: str, mark: str, label: str) -> None:
    y = [x.value for x in curve.points]
    low, high = [x.low for x in curve.bands], [x.high for x in curve.bands]
    every = max(1, len(y) // 9)
    # Bands of shares of 0 would all lie on each other: the caption says how wide they are.
    seen = [value > 0 for value in y]
    panel.fill_between(curve.layers, low, high, where=seen, color=color, alpha=0.16, lw=0)
    panel.plot(curve.layers, y, dash, marker=mark, markevery=every, color=color, label=label)


def _layers(panel, last: int) -> None:
    step = 1 if last <= 12 else 4 if last <= 40 else 8
    panel.set_xticks(range(0, last + 1, step))
    panel.tick_params(labelbottom=True, labelcolor=INK)
