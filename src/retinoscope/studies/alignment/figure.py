"""Figures of the agreement with where people looked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from ...report.blocks import Figure, Interval, Record
from ...report.rows import interval, pick
from ...report.scene_picture import WIDTH, Scene
from ...report.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, figure_style, svg_of
from .names import FITS, GRANULARITIES, ONE, UNTRAINED, WHO, method_name, ranked_by

MAPS_SHOWN = 4
_HEAT = "#b3261e"
"""Not one of the page's colours: what lies below is the image, in the dark as well."""


def agreement_figure(rows: Sequence[Record], provenance: str, granularity: str) -> Figure:
    """NCC of each method, its control and what bounds it."""
    from matplotlib.figure import Figure as Drawing

    trained = pick(rows, weights="trained", metric="ncc")
    trained = sorted(
        (row for row in trained if interval(row, "own")),
        key=lambda row: float(row["own"] or 0),
    )
    name = f"alignment-{provenance}-{granularity}"
    facts: list[str] = []
    with figure_style(name):
        drawing = Drawing(figsize=(8.6, 1.7 + 0.42 * max(1, len(trained))))
        panel = drawing.subplots()
        for place, row in enumerate(trained):
            same = {"method": row["method"], "layer": row["layer"]}
            fresh = pick(rows, weights="untrained", metric="ncc", **same)
            _dot(panel, interval(row, "own"), place, BLUE, "o", "own text's map")
            other = interval(row, "other_text")
            _dot(panel, other, place - 0.18, ORANGE, "s", "another text's map")
            for one in fresh[:1]:
                _dot(panel, interval(one, "own"), place - 0.34, GREY, "D", UNTRAINED)
            facts.append(f"{method_name(row)} {float(row['own'] or 0):.2f}")
        for column, color, dash, label in (
            ("people", GREEN, "-", f"{ONE[provenance]} against the others"),
            ("mask", PURPLE, "--", "true mask of the object"),
            ("centre", INK, ":", "centre of the image"),
        ):
            bound = next((x for row in trained if (x := interval(row, column))), None)
            if bound is not None:
                panel.axvspan(bound.low, bound.high, color=color, alpha=0.1, lw=0)
                panel.axvline(bound.value, color=color, ls=dash, lw=1.6, label=label)
                facts.append(f"{label} {bound.value:.2f}")
        panel.axvline(0, color=GREY, lw=0.8)
        panel.set_yticks(range(len(trained)), [method_name(row) for row in trained])
        panel.set_ylim(-0.7, len(trained) - 0.4)
        panel.tick_params(labelcolor=INK)
        panel.grid(visible=False, axis="y")
        panel.set_xlabel("NCC with where they looked", loc="left")
        handles, labels = panel.get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        panel.legend(
            unique.values(), unique, loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0
        )
        svg = svg_of(drawing)
    caption = (
        f"Agreement of maps of {GRANULARITIES[granularity]} with {WHO[provenance]}: mean NCC over "
        "segments. Bars and bands are 95% intervals over images."
    )
    return Figure(name=name, svg=svg, alt=f"{caption} {'; '.join(facts)}.", caption=caption)


def _dot(panel, x: Interval | None, place: float, color: str, mark: str, label: str) -> None:
    if x is None:
        return
    panel.plot([x.low, x.high], [place, place], color=color, lw=2, alpha=0.6)
    panel.plot([x.value], [place], mark, color=color, label=label)


def ranking_figure(rows: Sequence[Record], provenance: str) -> Figure:
    """Share of images whose own description ranks first."""
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import PercentFormatter

    trained = [
        (row, x) for row in pick(rows, weights="trained") if (x := interval(row, "preferred"))
    ]
    trained.sort(key=lambda pair: pair[1].value)
    name = f"alignment-ranking-{provenance}"
    with figure_style(name):
        drawing = Drawing(figsize=(7.0, 1.4 + 0.34 * max(1, len(trained))))
        panel = drawing.subplots()
        for place, (row, x) in enumerate(trained):
            own = row["method"] in FITS
            _dot(panel, x, place, GREEN if own else BLUE, "D" if own else "o", "")
        chances = [float(row["chance"] or 0) for row, _ in trained]
        if chances:
            panel.axvline(sum(chances) / len(chances), color=INK, ls=":", lw=1.6, label="chance")
            panel.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0)
        labels = [ranked_by(row) for row, _ in trained]
        panel.set_yticks(range(len(trained)), labels)
        panel.set_ylim(-0.6, len(trained) - 0.4)
        panel.set_xlim(-0.03, 1.03)
        panel.xaxis.set_major_formatter(PercentFormatter(1.0))
        panel.tick_params(labelcolor=INK)
        panel.grid(visible=False, axis="y")
        panel.set_xlabel("images whose own description comes first", loc="left")
        svg = svg_of(drawing)
    told = "; ".join(
        f"{label} {x.value:.2f}" for label, (_, x) in zip(labels, trained, strict=True)
    )
    caption = (
        "How often the image's description, among those of others, has the map that is most like "
        f"where {WHO[provenance]} looked. Bars are 95% intervals over images."
    )
    return Figure(name=name, svg=svg, alt=f"{caption} {told}.", caption=caption, wide=False)


def gaze_figure(scene: Scene, name: str) -> Figure | None:
    """Where the observers looked: density and fixations over the image."""
    density = scene.facts.get("density")
    if not isinstance(density, list) or not density:
        return None
    cells = cast("list[list[float]]", density)
    height, width = scene.height * scene.scale, WIDTH
    down, across = height / len(cells), width / len(cells[0])
    shapes = [
        f'<rect x="{k * across:.2f}" y="{r * down:.2f}" width="{across + 0.3:.2f}" '
        f'height="{down + 0.3:.2f}" fill-opacity="{_opacity(value):.3f}"/>'
        for r, row in enumerate(cells)
        for k, value in enumerate(row)
        if value > 0.02
    ]
    points = cast("list[list[float]]", scene.facts.get("fixations") or [])
    dots = [
        f'<circle cx="{x * scene.scale:.1f}" cy="{y * scene.scale:.1f}" r="4"/>' for x, y in points
    ]
    who = WHO[str(scene.facts.get("provenance"))]
    body = f'<g style="fill:{_HEAT}">{"".join(shapes)}</g>'
    body += f'<g style="fill:#ffffff;stroke:#000000;stroke-width:1.4">{"".join(dots)}</g>'
    caption = f"Where {who} looked: density, and {len(points)} fixations as dots."
    return Figure(
        name=f"{name}-gaze",
        svg=scene.document(body),
        alt=f"{caption} Image {scene.sample}.",
        caption=caption,
        wide=False,
    )


def map_figures(scene: Scene, name: str, methods: Sequence[str]) -> list[Figure]:
    """Maps of some methods for the same segment."""
    maps = scene.facts.get("maps")
    if not isinstance(maps, dict):
        return []
    found = []
    for method in methods:
        values = maps.get(method)
        if not isinstance(values, list):
            continue
        shapes = "".join(
            scene.rects([token], f"fill:{_HEAT};fill-opacity:{_opacity(float(cast(float, v))):.3f}")
            for token, v in enumerate(values)
            if float(cast(float, v)) > 0.02
        )
        caption = f"The model: {method}."
        found.append(
            Figure(
                name=f"{name}-{method}",
                svg=scene.document(shapes),
                alt=f"Map of {method} on image {scene.sample}.",
                caption=caption,
                wide=False,
            )
        )
    return found


def _opacity(share: float) -> float:
    return 0.8 * math.sqrt(min(max(share, 0.0), 1.0))
