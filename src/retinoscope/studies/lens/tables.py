"""Tables of the lens: all covers side by side, every layer, and the words that appear."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...report.blocks import Record, Table, file_name, percent, percent_interval, signed
from ...report.findings import written_p
from ...report.rows import first, interval, number, pick
from ...report.tables import Write, cell, shares, table
from ..runs import StudyRun
from .curves import (
    CONTROLS,
    OWN,
    PARTS,
    Curve,
    cover_name,
    covers_of,
    curve_of,
    curves_of,
    kinds_of,
)
from .findings import nearest_control
from .options import LABELS

_COUNTED = (
    ("lenient", "object, lenient"),
    ("colour", "object, its colour"),
    ("part", "object, one of its parts"),
    ("any_kind", "object, any object's name"),
    ("piece", "object, any piece of its name"),
    ("synonym", "object, a synonym"),
    ("near", "object, near its name"),
    ("near_other", "object, near another object's name"),
)
_WORDS_SHOWN = 6


def kinds_table(run: StudyRun) -> Table | None:
    """Returns all kinds of lens side by side, each at the layer that other images chose."""
    kinds = kinds_of(run)
    if len(kinds) < 2:
        return None
    rows = run.extra("peak")

    def at(cover: float | None, write: Callable[[Sequence[Record]], str]) -> Write:
        return lambda kind: write(pick(rows, lens=kind, cover=cover))

    columns = [cell("lens", lambda kind: LABELS[kind], numeric=False)]
    for cover in covers_of(run):
        where = cover_name(cover)
        columns += [
            cell(f"object tokens\n{where}", at(cover, lambda some: _share(some, "share"))),
            cell("nearest control", at(cover, _control)),
            cell("layers", at(cover, lambda some: str(some[0]["layers"]) if some else "")),
        ]
    least = covers_of(run)[0]
    columns += [
        cell(f"{name}\n{cover_name(least)}", at(least, _beside(group))) for group, name in PARTS
    ]
    return table(
        file_name("lens", run.label, "kinds"),
        f"{run.label}: share of an object's tokens whose nearest word is its name, by kind of "
        "lens. Each image counts at the layer that was best on the other half of the images. The "
        "nearest control is the one against which the evidence for the lens is weakest. Inner "
        "tokens have only tokens of the object as neighbours; border tokens also have others.",
        kinds,
        columns,
        rows,
    )


def _share(rows: Sequence[Record], name: str) -> str:
    share = interval(rows[0] if rows else None, name)
    return "" if share is None else percent_interval(share)


def _control(rows: Sequence[Record]) -> str:
    control = nearest_control(rows)
    return "" if control is None else f"{percent_interval(control[1])}\n{control[0]}"


def _beside(group: str) -> Callable[[Sequence[Record]], str]:
    return lambda rows: _share(pick(rows, control_group=group), "control_share")


def agreement_table(run: StudyRun) -> Table | None:
    """Returns for each pair of lenses how often they read the same word from the same token."""
    rows = pick(run.extra("agreement"), weights="trained")
    if not rows:
        return None
    last = max(int(number(row, "layer") or 0) for row in rows)
    pairs = list(dict.fromkeys((str(row["lens"]), str(row["other_lens"])) for row in rows))
    columns = [cell("lenses", lambda pair: f"{LABELS[pair[0]]}, {LABELS[pair[1]]}", numeric=False)]
    for group, name, cover in (
        ("object", f"object tokens {cover_name(covers_of(run)[-1])}", covers_of(run)[-1]),
        ("background", "background tokens", None),
    ):
        for layer in sorted({last // 4, last // 2, 3 * last // 4, last}):

            def same(
                pair: tuple[str, str],
                group: str = group,
                cover: float | None = cover,
                layer: int = layer,
            ) -> str:
                key = {"lens": pair[0], "other_lens": pair[1], "group": group}
                return _share(pick(rows, **key, cover=cover, layer=layer), "same")

            columns.append(cell(f"{name}\nlayer {layer}", same))
    return table(
        file_name("lens", run.label, "agreement"),
        f"{run.label}: share of tokens to which two kinds of lens give the same nearest word, at "
        "some layers. The CSV file has every layer, and the share to which both give the object's "
        "name.",
        pairs,
        columns,
        rows,
        folded=True,
    )


def peak_table(run: StudyRun, lens: str, folded: bool) -> Table | None:
    """Returns every control at every cover, at the layer that other images chose."""
    rows = pick(run.extra("peak"), lens=lens)
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
        file_name("lens", run.label, *_named(lens), "covers"),
        f"{run.label}, {LABELS[lens]}: share of an object's tokens whose nearest word is its name, "
        "at each cover and beside each control, mean over objects. Each image counts at the layer "
        "that was best on the other half of the images; differences are over the same objects.",
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


def _named(lens: str) -> tuple[str, ...]:
    """Returns the part of a file's name that says which kind of lens."""
    return () if lens == "logit" else (lens,)


def layers_tables(run: StudyRun, lens: str, folded: bool) -> list[Table]:
    """Returns every layer, one table per cover."""
    return [
        _layers_table(run, lens, cover, folded or k > 0) for k, cover in enumerate(covers_of(run))
    ]


def _layers_table(run: StudyRun, lens: str, cover: float | None, folded: bool) -> Table:
    rows, curves = pick(run.summary, lens=lens), curves_of(run, cover, lens)
    strict = [(OWN, "object tokens"), *((key, name) for *key, name in CONTROLS)]
    columns = {name: curve for key, name in strict if (curve := curves.get((key[0], key[1])))}
    columns |= {
        label: curve
        for metric, label in _COUNTED
        if (curve := curve_of(rows, *OWN, cover, metric, lens))
    }

    def at(curve: Curve) -> Write:
        points = dict(zip(curve.layers, curve.points, strict=True))
        return lambda layer: percent_interval(points[layer]) if layer in points else ""

    return table(
        file_name(
            "lens", run.label, *_named(lens), *(() if cover is None else (f"cover-{cover:g}",))
        ),
        f"{run.label}, {LABELS[lens]}, {cover_name(cover)}: share of tokens whose nearest "
        "word is the object's name, by layer, with 95% intervals over images.",
        sorted({layer for curve in columns.values() for layer in curve.layers}),
        [cell("layer", str), *(cell(label, at(curve)) for label, curve in columns.items())],
        [row for row in rows if row.get("cover") in (cover, None)],
        folded,
    )


def words_table(run: StudyRun, lens: str) -> Table | None:
    """Returns the nearest words at some layers, on objects and in the background."""
    rows = pick(run.extra("words"), weights="trained", lens=lens)
    covers = covers_of(run)
    curve = curves_of(run, covers[0], lens).get(OWN)
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
        file_name("lens", run.label, *_named(lens), "words"),
        f"{run.label}, {LABELS[lens]}: the most frequent nearest words, with their share "
        "of all tokens of objects, and of tokens of no object. The CSV file has every layer, and "
        "the objects under each word.",
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
