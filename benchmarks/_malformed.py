"""Ways to spoil a file that comes from outside, and a process apart in which to open it."""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import signal
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

BAD: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**9, 10**30, 1.5, "", "x", "\x00", "../../etc/passwd", "9" * 5000),
    *([], {}, [[]], {"a": {}}, [None] * 4, ["x"], [1e308, -1e308, 0, 0]),
)


def spoil_json(file: Path, rng: random.Random) -> str:
    """Puts another value at some place of a JSON file, or takes one out; returns what."""
    content = json.loads(file.read_text("utf-8"))
    what = _spoil_value(content, rng)
    file.write_text(json.dumps(content), "utf-8")
    return f"{file.name} {what}"


def _spoil_value(content: Any, rng: random.Random) -> str:
    place = content
    path: list[str] = []
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = rng.choice(keys)
        path.append(str(key))
        deeper = place[key]
        if not isinstance(deeper, dict | list) or not deeper or rng.random() < 0.35:
            break
        place = deeper
    if rng.random() < 0.2:
        del place[key]
        value: object = "nothing"
    else:
        value = place[key] = rng.choice(BAD)
    return f"{'.'.join(path)} = {str(value)[:30]!r}"


def spoil_bytes(file: Path, rng: random.Random) -> str:
    """Cuts or empties a file, fills it with noise, or puts a folder in its place; returns what."""
    raw = file.read_bytes()
    kind = rng.choice(("cut", "empty", "noise", "deep", "folder", "flipped"))
    file.unlink()
    if kind == "folder":
        file.mkdir()
        return f"{file.name}: a folder"
    spot = rng.randrange(len(raw))
    made = {
        "cut": raw[:spot],
        "empty": b"",
        "noise": rng.randbytes(500),
        "deep": b"[" * 100_000,
        "flipped": raw[:spot] + bytes([raw[spot] ^ 0xFF]) + raw[spot + 1 :],
    }
    file.write_bytes(made[kind])
    return f"{file.name}: {kind}"


def spoil_lines(file: Path, rng: random.Random) -> str:
    """Changes a line of a list or of JSON lines, takes it out or doubles it; returns what."""
    lines = file.read_text("utf-8").splitlines()
    at = rng.randrange(len(lines))
    kind = rng.choice(("value", "value", "text", "twice", "gone"))
    if kind == "value" and file.suffix == ".jsonl":
        content = json.loads(lines[at])
        kind = _spoil_value(content, rng)
        lines[at] = json.dumps(content)
    else:
        made = {"twice": [lines[at]] * 2, "gone": []}
        lines[at : at + 1] = made.get(kind, [_text(rng)])
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return f"{file.name} line {at + 1}: {kind}"


def spoil_csv(file: Path, rng: random.Random) -> str:
    """Puts another text into a cell, or spoils a row or a column; returns what."""
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    row, column = rng.randrange(len(rows)), rng.randrange(len(rows[0]))
    kind = rng.choice(("cell", "cell", "cell", "column", "head", "more", "less"))
    told = f"{file.name} row {row + 1} column {rows[0][column]}: {kind}"
    if kind == "cell":
        rows[row][column] = _text(rng)
    elif kind == "column":
        rows = [[*one[:column], *one[column + 1 :]] for one in rows]
    elif kind == "head":
        rows[0][column] = rng.choice((rows[0][0], rows[0][column].upper(), "", "\ufeffx"))
    else:
        rows[row] = [*rows[row], "x"] if kind == "more" else rows[row][:1]
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return told


def _text(rng: random.Random) -> str:
    values = [*BAD, "nan", "inf", "1e400", "[[1", "-1 -1 0 0", "0 0 1e9 1e9", "a\nb", "x" * 200_000]
    return str(rng.choice(values))


def spoil_column(file: Path, rng: random.Random) -> str:
    """Gives a column of a parquet file another type or other values, or takes it out."""
    table = pq.read_table(file)
    name = rng.choice(table.column_names)
    place = table.column_names.index(name)
    kind = rng.choice(("drop", "text", "nan", "inf", "huge", "negative", "null", "list", "bytes"))
    n = table.num_rows
    made: dict[str, Callable[[], pa.Array]] = {
        "text": lambda: pa.array(["<b>x"] * n),
        "nan": lambda: pa.array([float("nan")] * n),
        "inf": lambda: pa.array([float("inf")] * n),
        "huge": lambda: pa.array([10 ** rng.choice((5, 9, 18))] * n),
        "negative": lambda: pa.array([-5] * n),
        "null": lambda: pa.nulls(n),
        "list": lambda: pa.array([[1, 2]] * n),
        "bytes": lambda: pa.array([b"\xff"] * n),
    }
    if kind == "drop":
        table = table.drop_columns([name])
    else:
        table = table.set_column(place, name, made[kind]())
    pq.write_table(table, file)
    return f"{file.name} {name}: {kind}"


def spoil_facts(file: Path, rng: random.Random) -> str:
    """Puts another value into the JSON that a parquet file has beside its columns."""
    table = pq.read_table(file)
    facts = dict(table.schema.metadata or {})
    key = rng.choice([key for key in facts if facts[key][:1] == b"{"])
    content = json.loads(facts[key])
    what = _spoil_value(content, rng)
    pq.write_table(table.replace_schema_metadata({**facts, key: json.dumps(content)}), file)
    return f"{file.name} {key.decode()}: {what}"


def spoil_picture(file: Path, rng: random.Random) -> str:
    """Saves another picture under the name: of another size, mode or format, or one that lies."""
    with Image.open(file) as image:
        image.load()
    kind = rng.choice(("size", "mode", "format", "bomb", "values"))
    form = image.format or "PNG"
    told = kind
    if kind == "size":
        size = rng.choice(((1, 1), (1, 9_000), (3, 3), (2 * image.width, image.height)))
        image, told = image.resize(size), f"size {size}"
    elif kind == "mode":
        mode = rng.choice(("L", "1", "P", "RGBA", "LA", "CMYK", "I", "I;16", "F"))
        image, form, told = image.convert("L").convert(mode), "TIFF", f"mode {mode}"
    elif kind == "format":
        form = rng.choice(("GIF", "TIFF", "WEBP", "BMP", "PPM", "EPS", "ICO", "JPEG2000"))
        image, told = image.convert("RGB"), form
    elif kind == "values":
        noise = np.frombuffer(rng.randbytes(image.width * image.height), np.uint8)
        image, form = Image.fromarray(noise.reshape(image.height, image.width)), "PNG"
    file.unlink()
    if kind == "bomb":
        side = rng.choice((9_000, 60_000, 2**31 - 1))
        file.write_bytes(_png_head(side))
        return f"{file.name}: a PNG that says it has {side} x {side} pixels"
    image.save(file, form)
    return f"{file.name}: {told}"


def _png_head(side: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content)
        return len(content).to_bytes(4) + kind + content + crc.to_bytes(4)

    head = side.to_bytes(4) * 2 + bytes((8, 2, 0, 0, 0))
    pixels = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels)


def spoil_array(file: Path, rng: random.Random) -> str:
    """Saves another array under the name of a .npy file, or one whose head lies; returns what."""
    array = np.load(file)
    kind = rng.choice(("type", "shape", "values", "head"))
    if kind == "head":
        text = repr({"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)})
        head = text.ljust(117).encode() + b"\n"
        file.write_bytes(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
        return f"{file.name}: {kind}"
    made: dict[str, Sequence[Any]] = {
        "type": [array.astype(one) for one in ("c16", "U9", "?", "f2", "i8", "M8[s]", "V8")]
        + [array.astype(object)],
        "shape": [array[0], array[None], array[:0], np.float64(3), np.zeros((0, 0))],
        "values": [np.full_like(array, one, "f8") for one in (np.nan, np.inf, -1, 0, 1e308)],
    }
    other = rng.choice(made[kind])
    with file.open("wb") as stream:
        np.save(stream, other, allow_pickle=True)
    return f"{file.name}: {other.dtype} {np.shape(other)} {np.ravel(other)[:1]}"


def spoil_matlab(file: Path, rng: random.Random) -> str:
    """Saves other variables under the name of a .mat file; returns what."""
    from scipy.io import loadmat, savemat
    from scipy.sparse import csc_matrix

    there = [name for name in loadmat(file) if not name.startswith("__")]
    name = rng.choice(there)
    cells = np.empty((2, 1), dtype=object)
    cells[:, 0] = [np.zeros((2, 2)), "text"]
    inner = rng.choice(("text", np.zeros((2, 3)), {"a": 1}, cells))
    made: dict[str, Callable[[], Any]] = {
        "text": lambda: "text",
        "complex": lambda: np.ones((3, 2)) * 1j,
        "cells": lambda: cells,
        "struct": lambda: _structs([np.zeros((0, 0)), inner]),
        "many structs": lambda: _structs([np.zeros((0, 0))] * 100_000),
        "sparse": lambda: csc_matrix(np.eye(40)),
        "huge sparse": lambda: csc_matrix((10**6, 10**6)),
        "20 million points": lambda: np.zeros((20_000_000, 2), np.uint8),
        "20 million numbers": lambda: np.zeros((20_000_000, 2)),
        "a million points": lambda: np.ones((10**6, 2), np.uint8),
        "nan": lambda: np.full((3, 2), np.nan),
        "huge": lambda: np.full((3, 2), 1e300),
        "empty": lambda: np.zeros((0, 2)),
        "deep": lambda: np.zeros((2, 2, 2, 2)),
        "row": lambda: np.zeros((1, 5)),
        "logical": lambda: np.ones((3, 2), bool),
    }
    kind = rng.choice(sorted(made))
    savemat(file, {name: made[kind]()}, do_compression=kind.startswith("20") or rng.random() < 0.5)
    return f"{file.name} {name}: {kind}"


def _structs(fields: Sequence[object]) -> Any:
    made: Any = np.zeros((len(fields), 1), dtype=[("fixations", "O")])
    for one, field in zip(made[:, 0], fields, strict=True):
        one["fixations"] = field
    return made


def apart(work: Callable[[], str], memory: int, seconds: int) -> str:
    """What `work` returns in a copy of this process.

    Args:
        work: returns how it ended; an exception is a fault.
        memory: bytes of addresses that it may take beyond what this process has already.
        seconds: that it may take.
    """
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        signal.alarm(seconds)
        try:
            end = work()
        except BaseException as error:
            end = f"fault {type(error).__name__}: {str(error)[:200]}"
        os.write(write, end.encode(errors="replace"))
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        end = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return end or f"fault: it ended with status {status}"
