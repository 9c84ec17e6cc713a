"""Where generated words look: attention inside the mask of the object that is named."""

from __future__ import annotations

from collections.abc import Sequence

from ..studies.findings import Finding, chosen_of, make_finding, paired_test
from ._collect import StudyRun
from ._look_figure import MEAN, ROW_NAMES, heads_figure, layers_figure
from ._parts import Column, Interval, Record, Section, Table, file_name, percent_interval
from ._rows import first, interval, known_first, pick, values


def section(runs: Sequence[StudyRun]) -> Section:
    """The main model in full, further models as tables."""
    main = runs[0]
    rows = main.summary
    kinds = known_first(values(rows, "row"), tuple(ROW_NAMES))
    return Section(
        key="look",
        title="Where a word looks while it is written",
        question=(
            "Of the attention that a generated word gives to the image, how much lies on the "
            "object that it names, and in which blocks and heads?"
        ),
        sentences=tuple(s for kind in kinds if (s := _sentence(rows, kind, main.label))),
        figures=(
            layers_figure(rows, kinds),
            *(heads_figure(pick(rows, weights="trained", row=kind), kind) for kind in kinds),
        ),
        tables=tuple(_table(run, kind, run is not main) for run in runs for kind in kinds),
        notes=(
            "Attention to the visual tokens is scaled to add up to 1 in each row, head and word. "
            "Chance is the object's share of the visual tokens; the shuffled mask is another "
            "image's. A head that gives the image nothing is left out and counted.",
            "The row that predicts a word and the row of the word itself are both shown: a method "
            "that reads attention at a generation step reads one or the other.",
            "After Kaduri et al. 2024 (arXiv 2411.17491).",
        ),
        finding=look_finding(rows, kinds, main.label),
    )


def _best(rows: Sequence[Record], kind: str) -> tuple[Record, Interval] | None:
    """The block whose mean over heads has most mass inside."""
    found = [
        (row, x)
        for row in pick(rows, weights="trained", row=kind, head=MEAN)
        if (x := interval(row, "inside"))
    ]
    return max(found, key=lambda pair: pair[1].value) if found else None


def _sentence(rows: Sequence[Record], kind: str, model: str) -> str:
    found = _best(rows, kind)
    if found is None:
        return f"{model}, {ROW_NAMES[kind]}: no attention to the image at all."
    row, x = found
    text = f"{model}, {ROW_NAMES[kind]}: most mass on the object in block {row['layer']}, "
    text += percent_interval(x)
    for name, label in (("chance", "chance"), ("shuffled_inside", "another image's mask")):
        if other := interval(row, name):
            text += f"; {label} {percent_interval(other)}"
    if peak := interval(row, "peak"):
        text += f"; the largest token lies on it for {percent_interval(peak)} of the words"
    untrained = interval(
        first(rows, weights="untrained", row=kind, layer=row["layer"], head=MEAN), "inside"
    )
    return text + (f"; untrained copy {percent_interval(untrained)}." if untrained else ".")


def look_finding(rows: Sequence[Record], kinds: Sequence[str], model: str) -> Finding | None:
    """Whether words look at their objects more than another image's mask would have it."""
    found = [(kind, *best) for kind in kinds if (best := _best(rows, kind))]
    if not found:
        return None
    _, _, x = max(found, key=lambda one: one[2].value)
    tests, controls = [], []
    for kind, row, _ in found:
        blocks = pick(rows, weights="trained", row=kind, head=MEAN)
        if test := paired_test(row, about=ROW_NAMES[kind]):
            tests.append(chosen_of(test, len(blocks)))
        if control := interval(row, "shuffled_inside"):
            controls.append(control.value)
    return make_finding(
        "a word looks at the object that it names",
        " ".join(_sentence(rows, kind, model) for kind, *_ in found),
        tests,
        figure=f"{x.value:.2f}",
        versus=f"of its attention to the image, against {max(controls):.2f} under another image's "
        "mask"
        if controls
        else "of its attention to the image",
    )


def _table(run: StudyRun, kind: str, folded: bool) -> Table:
    rows = pick(run.summary, row=kind)
    columns = (
        ("to_image", "to the image"),
        ("inside", "mass inside"),
        ("peak", "peak inside"),
        ("chance", "chance"),
        ("shuffled_inside", "mass, shuffled mask"),
        ("shuffled_peak", "peak, shuffled mask"),
        ("difference", "mass minus shuffled"),
    )
    shown = []
    for row in pick(rows, head=MEAN):
        cells = [interval(row, name) for name, _ in columns]
        shown.append(
            (
                str(row["layer"]),
                str(row["weights"]),
                *("" if x is None else percent_interval(x) for x in cells),
                str(row["n"]),
            )
        )
    return Table(
        name=file_name("look", run.label, kind),
        caption=f"{run.label}: attention of object words, {ROW_NAMES[kind]}, mean of all heads, by "
        "block, with 95% intervals. Single heads are in the CSV file.",
        columns=(
            Column("block"),
            Column("weights", numeric=False),
            *(Column(label) for _, label in columns),
            Column("words"),
        ),
        rows=tuple(shown),
        records=tuple(rows),
        folded=folded,
    )
