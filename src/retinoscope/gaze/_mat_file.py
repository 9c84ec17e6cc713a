"""Arrays and structs of MATLAB files, versions 5 to 7, read within bounds.

SciPy's reader crashes (a segmentation fault) on some damaged files, trusts the sizes that a file
claims, and decompresses without a limit, while files of fixations come from anywhere. Their content
is simple: real arrays, and structs of them.

Source: MathWorks, *MAT-File Format* (R2023a), chapter 1, Level 5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..errors import InputError

MOST_BYTES = 1 << 27
"""The limit for a file, compressed and uncompressed."""
MOST_ELEMENTS = 100_000
"""Per file, matrix or struct: compressed, a million empty ones take a thousand bytes."""
_HEADER = 128
_INT8, _UINT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 2, 5, 6, 14, 15
_STORED = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
"""NumPy types of the stored numbers, by MATLAB's type number."""
_STRUCT, _REAL, _COMPLEX = 2, range(6, 16), 0x0800

Struct: TypeAlias = Sequence[Mapping[str, np.ndarray]]
Value: TypeAlias = np.ndarray | Struct | None
"""An array, the elements of a struct array, or None for anything else."""


def read_mat_file(file: Path, wanted: Collection[str], field: str) -> dict[str, Value]:
    """Reads the variables of a file by name; those not in `wanted` are None.

    Args:
        wanted: variables to read.
        field: the only field of structs to read; elements without it lack it.

    Raises:
        InputError: no such file, a damaged one, another version, or more than `MOST_BYTES` once
            decompressed.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise _too_large(file)
        content = file.read_bytes()
        if content[:10] == b"MATLAB 7.3" or content[:4] == b"\x89HDF":
            raise InputError(
                f"{file}: expected a MATLAB file up to version 7, got one of 7.3: save it with -v7"
            )
        order = {b"IM": "<", b"MI": ">"}.get(content[126:_HEADER])
        if order is None:
            raise ValueError("its first 128 bytes are not a header of versions 5 to 7")
        variables: dict[str, Value] = {}
        left = MOST_BYTES
        for kind, part in _elements(content[_HEADER:], order):
            if kind == _COMPRESSED:
                part = _unpacked(part, left, file)
                left -= len(part)
                kind, part = next(_elements(part, order), (0, b""))
            if kind == _MATRIX:
                matrix = _Matrix.of(part, order)
                variables[matrix.name] = matrix.value(field) if matrix.name in wanted else None
        return variables
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}): check the path") from error
    except (ValueError, struct.error, zlib.error, OverflowError) as error:
        raise InputError(f"{file}: expected a MATLAB file, got something else ({error})") from error


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yields the type and bytes of each element."""
    at = count = 0
    while at + 8 <= len(content):
        count += 1
        if count > MOST_ELEMENTS:
            raise ValueError(f"more than {MOST_ELEMENTS:,} elements in one place")
        kind, length = struct.unpack_from(f"{order}II", content, at)
        start = at + 8
        if kind >> 16:
            # A small element holds length, type and data in eight bytes.
            kind, length, start = kind & 0xFFFF, kind >> 16, at + 4
            if length > 4:
                raise ValueError(f"a small element of {length} bytes")
            after = at + 8
        else:
            # Elements are aligned to eight bytes, except after a compressed one.
            after = start + (length if kind == _COMPRESSED else -(-length // 8) * 8)
        if start + length > len(content):
            raise ValueError(f"an element of {length} bytes that goes beyond the end")
        yield kind, content[start : start + length]
        at = after
    if content[at:].strip(b"\0"):
        raise ValueError("bytes after its last element")


def _unpacked(packed: bytes, limit: int, file: Path) -> bytes:
    unpack = zlib.decompressobj()
    content = unpack.decompress(packed, limit + 1)
    if len(content) > limit:
        raise _too_large(file)
    if not unpack.eof:
        raise ValueError("compressed bytes are cut off")
    return content


@dataclass(frozen=True)
class _Matrix:
    """The header of a matrix element, and the elements of its content."""

    name: str
    kind: int
    shape: tuple[int, ...]
    parts: Sequence[tuple[int, bytes]]
    order: str

    @classmethod
    def of(cls, content: bytes, order: str) -> _Matrix:
        parts = list(_elements(content, order))
        if not parts:
            return cls("", 6, (0, 0), (), order)
        types = [kind for kind, _ in parts[:3]]
        if types[:2] != [_UINT32, _INT32] or len(parts) < 3 or types[2] not in (_INT8, _UINT8):
            raise ValueError("a matrix without flags, shape and name")
        (_, flags), (_, shape), (_, name) = parts[:3]
        sides = np.frombuffer(shape, f"{order}i4")
        if len(flags) != 8 or not 2 <= len(sides) <= 8 or (sides < 0).any():
            raise ValueError(f"a matrix of shape {sides.tolist()}")
        word = int(struct.unpack_from(f"{order}I", flags)[0])
        kind = 0 if word & _COMPLEX else word & 0xFF
        called = name.decode("latin-1").rstrip("\0")
        return cls(called, kind, tuple(int(side) for side in sides), parts[3:], order)

    def value(self, field: str) -> Value:
        """The array, or the structs with their field `field`; None for anything else."""
        if self.kind == _STRUCT:
            return self._structs(field)
        return self._array() if self.kind in _REAL else None

    def _array(self) -> np.ndarray:
        size = int(np.prod(self.shape, dtype=object))
        if not self.parts and not size:
            return np.zeros(self.shape)
        kind, content = self.parts[0] if self.parts else (0, b"")
        if kind not in _STORED:
            raise ValueError(f"{self.name or 'an array'} without numbers")
        numbers = np.frombuffer(content, f"{self.order}{_STORED[kind]}")
        if len(numbers) != size:
            raise ValueError(f"{self.name or 'an array'} has {len(numbers)} of {size} numbers")
        return numbers.reshape(self.shape, order="F")

    def _structs(self, field: str) -> Struct:
        if len(self.parts) < 2:
            raise ValueError(f"{self.name} has no fields")
        (_, length), (_, names) = self.parts[:2]
        width = int(np.frombuffer(length, f"{self.order}i4")[0]) if len(length) == 4 else 0
        if not 0 < width <= 64 or len(names) % width:
            raise ValueError(f"{self.name} has fields without names")
        fields = [names[k : k + width].split(b"\0")[0] for k in range(0, len(names), width)]
        cells = self.parts[2:]
        if len(cells) != len(fields) * int(np.prod(self.shape, dtype=object)):
            raise ValueError(f"{self.name} lacks values of its fields")
        if field.encode() not in fields:
            return [{} for _ in range(len(cells) // max(len(fields), 1))]
        structs: list[Mapping[str, np.ndarray]] = []
        for kind, content in cells[fields.index(field.encode()) :: len(fields)]:
            matrix = _Matrix.of(content, self.order) if kind == _MATRIX else None
            if matrix is None or matrix.kind not in _REAL:
                raise ValueError(f"{self.name}: a field {field} that is not an array of numbers")
            structs.append({field: matrix._array()})
        return structs


def _too_large(file: Path) -> InputError:
    return InputError(
        f"{file}: expected at most {MOST_BYTES >> 20} MiB of fixations once unpacked, got more"
    )
