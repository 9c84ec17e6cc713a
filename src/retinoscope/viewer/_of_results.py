"""Documents of finished studies: tables, flow, outcomes. Nothing here needs a model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from ..data import Sample
from ..studies import Results
from ..studies.registry import condition_of, noun_of, summaries_of, table_note_of, views_of
from ..studies.runs import StudyRun
from ..studies.token_sets import SET_COLUMNS, NamedSet
from ..studies.windows import WINDOW_COLUMNS, window_label
from ._documents import (
    ColumnFacts,
    FlowDocument,
    QuestionResult,
    SampleOutcome,
    SampleValues,
    StudyFacts,
    TableDocument,
    TablePart,
    WindowFacts,
)

_SHARES = ("decrease", "accuracy", "difference", "probability_change", "share")
_SHORT = {
    "answer_before": "before",
    "answer_after": "after",
    "probability_before": "p_before",
    "probability_after": "p_after",
}


@dataclass(eq=False)
class _SampleTallies:
    """Facts by sample, gathered in one pass over a study's rows."""

    first: dict[str, int] = field(default_factory=dict)
    count: dict[str, int] = field(default_factory=dict)
    scattered: set[str] = field(default_factory=set)
    right: dict[str, bool] = field(default_factory=dict)
    broken: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    cells: dict[tuple[str, str, str], tuple[dict[str, None], dict[str, None]]] = field(
        default_factory=lambda: defaultdict(lambda: ({}, {}))
    )
    changes: dict[str, dict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )


@dataclass(frozen=True)
class StudyDocuments:
    """One finished study as documents.

    Attributes:
        run: the study's run.
        id: id of the study, unique within the page.
    """

    run: StudyRun
    id: str

    @property
    def results(self) -> Results:
        return self.run.results

    def facts(self) -> StudyFacts:
        noun = noun_of(self.run.study)
        title = f"{noun[0].upper()}{noun[1:]} of {self.run.label}"
        return StudyFacts(self.id, self.run.study, title, self.conditions(), self.views)

    @property
    def views(self) -> tuple[str, ...]:
        """The views that the page can show besides tables."""
        return views_of(self.run.study)

    def conditions(self) -> list[str]:
        """Returns the edits in words, in the summary's order."""
        names = [self.condition(row) for row in self.run.summary]
        return list(dict.fromkeys(name for name in names if name is not None))

    def condition(self, row: Mapping[str, object]) -> str | None:
        """Returns a row's edit in words; None for the answer before any edit."""
        return condition_of(self.run.study)(row)

    def sample_ids(self) -> list[str]:
        """Returns the samples' ids in the order of the data."""
        return list(self._tallies.first)

    def outcome(self, sample: str) -> SampleOutcome | None:
        """Returns a sample's outcome; None if this study did not ask about it."""
        if sample not in self._tallies.first:
            return None
        return SampleOutcome(
            self._tallies.right.get(sample), list(self._tallies.broken.get(sample, ()))
        )

    def rows(self, sample: str) -> list[dict[str, object]]:
        """Returns the study's rows of one sample, without empty cells.

        Empty if they are not contiguous, as in a study that writes its rows probe by probe.
        """
        if sample not in self._tallies.first or sample in self._tallies.scattered:
            return []
        tallies = self._tallies
        rows: list[dict[str, object]] = self.results.scan.rows(
            tallies.first[sample], tallies.count[sample]
        ).to_pylist()
        return [
            {"study": self.id, "condition": self.condition(row) or "none"}
            | {
                _SHORT.get(name, name): cell
                for name, cell in row.items()
                if cell is not None and name not in ("sample", "condition")
            }
            for row in rows
        ]

    def table(self) -> TableDocument:
        """Returns the summary with intervals, further summaries, and values by sample."""
        main, others = summaries_of(self.run.study)
        columns, rows = _columns_of(self.results.summary(), main.conditions)
        more = []
        for name, part in self.results.extras().items():
            extra_columns, extra_rows = _columns_of(part, others[name].conditions)
            more.append(TablePart(name.replace("_", " "), extra_columns, extra_rows))
        spread = [
            SampleValues(key, [float(np.mean(changes)) for changes in by_sample.values()])
            for key, by_sample in self._tallies.changes.items()
        ]
        return TableDocument(columns, rows, table_note_of(self.run.study), more, spread)

    def flow(self, index: Mapping[str, int]) -> FlowDocument | None:
        """Returns relative accuracy by source, target and window; None for other studies.

        Args:
            index: the page's index of each sample.
        """
        if "flow" not in self.views:
            return None
        summary = self.run.summary
        sources = list(dict.fromkeys(NamedSet.of(row).label for row in summary))
        targets = list(dict.fromkeys(str(row["target"]) for row in summary))
        windows: dict[str, WindowFacts] = {}
        for row in summary:
            name = window_label(row)
            layers = (int(row[end] or 0) for end in ("first_layer", "last_layer"))
            windows.setdefault(name, WindowFacts(name, *layers))
        shape = (len(sources), len(targets), len(windows))
        value, low, high = (np.full(shape, np.nan, np.float32) for _ in range(3))
        n = np.zeros(shape, np.int32)
        samples: dict[str, list[int]] = {}
        kept: dict[str, list[int]] = {}
        order = {name: place for place, name in enumerate(windows)}
        for row in summary:
            source, target, window = edge = edge_of(row)
            cell = sources.index(source), targets.index(target), order[window]
            for array, end in ((value, ""), (low, "_low"), (high, "_high")):
                accuracy = row[f"accuracy{end}"]
                array[cell] = np.nan if accuracy is None else float(accuracy)
            n[cell] = int(row["n"] or 0)
            key = ",".join(str(part) for part in cell)
            wrong, right = self._tallies.cells[edge]
            samples[key] = [index[sample] for sample in wrong if sample in index]
            kept[key] = [index[one] for one in right if one in index and one not in wrong]
        return FlowDocument(
            sources, targets, list(windows.values()), value, low, high, n, samples, kept
        )

    @cached_property
    def _tallies(self) -> _SampleTallies:
        tallies = _SampleTallies()
        for place, row in enumerate(_slim_rows(self.results)):
            sample = str(row["sample"])
            first = tallies.first.setdefault(sample, place)
            count = tallies.count[sample] = tallies.count.get(sample, 0) + 1
            if place != first + count - 1:
                tallies.scattered.add(sample)
            self._tally(tallies, sample, row)
        return tallies

    def _tally(self, tallies: _SampleTallies, sample: str, row: Mapping[str, object]) -> None:
        before = row.get("baseline_correct")
        if before is None or row.get("kept") is False:
            return
        tallies.right[sample] = tallies.right.get(sample, False) or bool(before)
        condition = self.condition(row)
        if condition is None or not before:
            return
        wrong = row.get("correct") is False
        if wrong:
            tallies.broken[sample][condition] = None
        if "window" in row:
            tallies.cells[edge_of(row)][0 if wrong else 1][sample] = None
        was, now = row.get("probability_before"), row.get("probability_after")
        if isinstance(was, float) and isinstance(now, float):
            tallies.changes[condition][sample].append(now - was)


_SLIM = (
    *("sample", *SET_COLUMNS, "target", *WINDOW_COLUMNS, "kept"),
    *("baseline_correct", "correct", "probability_before", "probability_after"),
)


def _slim_rows(results: Results) -> Iterator[dict[str, object]]:
    table: pa.Table
    for table in results.scan.tables(_SLIM):
        yield from table.to_pylist()


def edge_of(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Returns source, target and window of a knockout in words."""
    return NamedSet.of(row).label, str(row["target"]), window_label(row)


def questions_of(rows: Sequence[Mapping[str, object]]) -> list[QuestionResult]:
    """Returns the questions about a sample, with the model's answers before any edit."""
    results: dict[tuple[str, str], QuestionResult] = {}
    for row in rows:
        question, answer = row.get("question"), row.get("answer")
        if question is None or row.get("condition") != "none":
            continue
        key = (str(question), str(answer))
        before, right = row.get("before"), row.get("baseline_correct")
        results.setdefault(
            key,
            QuestionResult(
                *key,
                None if before is None else str(before),
                None if right is None else bool(right),
            ),
        )
    return list(results.values())


def questions_about(sample: Sample) -> list[QuestionResult]:
    """Returns one question of each kind about a sample that no study asked about.

    Questions for a word come first: their tokens tell more than those of yes or no.
    """
    first = {question.kind: question for question in reversed(sample.questions)}
    ordered = sorted(first.values(), key=lambda q: (q.answer in ("yes", "no"), q.kind))
    return [QuestionResult(q.question, q.answer, None, None) for q in ordered]


def _columns_of(
    table: pa.Table, conditions: Collection[str]
) -> tuple[list[ColumnFacts], list[list[object]]]:
    """Returns a summary's columns and rows, with each estimate and its interval in one cell.

    Args:
        conditions: columns that identify a row rather than report a result.
    """
    names = table.column_names
    estimates = [n for n in names if f"{n}_low" in names and f"{n}_high" in names]
    ends = {f"{name}{end}" for name in estimates for end in ("_low", "_high")}
    columns = []
    for name in (name for name in names if name not in ends):
        kind = table.schema.field(name).type
        if name in estimates:
            unit = "share" if name in _SHARES else ""
            columns.append(ColumnFacts(name, "estimate", unit, False))
        elif pa.types.is_floating(kind):
            columns.append(ColumnFacts(name, "float", "", name in conditions))
        else:
            of = "int" if pa.types.is_integer(kind) else "text"
            columns.append(ColumnFacts(name, of, "", name in conditions))
    rows: list[list[object]] = []
    for row in table.to_pylist():
        cells: list[object] = []
        for column in columns:
            value = row[column.name]
            if column.kind == "estimate" and value is not None:
                value = [value, row[f"{column.name}_low"], row[f"{column.name}_high"]]
            cells.append(value)
        rows.append(cells)
    return columns, rows
