"""Ways to spoil a file that comes from outside."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

BAD: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**9, 10**30, 1.5, "", "x", "\x00", "../../etc/passwd", "9" * 5000),
    *([], {}, [[]], {"a": {}}, [None] * 4, ["x"], [1e308, -1e308, 0, 0]),
)


def spoil_json(file: Path, rng: random.Random) -> str:
    """Puts another value at some place of a JSON file, or takes one out; returns what."""
    content = json.loads(file.read_text("utf-8"))
    place: Any = content
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
    file.write_text(json.dumps(content), "utf-8")
    return f"{file.name} {'.'.join(path)} = {str(value)[:30]!r}"


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
