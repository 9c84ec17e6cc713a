"""A work folder belongs to one training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ...errors import InputError
from ...store import write_bytes


def claim(work: Path, told: Mapping[str, object]) -> None:
    """Binds a work folder to one recipe and what goes with it, so that two never mix.

    Args:
        work: made if it is not there.
        told: all that the results depend on, in JSON's types.

    Raises:
        InputError: the folder belongs to another.
    """
    file = work / "recipe.json"
    mine = json.dumps(told, indent=2).encode()
    if not file.exists():
        work.mkdir(parents=True, exist_ok=True)
        write_bytes(file, mine)
    elif file.read_bytes() != mine:
        raise InputError(
            f"expected {work} to hold this recipe's training, got another recipe's: "
            "choose another work folder, or remove this one"
        )
