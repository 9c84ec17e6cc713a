"""Conversion of rows (dicts) to Arrow tables, whose column types do not depend on batching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from operator import itemgetter

import numpy as np
import pyarrow as pa

from retinoscope.errors import InputError

KEY, ROW = ROW_KEYS = "sample_key", "sample_row"
"""Columns added by the store: the sample's key, and the row's number within the sample."""

Scalar = None | bool | int | float | str
Value = Scalar | Sequence[Scalar]
Row = Mapping[str, Value]

_NULL, _INT, _FLOAT = pa.null(), pa.int64(), pa.float64()
_TYPES = {type(None): _NULL, bool: pa.bool_(), int: _INT, float: _FLOAT, str: pa.string()}


def join_types(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """The smallest type that holds both (null < int < float, lists by item), or None."""
    if first == second or second == _NULL:
        return _renamed(first)
    if first == _NULL:
        return _renamed(second)
    if {first, second} == {_INT, _FLOAT}:
        return _FLOAT
    if pa.types.is_list(first) and pa.types.is_list(second):
        item = join_types(first.value_type, second.value_type)
        return None if item is None else pa.list_(item)
    return None


def _renamed(kind: pa.DataType) -> pa.DataType:
    """Gives a list's items their default name; in a list read from a file they have another, which
    would change the bytes of the next file."""
    return pa.list_(_renamed(kind.value_type)) if pa.types.is_list(kind) else kind


def table_of(key: str, rows: Sequence[Row]) -> pa.Table:
    """Converts one sample's rows to a table: columns by first appearance, then key and number.

    Values are None, bool, int (64 bits), float, str, lists of these, or NumPy's equivalents.

    Raises:
        InputError: a value of another type, two types in one column, or a reserved column name; the
            message names the sample, the row and the column.
    """
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    for name in names:
        if not isinstance(name, str) or not name or name in (KEY, ROW):
            raise InputError(
                f"sample {key}: a column cannot be called {name!r}; "
                f"expected a non-empty name other than {KEY!r} and {ROW!r}"
            )
    if len(names) > 1 and all(len(row) == len(names) for row in rows):
        values = zip(*map(itemgetter(*names), rows), strict=True)
    else:
        values = ([row.get(name) for row in rows] for name in names)
    columns = {
        name: _column(key, name, list(column)) for name, column in zip(names, values, strict=True)
    }
    columns[KEY] = pa.repeat(pa.scalar(key, pa.string()), len(rows))
    columns[ROW] = pa.array(np.arange(len(rows), dtype=np.int64))
    return pa.table(columns)


def join_schemas(
    known: Mapping[str, pa.DataType], schema: pa.Schema, where: str
) -> dict[str, pa.DataType]:
    """Extends `known` by the columns of `schema`.

    Raises:
        InputError: a column whose types do not fit together; `where` names the sample or file.
    """
    types = dict(known)
    for field in schema:
        joined = join_types(types.get(field.name, _NULL), field.type)
        if joined is None:
            raise InputError(
                f"{where}: column {field.name!r} holds {field.type}, other rows of this run hold "
                f"{types[field.name]}; a column holds values of one type"
            )
        types[field.name] = joined
    return types


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """`table` with exactly the columns and types of `schema`; missing columns are null."""
    columns = []
    for field in schema:
        index = table.schema.get_field_index(field.name)
        if index < 0:
            columns.append(pa.nulls(table.num_rows, field.type))
        else:
            column = table.column(index)
            # Integers beyond 2**53 are rounded as in `_column`, so that batching changes nothing.
            columns.append(
                column if column.type == field.type else column.cast(field.type, safe=False)
            )
    return pa.table(columns, schema=schema)


def _column(key: str, name: str, values: list[Value]) -> pa.Array:
    kinds = set(map(type, values)) - {type(None)}
    if len(kinds) == 1 and (simple := _TYPES.get(kinds.pop())) is not None:
        return _array(key, name, values, simple)
    kind, plain = _NULL, []
    for number, value in enumerate(values):
        try:
            value, value_kind = _plain(value)
            joined = join_types(kind, value_kind)
            if joined is None:
                raise TypeError(f"{value_kind} after {kind}; a column holds values of one type")
            kind = joined
        except TypeError as error:
            raise InputError(f"sample {key}, row {number}, column {name!r}: got {error}") from None
        plain.append(value)
    return _array(key, name, _floats(plain) if _holds_floats(kind) else plain, kind)


def _array(key: str, name: str, values: list[Value], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise InputError(f"sample {key}, column {name!r}: cannot be stored: {error}") from None


def _plain(value: Value) -> tuple[Value, pa.DataType]:
    kind = _TYPES.get(type(value))
    if kind is not None:
        return value, kind
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        items, kind = [], _NULL
        for item in value:
            item, item_kind = _plain(item)
            joined = join_types(kind, item_kind)
            if joined is None:
                raise TypeError(f"a list with {kind} and {item_kind}; lists hold one type")
            kind = joined
            items.append(item)
        return items, pa.list_(kind)
    for base in (bool, int, float, str):
        if isinstance(value, base):
            return base(value), _TYPES[base]
    raise TypeError(
        f"a {type(value).__name__}; expected None, bool, int, float, str or a list of these "
        "(arrays go to write_tensors, pictures to write_file)"
    )


def _holds_floats(kind: pa.DataType) -> bool:
    return _holds_floats(kind.value_type) if pa.types.is_list(kind) else kind == _FLOAT


def _floats(value):
    if isinstance(value, list):
        return [_floats(item) for item in value]
    return float(value) if isinstance(value, int) else value
