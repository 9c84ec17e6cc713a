"""`Results`: a finished study, read from its run directory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .. import arguments
from ..errors import InputError
from ..store import ROW_KEYS, Json, ResultsScan, read_manifest, read_results, scan_results
from ._outside import check_kinds, evaluating, examples_in
from .registry import STUDIES, columns_of, summaries_of

if TYPE_CHECKING:
    import pyarrow as pa

EXAMPLES = "examples.json"


@dataclass(frozen=True)
class Results:
    """The results of a study, read from `path`; nothing needs the model.

    `manifest` records what was run, `table` holds one row per sample and condition, `summary()` the
    shares with their intervals, `examples()` a few pictures. Only `table` (and `to_frame`) loads
    all rows into memory; `scan` is for runs of tens of millions of them.
    """

    path: Path

    @cached_property
    def manifest(self) -> dict[str, Json]:
        return read_manifest(self.path)

    @property
    def study(self) -> str:
        """Name of the study: "ablation", "lens", "knockout", "flow", "look", "alignment" etc."""
        return str(self.manifest["study"])

    @cached_property
    def table(self) -> pa.Table:
        """All rows, in the order of the samples.

        Raises:
            InputError: the study is not finished.
        """
        return read_results(self.path)

    @cached_property
    def scan(self) -> ResultsScan:
        """All rows, to be read in pieces.

        Raises:
            InputError: the study is not finished, or its file is damaged.
        """
        return scan_results(self.path)

    @property
    def n_rows(self) -> int:
        """Number of rows of the table."""
        return self.scan.num_rows

    def to_frame(self) -> pa.Table:
        """As `table`; its `.to_pandas()` returns a pandas frame."""
        return self.table

    def summary(self) -> pa.Table:
        """One row per condition: the estimate, its 95% interval, its control, its sample size."""
        return self._summary

    @cached_property
    def _summary(self) -> pa.Table:
        # Cached: a bootstrap per row takes seconds on a large run, and a report asks repeatedly.
        with evaluating(self.path):
            return summaries_of(self.study)[0].over(self.scan, columns_of(self.study))

    def extras(self) -> dict[str, pa.Table]:
        """Further summaries by name: the EXTRAS of the study's summary.py."""
        return self._extras

    @cached_property
    def _extras(self) -> dict[str, pa.Table]:
        with evaluating(self.path):
            tables, kinds = summaries_of(self.study)[1], columns_of(self.study)
            return {name: table.over(self.scan, kinds) for name, table in tables.items()}

    def errors(self) -> list[tuple[str, str]]:
        """Returns sample and message of all errors: of whole samples, and of their items."""
        return self._errors

    @cached_property
    def _errors(self) -> list[tuple[str, str]]:
        return [
            (row["sample"], row["error"])
            for table in self.scan.tables(["sample", "error"])
            for row in table.filter(table["error"].is_valid()).to_pylist()
        ]

    @cached_property
    def unknown_words(self) -> tuple[int, tuple[str, ...]]:
        """Number of questions with words unknown to the model's tokenizer, and these words.

        Raises:
            InputError: the study is not finished, or its file is damaged.
        """
        import pyarrow as pa

        from ._unknown_words import UNKNOWN

        if UNKNOWN not in self.scan.schema.names:
            return 0, ()
        kind = self.scan.schema.field(UNKNOWN).type
        if not (pa.types.is_string(kind) or pa.types.is_null(kind)):
            raise InputError(
                f"{self.path}: column {UNKNOWN!r}: expected texts, got {kind}: restore the file"
            )
        unknown = {
            (row["sample"], row["question"]): row[UNKNOWN]
            for table in self.scan.tables(["sample", "question", UNKNOWN])
            for row in table.filter(table[UNKNOWN].is_valid()).to_pylist()
        }
        words = dict.fromkeys(word for text in unknown.values() for word in text.split(", "))
        return len(unknown), tuple(words)

    @cached_property
    def incomplete(self) -> tuple[int, int]:
        """Number of rows whose integrated gradients do not add up, and of rows with any at all.

        The bound is that of `retinoscope.tokens.COMPLETE`.

        Raises:
            InputError: the study is not finished.
        """
        from ..tokens import incomplete
        from ._map_options import COMPLETENESS

        if COMPLETENESS not in self.scan.schema.names:
            return 0, 0
        errors = [
            error
            for table in self.scan.tables([COMPLETENESS])
            for error in table[COMPLETENESS].drop_null().to_pylist()
        ]
        return sum(map(incomplete, errors)), len(errors)

    def failures(self) -> list[tuple[str, str]]:
        """Returns sample and message of the samples that failed as a whole."""
        from ._survival import failed_rows

        return [
            (row["sample"], row["error"])
            for table in self.scan.tables(["sample", "error", "item"])
            for row in failed_rows(table).to_pylist()
        ]

    @cached_property
    def n_samples(self) -> int:
        """Number of samples that were asked about; the others offered nothing to ask about."""
        names: set[str] = set()
        for table in self.scan.tables(["sample"]):
            names.update(table["sample"].unique().to_pylist())
        return len(names)

    def examples(self) -> list[dict[str, Json]]:
        """Returns pictures for a report; `image` is a file name relative to `path`."""
        file = self.path / EXAMPLES
        return examples_in(file) if file.exists() else []


def open_results(path: str | Path) -> Results:
    """Opens the results of a finished study.

    Raises:
        InputError: `path` is not a study's run directory, or the study is not finished.
    """
    results = Results(arguments.path(path, "a run directory"))
    if results.study not in STUDIES:
        raise InputError(
            f"{path} holds a run of {results.study!r}; expected one of {', '.join(STUDIES)}"
        )
    lacking = [name for name in ("sample", "error") if name not in results.scan.schema.names]
    if lacking and results.scan.num_rows:
        raise InputError(
            f"{results.scan.file}: expected the columns 'sample' and 'error', got none called "
            f"{lacking[0]!r}: restore the file"
        )
    from ._unknown_words import UNKNOWN

    columns, names = columns_of(results.study), results.scan.schema.names
    known = {*columns, UNKNOWN, *ROW_KEYS}
    main, _ = summaries_of(results.study)
    strange = [f"one called {name!r}" for name in names if name not in known]
    # Rows whose condition is unknown would be pooled.
    strange += [
        f"none called {name!r}" for name in main.conditions if name in {*columns} - {*names}
    ]
    if strange and results.scan.num_rows:
        raise InputError(
            f"{results.scan.file}: expected the columns of this version, got {strange[0]}: give "
            "the study's command again with another --out"
        )
    check_kinds(results.scan.schema, results.scan.file, columns)
    return results
