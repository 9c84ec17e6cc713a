"""Figures of the study of where words look."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Figure, Record
from ...report.charts import Axis, Look, Panel, Points, Series, heat_map, small_multiples
from ...report.rows import band, first, interval, pick
from ...report.style import BLUE, GREY, INK, ORANGE

MEAN = -1
ROW_NAMES = {
    "predicting": "at the position that chooses the word",
    "word": "at the word itself",
}
_LINES = {
    ("trained", "inside"): ("on the object", Look(BLUE, "-", "o")),
    ("trained", "shuffled_inside"): ("under another image's mask", Look(ORANGE, "--", "s")),
    ("trained", "chance"): ("chance", Look(INK, ":", "")),
    ("untrained", "inside"): ("untrained copy, on the object", Look(GREY, "-.", "D")),
}


def layers_figure(rows: Sequence[Record], kinds: Sequence[str]) -> Figure:
    """Mass on the object by block, mean of all heads; one panel per kind of row."""

    def points(kind: str, weights: str, measure: str) -> Points:
        return [
            (int(row["layer"] or 0), x)
            for row in pick(rows, weights=weights, row=kind, head=MEAN)
            if (x := band(row, measure))
        ]

    panels = [
        Panel(
            [Series(label, points(kind, *key), look) for key, (label, look) in _LINES.items()],
            ROW_NAMES[kind],
        )
        for kind in kinds
    ]
    facts = [
        f"{kind}, block {layer:.0f}: {x.value:.2f}"
        for kind in kinds
        for layer, x in points(kind, "trained", "inside")
    ]
    return Figure(
        name="look-layers",
        svg=small_multiples(
            "look-layers",
            panels,
            Axis("block", whole=True),
            Axis("mass on the object", (0, None), share=True),
        ),
        alt="Share of a word's attention to the image that lies on the object it names. "
        + "; ".join(facts)
        + ".",
        caption="Share of a word's attention to the image that lies on the object that it names, "
        "mean of all heads, by block. Bands cover a whole curve with 95% confidence.",
    )


def heads_figure(rows: Sequence[Record], kind: str) -> Figure:
    """A heat map: blocks by heads."""
    layers = sorted({int(row["layer"] or 0) for row in rows})
    heads = sorted({int(row["head"] or 0) for row in rows} - {MEAN})
    cells = [
        [interval(first(rows, layer=layer, head=head), "inside") for head in heads]
        for layer in layers
    ]
    best = max(
        (
            (x.value, layer, head)
            for layer, line in zip(layers, cells, strict=True)
            for head, x in zip(heads, line, strict=True)
            if x
        ),
        default=None,
    )
    most = "" if best is None else f" Most in block {best[1]}, head {best[2]}: {best[0]:.2f}."
    name = f"look-heads-{kind}"
    return Figure(
        name=name,
        svg=heat_map(
            name,
            [[x and x.value for x in line] for line in cells],
            [str(layer) for layer in layers],
            [str(head) for head in heads],
            label="mass on the object",
            x="head",
            y="block",
            width=6.4,
            down=False,
        ),
        alt=f"Mass on the object by block and head, {ROW_NAMES[kind]}.{most}",
        caption=f"The same for every head, {ROW_NAMES[kind]}.{most} Empty: no attention to the "
        "image.",
        wide=False,
    )
