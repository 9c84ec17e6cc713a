"""What each visual interface tells the language model, and in which tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...report.blocks import Section, Table, listing
from ...report.findings import Finding
from ...report.rows import values
from ..runs import StudyRun
from .details import details_of
from .figure import experiments_figure, questions_figure
from .findings import EXPERIMENTS, audit_finding, differences, experiment_finding
from .options import MEASURES
from .tables import measures_of, tables_of

NOUN = "visual interfaces"
TABLE_NOTE = (
    "share: right answers (of absent kinds, yes, which is wrong), with 95% intervals over scenes; "
    "constant: what the most frequent right answer would score."
)


def section(runs: Sequence[StudyRun]) -> Section:
    """Makes the section: the first run in full, further ones as tables."""
    main = runs[0]
    compared = differences(main)
    rest = [audit_finding(main), *(experiment_finding(main, what) for what in EXPERIMENTS)]
    findings: list[Finding] = [one for one in (compared, *rest) if one is not None]
    figures = [questions_figure(main), experiments_figure(main)]
    return Section(
        key="interfaces",
        title="What each interface tells the language model",
        question=(
            "A visual interface turns an image into the tokens that a language model reads. What "
            "can be answered from them, which of them depend on an object, and do the paper's "
            "experiments come out as they do for patches?"
        ),
        sentences=tuple(f"{one.title}. {one.sentence}" for one in findings),
        figures=tuple(figure for figure in figures if figure is not None),
        tables=tuple(
            table if len(runs) == 1 else _of(run, table)
            for run in runs
            for table in (*tables_of(run, run is not main), *details_of(run))
        ),
        notes=_notes(main),
        finding=findings[0] if findings else None,
    )


def _of(run: StudyRun, table: Table) -> Table:
    """Adds the run's name to the caption."""
    caption = f"{run.label}: {table.caption[0].lower()}{table.caption[1:]}"
    return replace(table, caption=caption)


def _notes(run: StudyRun) -> tuple[str, ...]:
    options = run.manifest["parameters"]
    assert isinstance(options, dict)
    share, changed = options.get("token_share", 0.125), options.get("changed", 0.5)
    return (
        *_absent(run),
        "Really changed: the scene is drawn with and without the object, all else equal, and "
        "encoded twice. A token has really changed if the distance between its two embeddings, "
        f"relative to the first one's length, is above {changed:.0%} of the largest. The AUC is "
        "the chance that of two tokens, one that changed and one that did not, the first has more "
        "of what it stands for on the object: of its box or, for queries, of where they looked in "
        "their last cross-attention. Objects that change all tokens, or none, have no AUC.",
        f"The experiments take {share:.1%} of an interface's tokens as an object's: those that "
        "change most, those declared most, or random others. So the sizes are equal within an "
        "interface, and the shares between them. One question about each object is asked; its "
        "kinds take turns.",
        "A description names a kind by a whole word, a synonym or a plural.",
    )


def _absent(run: StudyRun) -> tuple[str, ...]:
    """Returns one line on what does not occur in these scenes."""
    missing = [label for name, label in MEASURES.items() if name not in measures_of(run)]
    if len(values(run.extra("sizes"), "size")) < 2:
        missing.append("small objects beside large ones")
    return (
        (f"Not in these scenes, so absent from the tables: {listing(missing)}.",) if missing else ()
    )
