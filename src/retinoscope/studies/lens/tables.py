"""Tables of the lens: both covers side by side, every layer, and the words that appear."""

from __future__ import annotations

from ...report.blocks import Column, Record, Table, file_name, percent, percent_interval, signed
from ...report.findings import written_p
from ...report.rows import interval, number, pick
from ..runs import StudyRun
from .curves import CONTROLS, OWN, cover_name, covers_of, curve_of, curves_of

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
    """Every control at every cover, at the layer that other images chose."""
    rows = run.extra("peak")
    covers = covers_of(run)
    if not rows or not run.summary:
        return None
    shown = []
    for group, weights, name in CONTROLS:
        cells = [name]
        for cover in covers:
            found = pick(rows, cover=cover, control_group=group, control_weights=weights)
            found = [row for row in found if (group, weights) != OWN]
            ours = interval(found[0], "share") if found else None
            theirs = interval(found[0], "control_share") if found else None
            gap = interval(found[0], "difference") if found else None
            p = number(found[0], "difference_p") if found else None
            cells += ["" if x is None else percent_interval(x) for x in (ours, theirs)]
            cells.append(
                ""
                if gap is None
                else signed(gap, 0, 100) + ("" if p is None else f"\n{written_p(p)}")
            )
        if any(cells[1:]):
            shown.append(tuple(cells))
    columns = [Column("beside", numeric=False)]
    for cover in covers:
        columns += [
            Column(f"object tokens\n{cover_name(cover)}"),
            Column("control"),
            Column("difference,\npoints"),
        ]
    return Table(
        name=file_name("lens", run.label, "covers"),
        caption=f"{run.label}: share of an object's tokens whose top word is its name, at each "
        "cover and against each control, mean over objects. Each image counts at the layer that "
        "was best on the other half of the images; differences are of the same objects.",
        columns=tuple(columns),
        rows=tuple(shown),
        records=tuple(rows),
        folded=folded,
    )


def layers_tables(run: StudyRun, folded: bool) -> list[Table]:
    """Every layer, one table a cover."""
    return [_layers_table(run, cover, folded or k > 0) for k, cover in enumerate(covers_of(run))]


def _layers_table(run: StudyRun, cover: float | None, folded: bool) -> Table:
    rows = run.summary
    strict = {
        name: curve
        for key, name in ((OWN, "object tokens"), *(((g, w), n) for g, w, n in CONTROLS))
        if (curve := curves_of(run, cover).get(key))
    }
    more = {
        label: curve for metric, label in _COUNTED if (curve := curve_of(rows, *OWN, cover, metric))
    }
    found = strict | more
    layers = sorted({layer for c in found.values() for layer in c.layers})
    shown = []
    for layer in layers:
        cells = [str(layer)]
        for c in found.values():
            at = c.layers.index(layer) if layer in c.layers else None
            cells.append("" if at is None else percent_interval(c.points[at]))
        shown.append(tuple(cells))
    return Table(
        name=file_name("lens", run.label, *(() if cover is None else (f"cover-{cover:g}",))),
        caption=f"{run.label}, {cover_name(cover)}: share of tokens whose top word is the object's "
        "name, by layer, with 95% intervals over images.",
        columns=(Column("layer"), *(Column(label) for label in found)),
        rows=tuple(shown),
        records=tuple(row for row in rows if row.get("cover") in (cover, None)),
        folded=folded,
    )


def words_table(run: StudyRun) -> Table | None:
    """Which words stand on top, at some layers, on objects and beside them."""
    rows = pick(run.extra("words"), weights="trained")
    covers = covers_of(run)
    own = curves_of(run, covers[0]).get(OWN)
    if not rows or own is None:
        return None
    last = own.layers[-1]
    layers = sorted({0, last // 4, last // 2, 3 * last // 4, own.layers[own.best], last})
    groups = [("object", cover) for cover in covers] + [("background", None)]
    shown = []
    for layer in layers:
        cells = [str(layer)]
        for group, cover in groups:
            found = pick(rows, group=group, cover=cover, layer=layer)
            found.sort(key=lambda row: int(number(row, "rank") or 0))
            cells.append(" · ".join(_word(row) for row in found[:_WORDS_SHOWN]))
        shown.append(tuple(cells))
    return Table(
        name=file_name("lens", run.label, "words"),
        caption=f"{run.label}: the words that stand on top most often, with their share of all "
        "tokens of objects, and of tokens of no object. The file has every layer, and under which "
        "objects a word stands.",
        columns=(
            Column("layer"),
            *(Column(f"object tokens\n{cover_name(cover)}", numeric=False) for cover in covers),
            Column("background tokens", numeric=False),
        ),
        rows=tuple(shown),
        records=tuple(rows),
        folded=False,
    )


def _word(row: Record) -> str:
    return f"{row['word'] or '(space)'} {percent(number(row, 'share') or 0)}"
