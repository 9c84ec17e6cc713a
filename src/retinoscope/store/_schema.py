"""Bounds on the contents of a run directory, which may be someone else's, or damaged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from retinoscope.errors import InputError

MANIFEST_BYTES = 64 * 2**20
"""Enough for the run.json of a curation of a million images."""

LAYERS = 4_096
"""More than the layers of any model, and the heads of any layer."""

COUNT = 2**53
"""Whole numbers beyond it have no exact floating-point form."""

GROUP_BYTES = 2 * 2**30
"""The size of one row group, uncompressed; this package writes 32,768 rows per group."""

_Text = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
_Count = Annotated[int, Field(ge=0, lt=2**31)]


class _NameFacts(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]
    name: NotRequired[str | None]
    fingerprint: NotRequired[_Text]


class _SourceFacts(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]
    spec: Annotated[str, StringConstraints(max_length=4_096)]
    seed: NotRequired[Annotated[int, Field(ge=0, lt=2**64)]]
    limit: NotRequired[_Count]


class _DataFacts(_NameFacts):
    samples: NotRequired[_Count]
    images: NotRequired[_Count]
    source: NotRequired[_SourceFacts | None]


class _RunManifest(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]
    study: _Text
    parameters: dict[str, Any]
    model: _NameFacts | str
    data: _DataFacts | str
    seeds: dict[str, Any] | int
    dtype: str
    schema: _Count
    command: NotRequired[str | None]
    device: NotRequired[str | None]
    created: NotRequired[str]
    versions: NotRequired[dict[str, str]]
    resumed: NotRequired[list[dict[str, Any]]]


_MANIFEST = TypeAdapter(_RunManifest)


def check_manifest(content: object, file: Path) -> None:
    """Raises InputError for a manifest with a field of the wrong type or out of bounds."""
    try:
        _MANIFEST.validate_python(content)
    except ValidationError as error:
        raise InputError(f"{file}: {first_fault(error)}: restore the file") from error


def first_fault(error: ValidationError) -> str:
    """Describes the first wrong field: what was expected there, and what it is."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    got = repr(first["input"])
    got = got if len(got) <= 60 else f"{got[:57]}..."
    expected = str(first["msg"]).removeprefix("Input should be ")
    return f"field {place or 'of all'!r}: expected {expected}, got {got}"


def check_columns(schema: pa.Schema, file: Path) -> None:
    """Raises InputError for a table with duplicate columns, or a column of an unsupported type."""
    for field in schema:
        if not _is_value(field.type):
            raise InputError(
                f"{file}: column {field.name!r}: expected numbers, texts or lists of them, got "
                f"{field.type}: restore the file"
            )
    if len(set(schema.names)) != len(schema.names):
        raise InputError(f"{file}: expected each column once, got one twice: restore the file")


def check_group(rows: int, size: int, file: Path) -> None:
    """Raises InputError for a row group that is too large for memory."""
    if size > GROUP_BYTES or rows > 2**24:
        raise InputError(
            f"{file}: expected row groups of at most {GROUP_BYTES >> 30} GiB, got one of {rows} "
            f"rows and {size >> 20} MiB: restore the file"
        )


def check_values(table: pa.Table, file: Path) -> None:
    """Raises InputError for an impossible layer, head or count."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not pa.types.is_integer(column.type) or not len(column):
            continue
        ends: Mapping[str, int | None] = pc.min_max(column).as_py()  # type: ignore[attr-defined]
        low, high = ends["min"], ends["max"]
        if low is None or high is None:
            continue
        most = LAYERS if name == "head" or "layer" in name else COUNT
        # Head -1 stands for the mean over heads.
        least = -1 if most == LAYERS else 0 if name.startswith("n_") else -COUNT
        if low < least or high > most:
            got = low if low < least else high
            raise InputError(
                f"{file}: column {name!r}: expected {least} to {most}, got {got}: restore the file"
            )


def _is_value(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_value(kind.value_type)
    simple = (
        *(pa.types.is_null, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating),
        *(pa.types.is_string, pa.types.is_large_string),
    )
    return any(check(kind) for check in simple)
