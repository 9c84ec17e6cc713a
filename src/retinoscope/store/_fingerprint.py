"""Fingerprints: short hashes of content, the same on every machine."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import cast

import numpy as np

from retinoscope.errors import InputError

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_DIGITS = 32


def plain(value: object, where: str = "value") -> Json:
    """Converts to plain JSON: tuples to lists, sets to sorted lists, NumPy scalars to numbers.

    Raises:
        InputError: a value without a JSON form that reads back the same (an object, a NaN, a
            mapping whose keys are not strings); the message says where.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InputError(f"{where} is {value}; only finite numbers can be recorded")
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        entries: dict[str, Json] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise InputError(f"{where} has the key {key!r}; keys must be strings")
            entries[key] = plain(item, f"{where}.{key}")
        return entries
    if isinstance(value, set | frozenset):
        items = [plain(item, where) for item in value]
        return cast(Json, sorted(items, key=canonical_json))
    if isinstance(value, range):
        value = list(value)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise InputError(
        f"{where} is a {type(value).__name__}, which has no JSON form; "
        "record a name, a number or a fingerprint in its place"
    )


def canonical_json(value: object) -> str:
    """One text per value: sorted keys, no blanks, ASCII. Raises `InputError` as `plain` does."""
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def fingerprint_bytes(*chunks: bytes) -> str:
    """32 hexadecimal digits (SHA-256, shortened) of the chunks; their boundaries matter."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(len(chunk).to_bytes(8, "little"))
        digest.update(chunk)
    return digest.hexdigest()[:_DIGITS]


def fingerprint_json(value: object) -> str:
    """Fingerprint of a JSON value; the order of a mapping's keys does not matter."""
    return fingerprint_bytes(canonical_json(value).encode("ascii"))


def fingerprint_array(array: np.ndarray) -> str:
    """Fingerprint of an array's dtype, shape and values, whatever its memory layout.

    Raises:
        InputError: an array of Python objects.
    """
    values = np.asarray(array)
    if values.dtype.hasobject:
        raise InputError("an array of Python objects has no fingerprint; give numbers or strings")
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    head = canonical_json([little.dtype.str, list(values.shape)])
    return fingerprint_bytes(head.encode("ascii"), np.ascontiguousarray(little).tobytes())


def sample_key(**parts: object) -> str:
    """The key of one sample of a study: a hash of everything its rows depend on.

    Example:
        `sample_key(schema=1, model=fingerprint, dtype="float32", sample="scene-7")`

    Raises:
        InputError: no part is given, or one has no JSON form.
    """
    if not parts:
        raise InputError("a sample's key needs at least one part, such as sample='scene-7'")
    return fingerprint_json(parts)
