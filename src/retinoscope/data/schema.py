"""Files parsed against a declared schema, with errors that name file, entry and field.

A format declares its entries as typed dictionaries of the types below. `entries` checks a whole
list at once, at about the cost of reading the JSON, and drops unused fields.
"""

from __future__ import annotations

import codecs
import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, TypeVar

from pydantic import (
    ConfigDict,
    FailFast,
    Field,
    FiniteFloat,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import from_json

from ..errors import InputError

T = TypeVar("T")

STRICT = ConfigDict(strict=True)
"""The settings of every JSON schema: texts and booleans are not numbers."""

Id = Annotated[int, Field(ge=-(2**63), lt=2**64)] | Annotated[str, StringConstraints(min_length=1)]
"""A number or a text."""
Side = Annotated[int, Field(ge=1, le=1_000_000)]
"""Width or height of an image in pixels."""
Index = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]
"""A text that is not blank."""
FileName = Annotated[str, StringConstraints(min_length=1, max_length=4_096, pattern=r"^[^\x00]+$")]
"""A path; `inside` decides where it may lead."""
Coordinate = Annotated[FiniteFloat, Field(ge=-1e9, le=1e9)]
Length = Annotated[FiniteFloat, Field(ge=0, le=1e9)]
Flag = bool | Annotated[int, Field(ge=0, le=1)]

_LONGEST, _LONGEST_PATH = 255, 2_048
"""The most bytes of a name in common file systems, and characters of a path within the data."""

_EXPECTED = {
    "missing": "this field",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "finite_number": "a finite number",
    "string_too_short": "a text that is not empty",
    "string_pattern_mismatch": "a file name",
    "greater_than": "more than {gt:,.17g}",
    "greater_than_equal": "{ge:,.17g} or more",
    "less_than": "less than {lt:,.17g}",
    "less_than_equal": "at most {le:,.17g}",
    "too_short": "at least {min_length:,} values",
    "too_long": "at most {max_length:,} values",
}
_UNIONS = frozenset({"bool", "str", "list", "dict"})


def entries(adapter: TypeAdapter[T], content: object, where: str, what: str) -> T:
    """Checks `content`; an error names the first wrong entry.

    Args:
        adapter: of a list that stops at its first error, as made by `listed`.
        where: the file, or the place in it.
        what: one entry, such as "annotation" or "image".

    Raises:
        InputError: an entry or a field that is missing, out of range or of the wrong type.
    """
    try:
        return adapter.validate_python(content)
    except ValidationError as error:
        raise InputError(_message(error, content, where, what)) from error


def listed(schema: type[T]) -> TypeAdapter[list[T]]:
    """The adapter for `entries` of a list of these."""
    return TypeAdapter(Annotated[list[schema], FailFast()])  # type: ignore[valid-type]


def entry(adapter: TypeAdapter[T], content: object, where: str) -> T:
    """Checks one entry, which `where` names in errors.

    Raises:
        InputError: a field that is missing, out of range or of the wrong type.
    """
    try:
        return adapter.validate_python(content)
    except ValidationError as error:
        raise InputError(f"{where}: {_field(error, 0)}") from error


def unique(values: Iterable[object], where: str, what: str) -> None:
    """Raises InputError for duplicate ids; 1 and "1" are equal, since ids are shown as texts."""
    counted = Counter(map(str, values))
    duplicates = [value for value, count in counted.items() if count > 1]
    if duplicates:
        more = f" (and {len(duplicates) - 1} more)" if len(duplicates) > 1 else ""
        raise InputError(
            f"{where}: expected a different id for every {what}, got {duplicates[0]!r} "
            f"{counted[duplicates[0]]} times{more}: renumber them, or remove the duplicates"
        )


def inside(name: str, where: str, *, outside: bool = False) -> str:
    """Returns the name of a file if it stays in its folder, or any name with `outside`.

    Links in the folder are followed: whoever made the folder made them.

    Raises:
        InputError: an absolute path, one with "..", or a text that no file can be called.
    """
    _nameable(name, where)
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
    if not outside and (absolute or ".." in parts):
        raise InputError(
            f"{where}: expected a file inside the folder of the data, got {name!r}: make it "
            "relative to that folder, or allow this data to name any file, as outside:DATA on the "
            "command line and outside=True in Python"
        )
    return name


def _nameable(name: str, where: str) -> None:
    """Raises InputError for names that no file system accepts and that make Python raise."""
    try:
        longest = max((len(part.encode()) for part in PurePosixPath(name).parts), default=0)
    except UnicodeEncodeError:
        longest = _LONGEST + 1
    if longest > _LONGEST or len(name) > _LONGEST_PATH or "\0" in name or not name.strip():
        raise InputError(f"{where}: expected the name of a file, got {name[:40]!r}: correct it")


def read_lines(file: Path, what: str) -> list[str]:
    """The lines of a UTF-8 text that are not blank.

    Args:
        what: what the file should hold, for the error.

    Raises:
        InputError: a file that cannot be read, or is not text.
    """
    try:
        return [line for line in file.read_text("utf-8-sig").splitlines() if line.strip()]
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}): check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: expected {what} in UTF-8, got other bytes ({error})") from error


def json_of(raw: bytes) -> object:
    """Parses JSON from bytes, with or without a byte-order mark.

    Raises:
        ValueError: not JSON, or not UTF-8 (UTF-16 with a byte-order mark is accepted too).
    """
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raw = raw.decode("utf-16").encode()
    return from_json(raw.removeprefix(codecs.BOM_UTF8))


def read_json(file: Path) -> object:
    """Parses the JSON in `file`. Raises InputError if it cannot be read or is not JSON."""
    try:
        return json_of(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}): check the path") from error
    except ValueError as error:
        raise InputError(f"{file}: expected JSON, got something else ({error})") from error


@contextmanager
def uncollected() -> Iterator[None]:
    """Switches off garbage collection while millions of small objects are created.

    It would traverse all of them again and again: two thirds of the time that COCO's file takes.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _message(error: ValidationError, content: object, where: str, what: str) -> str:
    place = _errors(error)[0]["loc"]
    if not place:
        return f"{where}: expected a list of {what}s, got a {type(content).__name__}"
    number = place[0]
    item = content[number] if isinstance(content, Sequence) and isinstance(number, int) else None
    ident = item.get("id") if isinstance(item, Mapping) else None
    named = f"{what} {ident!r} (number {int(number) + 1})" if ident is not None else None
    return f"{where}: {named or f'{what} number {int(number) + 1}'}: {_field(error, 1)}"


def _field(error: ValidationError, skip: int) -> str:
    """Describes the first wrong field: what was expected there, and what it is."""
    errors = _errors(error)
    place = _path(errors[0]["loc"][skip:])
    same = [fault for fault in errors if _path(fault["loc"][skip:]) == place]
    expected = " or ".join(dict.fromkeys(_expected(fault) for fault in same))
    name = f"field {place!r}: " if place else ""
    if same[0]["type"] == "missing":
        fields = ", ".join(map(str, same[0]["input"])) if isinstance(same[0]["input"], dict) else ""
        return f"{name}expected this field, got the fields {fields or 'of nothing'}: add it"
    got = repr(same[0]["input"])
    length = same[0].get("ctx", {}).get("actual_length")
    got = got if length is None else f"{length:,}"
    got = got if len(got) <= 60 else f"{got[:57]}..."
    return f"{name}expected {expected}, got {got}: correct it, or leave the entry out"


def _errors(error: ValidationError) -> list[Any]:
    return error.errors(include_url=False)


def _path(loc: Sequence[int | str]) -> str:
    """`bbox[2]`, without the branches of unions, which pydantic appends."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not (part in _UNIONS or "[" in part or part.startswith(("constrained", "int"))):
            text += f".{part}" if text else part
    return text


def _expected(fault: Mapping[str, Any]) -> str:
    known = _EXPECTED.get(fault["type"])
    if known is not None:
        return known.format(**fault.get("ctx", {}))
    return str(fault["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
