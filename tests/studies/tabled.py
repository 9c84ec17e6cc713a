"""Tables of studies from rows that are written by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from retinoscope.studies.registry import columns_of, summaries_of


class HeldRows:
    """Rows in memory, read as `retinoscope.store.ResultsScan` is."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        names = dict.fromkeys(name for row in rows for name in row)
        self.table = pa.table({name: [row.get(name) for row in rows] for name in names})
        self.schema, self.num_rows = self.table.schema, self.table.num_rows

    def tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        yield self.table.select([name for name in columns if name in self.schema.names])


def tabled(
    study: str, rows: Sequence[Mapping[str, Any]], name: str = "summary"
) -> list[dict[str, Any]]:
    """A study's summary of these rows, or one of its further tables."""
    main, others = summaries_of(study)
    table = main if name == "summary" else others[name]
    return table.over(HeldRows(rows), columns_of(study)).to_pylist()


def one(table: Sequence[Mapping[str, Any]], **where: Any) -> Mapping[str, Any]:
    """The only record with these values."""
    found = [row for row in table if all(row[name] == value for name, value in where.items())]
    assert len(found) == 1, found
    return found[0]
