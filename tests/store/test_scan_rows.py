"""Some rows of a large table, without the others."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retinoscope.errors import InputError
from retinoscope.store import ResultsScan


@pytest.mark.parametrize(("first", "count"), [(0, 10), (3, 1), (3, 4), (9, 1), (4, 0), (0, 0)])
def test_rows_are_those_of_the_table(tmp_path: Path, first: int, count: int) -> None:
    table = pa.table({"x": list(range(10))})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=3)
    scan = ResultsScan(tmp_path / "t.parquet", table.schema, 10)
    assert scan.rows(first, count)["x"].to_pylist() == list(range(first, first + count))


@pytest.mark.parametrize(("first", "count"), [(-1, 2), (0, 11), (10, 1), (3, -1)])
def test_rows_that_are_not_there_are_refused(tmp_path: Path, first: int, count: int) -> None:
    table = pa.table({"x": list(range(10))})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(InputError, match="rows among 10"):
        ResultsScan(tmp_path / "t.parquet", table.schema, 10).rows(first, count)
