"""Section 2: what each visual token says in the vocabulary, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...report.blocks import Section
from ...report.findings import Finding
from .._run_tables import extra_tables
from ..runs import StudyRun
from .curves import covers_of, curves_of, kinds_of, readings_of
from .figure import kinds_figure, lens_figure, readings_figure
from .findings import best_layer_sentence, lens_finding, main_finding
from .models import LIES_AND_CAUSES, between_models, lying_and_causing, models_in_short
from .notes import kinds_notes, notes_of
from .options import LABELS
from .tables import agreement_table, kinds_table, layers_tables, peak_table, words_table

NOUN = "lens"
TABLE_NOTE = (
    "Shares of an object's tokens whose nearest word is its name, by kind of lens and layer, with "
    "95% intervals."
)


def section(runs: Sequence[StudyRun]) -> Section:
    """Makes the section: all models on shared axes, the first one leading."""
    main = runs[0]
    covers, kinds = covers_of(main), kinds_of(main)
    figures = [] if len(kinds) < 2 else [kinds_figure(runs, covers)]
    for kind in kinds:
        # Of several kinds, each model's controls are in its tables.
        shown = runs if len(kinds) == 1 else runs[:1]
        curves = {run.label: {c: curves_of(run, c, kind) for c in covers} for run in shown}
        figures.append(lens_figure(curves, kind))
    readings = {cover: readings_of(main, cover, kinds[0]) for cover in covers}
    if any(len(by_rule) > 1 for by_rule in readings.values()):
        figures.append(readings_figure(main.label, kinds[0], readings))
    tables = [
        *(table for run in runs if (table := kinds_table(run))),
        *(table for run in runs if (table := agreement_table(run))),
        *(
            table
            for run in runs
            for kind in kinds_of(run)
            if (table := peak_table(run, kind, run is not main or kind != kinds[0]))
        ),
        *(
            table
            for run in runs
            for kind in kinds_of(run)
            for table in layers_tables(run, kind, run is not main or kind != kinds[0])
        ),
        *extra_tables(
            runs, "lens", "best_layer", "the best layer of each image, the paper's statistic."
        ),
        *(table for run in runs for kind in kinds_of(run) if (table := words_table(run, kind))),
    ]
    findings = [finding for run in runs if (finding := main_finding(run))]
    each = [lens_finding(main, kind) for kind in kinds] if len(kinds) > 1 else []
    told = kinds if len(kinds) == 1 else LIES_AND_CAUSES
    return Section(
        key="lens",
        title="What a visual token says"
        + (f": the {LABELS[kinds[0]]}" if len(kinds) == 1 else ", by several lenses"),
        question=(
            "Reading visual tokens as if they were words: at which layer, and in which model, do "
            "an object's tokens have its name as their nearest word?"
        ),
        sentences=(
            *lying_and_causing(runs),
            *(finding.sentence for finding in findings),
            *(finding.sentence for finding in each if finding),
            *(text for kind in kinds if kind in told for text in between_models(runs, kind)),
            *(text for cover in covers if (text := best_layer_sentence(main, cover))),
        ),
        figures=tuple(figures),
        tables=tuple(tables),
        notes=(*notes_of(runs, "near" in readings[covers[0]]), *kinds_notes(kinds)),
        finding=_with_models(findings[0], runs) if findings else None,
    )


def _with_models(finding: Finding, runs: Sequence[StudyRun]) -> Finding:
    """Adds the other models' results to the main model's finding."""
    more = models_in_short(runs)
    return replace(finding, sentence=f"{finding.sentence} {more}") if more else finding
