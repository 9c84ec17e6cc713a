"""Ties a work folder to one training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ...errors import InputError
from ...store import write_bytes


def claim(work: Path, settings: Mapping[str, object]) -> None:
    """Ties a work folder to one recipe and its inputs, so that two never mix.

    Args:
        work: made if it does not exist.
        settings: all that the results depend on, as JSON types.

    Raises:
        InputError: the folder belongs to another training.
    """
    file = work / "recipe.json"
    content = json.dumps(settings, indent=2).encode()
    if not file.exists():
        work.mkdir(parents=True, exist_ok=True)
        write_bytes(file, content)
    elif file.read_bytes() != content:
        raise InputError(
            f"expected {work} to hold this recipe's training, got another recipe's: "
            "choose another work folder, or remove this one"
        )
