"""Figures of the study of where words look."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Figure, Record
from ...report.rows import band, first, interval, pick
from ...report.style import BLUE, GREY, INK, ORANGE, PAPER, figure_style, svg_of

MEAN = -1
ROW_NAMES = {
    "predicting": "at the position that chooses the word",
    "word": "at the word itself",
}
_LINES = (
    ("trained", "inside", BLUE, "-", "o", "on the object"),
    ("trained", "shuffled_inside", ORANGE, "--", "s", "under another image's mask"),
    ("trained", "chance", INK, ":", "", "chance"),
    ("untrained", "inside", GREY, "-.", "D", "untrained copy, on the object"),
)


def layers_figure(rows: Sequence[Record], kinds: Sequence[str]) -> Figure:
    """Mass on the object by block, mean of all heads; one panel a kind of row."""
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import PercentFormatter

    facts: list[str] = []
    with figure_style("look-layers"):
        drawing = Drawing(figsize=(9.2, 3.4))
        panels = drawing.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        for panel, kind in zip(panels, kinds, strict=True):
            for weights, name, color, dash, mark, label in _LINES:
                points = [
                    (int(row["layer"] or 0), x)
                    for row in pick(rows, weights=weights, row=kind, head=MEAN)
                    if (x := band(row, name))
                ]
                if not points:
                    continue
                at = [layer for layer, _ in points]
                low, high = [x.low for _, x in points], [x.high for _, x in points]
                panel.fill_between(at, low, high, color=color, alpha=0.14, lw=0)
                middle = [x.value for _, x in points]
                panel.plot(at, middle, dash, marker=mark or None, color=color, label=label)
                if (weights, name) == ("trained", "inside"):
                    facts += [f"{kind}, block {layer}: {x.value:.2f}" for layer, x in points]
            panel.set_title(ROW_NAMES[kind])
            panel.yaxis.set_major_formatter(PercentFormatter(1.0))
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.tick_params(labelcolor=INK)
        panels[0].set_ylabel("mass on the object")
        panels[0].set_xlabel("block", loc="left")
        panels[0].set_ylim(bottom=0)
        drawing.tight_layout(w_pad=1.6)
        handles = {
            text: handle
            for panel in panels
            for handle, text in zip(*panel.get_legend_handles_labels(), strict=True)
        }
        place = {"loc": "upper left", "bbox_to_anchor": (0.05, 0.0)}
        drawing.legend(handles.values(), handles, ncols=4, **place)
        svg = svg_of(drawing)
    return Figure(
        name="look-layers",
        svg=svg,
        alt="Share of a word's attention to the image that lies on the object it names. "
        + "; ".join(facts)
        + ".",
        caption="Share of a word's attention to the image that lies on the object that it names, "
        "mean of all heads, by block. Bands hold a whole curve at 95%.",
    )


def heads_figure(rows: Sequence[Record], kind: str) -> Figure:
    """A heat map: blocks by heads."""
    from matplotlib.figure import Figure as Drawing

    layers = sorted({int(row["layer"] or 0) for row in rows})
    heads = sorted({int(row["head"] or 0) for row in rows} - {MEAN})
    cells = [
        [interval(first(rows, layer=layer, head=head), "inside") for head in heads]
        for layer in layers
    ]
    shown = [[float("nan") if x is None else x.value for x in line] for line in cells]
    name = f"look-heads-{kind}"
    with figure_style(name):
        drawing = Drawing(figsize=(6.4, max(2.4, min(7.0, 1.0 + 0.22 * len(layers)))))
        panel = drawing.subplots()
        # A mesh and no image: the figure stays a vector drawing.
        mesh = panel.pcolormesh(
            shown, cmap="cividis", vmin=0, vmax=1, edgecolor=PAPER, linewidth=0.4
        )
        for axis, numbers in ((panel.xaxis, heads), (panel.yaxis, layers)):
            step = max(1, len(numbers) // 16)
            places = [k + 0.5 for k in range(0, len(numbers), step)]
            axis.set_ticks(places, [str(number) for number in numbers[::step]])
        panel.tick_params(labelcolor=INK)
        panel.grid(visible=False)
        panel.set_xlabel("head", loc="left")
        panel.set_ylabel("block")
        bar = drawing.colorbar(mesh, ax=panel, label="mass on the object")
        if bar.solids is not None:
            bar.solids.set_rasterized(False)
        svg = svg_of(drawing)
    best = max(
        (
            (x.value, layer, head)
            for layer, line in zip(layers, cells, strict=True)
            for head, x in zip(heads, line, strict=True)
            if x
        ),
        default=None,
    )
    told = "" if best is None else f" Most in block {best[1]}, head {best[2]}: {best[0]:.2f}."
    return Figure(
        name=name,
        svg=svg,
        alt=f"Mass on the object by block and head, {ROW_NAMES[kind]}.{told}",
        caption=f"The same for every head, {ROW_NAMES[kind]}.{told} Empty: no attention to the "
        "image.",
        wide=False,
    )
