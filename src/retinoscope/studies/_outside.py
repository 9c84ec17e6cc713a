"""Checks on the content of run directories, which may be damaged or someone else's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, FiniteFloat, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from ..errors import InputError, RetinoscopeError
from .columns import LISTS, NUMBER, TEXT, TRUTH, WHOLE

if TYPE_CHECKING:
    import pyarrow as pa

    from .columns import Columns

EXAMPLES_BYTES = 256 * 2**20

_Pixel = Annotated[FiniteFloat, Field(ge=-1e7, le=1e7)]
_Side = Annotated[FiniteFloat, Field(gt=0, le=1e7)]
_Index = Annotated[int, Field(ge=0, lt=2**31)]
_Cells = Annotated[int, Field(ge=1, le=8_192)]
_Grid = Annotated[list[_Cells], Field(min_length=2, max_length=2)]
_Box = Annotated[list[_Pixel | None], Field(min_length=4, max_length=4)]


class _RecordedExample(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    sample: NotRequired[str]
    image: NotRequired[Annotated[str, StringConstraints(max_length=4_096, pattern=r"^[^\x00]*$")]]
    size: NotRequired[Annotated[list[_Side], Field(min_length=2, max_length=2)]]
    grid: NotRequired[_Grid | None]
    boxes: NotRequired[list[_Box | None]]
    positions: NotRequired[list[_Index | None] | None]
    sets: NotRequired[dict[str, list[_Index]] | None]


_EXAMPLES = TypeAdapter(list[_RecordedExample])


def examples_in(file: Path) -> list[dict[str, Any]]:
    """Reads the examples that a study stored.

    Raises:
        InputError: the file is not JSON, or an example has a field of another type or out of range.
    """
    from ..store import first_fault

    if file.stat().st_size > EXAMPLES_BYTES:
        raise InputError(f"{file}: expected at most {EXAMPLES_BYTES >> 20} MiB: restore the file")
    try:
        content = from_json(file.read_bytes(), allow_inf_nan=False)
        _EXAMPLES.validate_python(content)
    except ValidationError as error:
        raise InputError(f"{file}: {first_fault(error)}: restore the file") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}): restore the file") from error
    except ValueError as error:
        raise InputError(f"{file} is no JSON ({error}): restore the file") from error
    return content


def check_kinds(schema: pa.Schema, file: Path, kinds: Columns) -> None:
    """Raises InputError for a column that holds another kind of value than the study writes."""
    import pyarrow as pa

    is_ = pa.types
    known = {
        TEXT: (is_.is_string, is_.is_large_string),
        WHOLE: (is_.is_integer,),
        NUMBER: (is_.is_floating, is_.is_integer),
        TRUTH: (is_.is_boolean,),
    }
    for field in schema:
        expected = kinds.get(field.name)
        if expected is None or is_.is_null(field.type):
            continue
        of, held = expected, field.type
        if expected in LISTS and is_.is_list(field.type):
            of, held = LISTS[expected], field.type.value_type
            if is_.is_null(held):
                continue
        if not any(one(held) for one in known.get(of, ())):
            raise InputError(
                f"{file}: column {field.name!r}: expected {expected}, got {field.type}: restore "
                "the file"
            )


@contextmanager
def evaluating(path: str | Path) -> Iterator[None]:
    """Turns every unforeseen error of the block, which evaluates a run directory, into InputError.

    Raises:
        InputError: in place of any Python error that unforeseen content leads to.
    """
    import pyarrow as pa

    try:
        yield
    except (RetinoscopeError, OSError):
        raise
    except (Exception, RecursionError) as error:
        if isinstance(error, pa.ArrowMemoryError | MemoryError):
            raise InputError(f"{path}: its files do not fit into memory: restore them") from error
        text = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path}: expected a study's files, got content that cannot be evaluated "
            f"({type(error).__name__}: {text}): restore the folder, or give the study's command "
            "again with another --out"
        ) from error
