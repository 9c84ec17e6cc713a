"""Tables of the lens: all covers side by side, every layer, and the words that appear."""

from __future__ import annotations

from collections.abc import Callable

from ...report.blocks import Record, Table, file_name, percent, percent_interval, signed
from ...report.findings import written_p
from ...report.rows import first, interval, number, pick
from ...report.tables import Write, cell, shares, table
from ..runs import StudyRun
from .curves import CONTROLS, OWN, Curve, cover_name, covers_of, curve_of, curves_of

_COUNTED = (
    ("lenient", "object, lenient"),
    ("colour", "object, its colour"),
    ("any_kind", "object, any object's name"),
    ("piece", "object, any piece of its name"),
    ("synonym", "object, a synonym"),
    ("near", "object, near its name"),
    ("near_other", "object, near another object's name"),
)
_WORDS_SHOWN = 6


def peak_table(run: StudyRun, folded: bool) -> Table | None:
    """Returns every control at every cover, at the layer that other images chose."""
    rows = run.extra("peak")
    if not rows or not run.summary:
        return None
    controls = [
        (group, weights, name)
        for group, weights, name in CONTROLS
        if pick(rows, control_group=group, control_weights=weights)
    ]

    def at(cover: float | None, write: Callable[[Record], str]) -> Write:
        def of(control: tuple[str, str, str]) -> str:
            group, weights, _ = control
            row = first(rows, cover=cover, control_group=group, control_weights=weights)
            return "" if row is None else write(row)

        return of

    columns = [cell("control", lambda control: control[2], numeric=False)]
    for cover in covers_of(run):
        columns += [
            cell(f"object tokens\n{cover_name(cover)}", at(cover, shares("share")[1])),
            cell("the control", at(cover, shares("control_share")[1])),
            cell("difference,\npoints", at(cover, _points)),
        ]
    return table(
        file_name("lens", run.label, "covers"),
        f"{run.label}: share of an object's tokens whose top word is its name, at each cover and "
        "against each control, mean over objects. Each image counts at the layer that was best on "
        "the other half of the images; differences are over the same objects.",
        controls,
        columns,
        rows,
        folded,
    )


def _points(row: Record) -> str:
    gap, p = interval(row, "difference"), number(row, "difference_p")
    if gap is None:
        return ""
    return signed(gap, 0, 100) + ("" if p is None else f"\n{written_p(p)}")


def layers_tables(run: StudyRun, folded: bool) -> list[Table]:
    """Returns every layer, one table per cover."""
    return [_layers_table(run, cover, folded or k > 0) for k, cover in enumerate(covers_of(run))]


def _layers_table(run: StudyRun, cover: float | None, folded: bool) -> Table:
    rows, curves = run.summary, curves_of(run, cover)
    strict = [(OWN, "object tokens"), *((key, name) for *key, name in CONTROLS)]
    columns = {name: curve for key, name in strict if (curve := curves.get((key[0], key[1])))}
    columns |= {
        label: curve for metric, label in _COUNTED if (curve := curve_of(rows, *OWN, cover, metric))
    }

    def at(curve: Curve) -> Write:
        points = dict(zip(curve.layers, curve.points, strict=True))
        return lambda layer: percent_interval(points[layer]) if layer in points else ""

    return table(
        file_name("lens", run.label, *(() if cover is None else (f"cover-{cover:g}",))),
        f"{run.label}, {cover_name(cover)}: share of tokens whose top word is the object's name, "
        "by layer, with 95% intervals over images.",
        sorted({layer for curve in columns.values() for layer in curve.layers}),
        [cell("layer", str), *(cell(label, at(curve)) for label, curve in columns.items())],
        [row for row in rows if row.get("cover") in (cover, None)],
        folded,
    )


def words_table(run: StudyRun) -> Table | None:
    """Returns the most probable words at some layers, on objects and in the background."""
    rows = pick(run.extra("words"), weights="trained")
    covers = covers_of(run)
    curve = curves_of(run, covers[0]).get(OWN)
    if not rows or curve is None:
        return None
    last = curve.layers[-1]

    def words(group: str, cover: float | None) -> Write:
        def of(layer: int) -> str:
            ranked = pick(rows, group=group, cover=cover, layer=layer)
            ranked.sort(key=lambda row: int(number(row, "rank") or 0))
            return " · ".join(_word(row) for row in ranked[:_WORDS_SHOWN])

        return of

    return table(
        file_name("lens", run.label, "words"),
        f"{run.label}: the most frequent top words, with their share of all tokens of objects, and "
        "of tokens of no object. The CSV file has every layer, and the objects under each word.",
        sorted({0, last // 4, last // 2, 3 * last // 4, curve.layers[curve.best], last}),
        [
            cell("layer", str),
            *(
                cell(f"object tokens\n{cover_name(cover)}", words("object", cover), numeric=False)
                for cover in covers
            ),
            cell("background tokens", words("background", None), numeric=False),
        ],
        rows,
    )


def _word(row: Record) -> str:
    return f"{row['word'] or '(space)'} {percent(number(row, 'share') or 0)}"
