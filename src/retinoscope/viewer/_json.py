"""Documents as JSON: arrays as base64, without NaN or other values that JSON lacks."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import numpy as np

_KINDS = {"f": "<f4", "i": "<i4", "u": "<i4", "b": "|u1"}


def packed(array: np.ndarray) -> dict[str, object]:
    """Encodes an array for the page: dtype (f4, i4 or u1), shape, base64 of little-endian bytes."""
    kind = "|u1" if array.dtype == np.uint8 else _KINDS[array.dtype.kind]
    values = np.ascontiguousarray(array.astype(kind, copy=False))
    return {
        "dtype": kind[1:],
        "shape": list(array.shape),
        "data": base64.b64encode(values.tobytes()).decode("ascii"),
    }


def unpacked(packed: Mapping[str, object]) -> np.ndarray:
    """Decodes an array encoded by `packed`."""
    values = np.frombuffer(base64.b64decode(str(packed["data"])), dtype=f"<{packed['dtype']}")
    shape = packed["shape"]
    assert isinstance(shape, list)
    return values.reshape(shape)


def plain(value: object) -> object:
    """Converts to JSON types: dataclasses become mappings, arrays `packed`, NaN null."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return packed(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    raise TypeError(f"a document holds a {type(value).__name__}")


def text_of(value: object) -> str:
    """Returns `plain(value)` as ASCII JSON, safe inside a script file."""
    return json.dumps(plain(value), separators=(",", ":"), allow_nan=False)
