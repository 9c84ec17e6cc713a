"""Figures of the agreement with where people looked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from ...report.blocks import Figure, Interval, Record
from ...report.charts import SHARE, Axis, Level, Look, Panel, Points, Series, small_multiples
from ...report.rows import first, interval, pick
from ...report.scene_picture import WIDTH, Scene
from ...report.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE
from .names import FITS, GRANULARITIES, ONE, UNTRAINED, WHO, method_name, ranked_by

MAPS_SHOWN = 4
_HEAT = "#b3261e"
"""Not a page colour: what lies below is the image, in dark mode too."""


def agreement_figure(rows: Sequence[Record], provenance: str, granularity: str) -> Figure:
    """NCC of each method, its controls and its bounds."""
    trained = [row for row in pick(rows, weights="trained", metric="ncc") if interval(row, "own")]
    trained.sort(key=lambda row: -float(row["own"] or 0))
    fresh = [
        first(rows, weights="untrained", metric="ncc", method=row["method"], layer=row["layer"])
        for row in trained
    ]

    def points(of: Sequence[Record | None], column: str, shift: float) -> Points:
        estimates = ((place, interval(row, column)) for place, row in enumerate(of))
        return [(place + shift, x) for place, x in estimates if x]

    series = [
        Series("own text's map", points(trained, "own", 0.0), Look(BLUE, ""), bars=True),
        Series(
            "another text's map",
            points(trained, "other_text", 0.18),
            Look(ORANGE, "", "s"),
            bars=True,
        ),
        Series(UNTRAINED, points(fresh, "own", 0.34), Look(GREY, "", "D"), bars=True),
    ]
    levels = [Level(0.0, color=GREY)]
    for column, color, dash, label in (
        ("people", GREEN, "-", f"{ONE[provenance]} against the others"),
        ("mask", PURPLE, "--", "true mask of the object"),
        ("centre", INK, ":", "centre of the image"),
    ):
        bound = next((x for row in trained if (x := interval(row, column))), None)
        if bound is not None:
            levels.append(Level(bound.value, label, color, dash, (bound.low, bound.high)))
    facts = [f"{method_name(row)} {float(row['own'] or 0):.2f}" for row in reversed(trained)]
    facts += [f"{level.label} {level.value:.2f}" for level in levels[1:]]
    name = f"alignment-{provenance}-{granularity}"
    caption = (
        f"Agreement of maps of {GRANULARITIES[granularity]} with {WHO[provenance]}: mean NCC over "
        "segments. Bars and bands are 95% intervals over images."
    )
    return Figure(
        name=name,
        svg=small_multiples(
            name,
            [Panel(series, levels=levels)],
            Axis("NCC with where they looked"),
            Axis(
                limits=(len(trained) - 0.4, -0.7),
                ticks={place: method_name(row) for place, row in enumerate(trained)},
            ),
            size=(8.6, 1.7 + 0.42 * max(1, len(trained))),
            sideways=True,
            legend=3,
        ),
        alt=f"{caption} {'; '.join(facts)}.",
        caption=caption,
    )


def ranking_figure(rows: Sequence[Record], provenance: str) -> Figure:
    """Share of images whose own description ranks first."""
    ranked = [
        (row, x) for row in pick(rows, weights="trained") if (x := interval(row, "preferred"))
    ]
    ranked.sort(key=lambda pair: -pair[1].value)
    points: dict[bool, list[tuple[float, Interval]]] = {True: [], False: []}
    for place, (row, x) in enumerate(ranked):
        points[row["method"] in FITS].append((place, x))
    chances = [float(row["chance"] or 0) for row, _ in ranked]
    level = [Level(sum(chances) / len(chances), "chance", dash=":")] if chances else []
    facts = [f"{ranked_by(row)} {x.value:.2f}" for row, x in reversed(ranked)]
    name = f"alignment-ranking-{provenance}"
    caption = (
        "How often the image's description, among those of others, has the map that is most like "
        f"where {WHO[provenance]} looked. Bars are 95% intervals over images."
    )
    return Figure(
        name=name,
        svg=small_multiples(
            name,
            [
                Panel(
                    [
                        Series("", points[False], Look(BLUE, ""), bars=True),
                        Series("", points[True], Look(GREEN, "", "D"), bars=True),
                    ],
                    levels=level,
                )
            ],
            Axis("images whose own description comes first", SHARE, share=True),
            Axis(
                limits=(len(ranked) - 0.4, -0.6),
                ticks={place: ranked_by(row) for place, (row, _) in enumerate(ranked)},
            ),
            size=(7.0, 1.4 + 0.34 * max(1, len(ranked))),
            sideways=True,
        ),
        alt=f"{caption} {'; '.join(facts)}.",
        caption=caption,
        wide=False,
    )


def gaze_figure(scene: Scene, name: str) -> Figure | None:
    """Where the observers looked: density and fixations, drawn over the image."""
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
    """Maps of these methods for the same segment."""
    maps = scene.facts.get("maps")
    if not isinstance(maps, dict):
        return []
    figures = []
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
        figures.append(
            Figure(
                name=f"{name}-{method}",
                svg=scene.document(shapes),
                alt=f"Map of {method} on image {scene.sample}.",
                caption=caption,
                wide=False,
            )
        )
    return figures


def _opacity(share: float) -> float:
    return 0.8 * math.sqrt(min(max(share, 0.0), 1.0))
