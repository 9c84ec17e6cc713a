"""The folders of the packaged models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import InputError

_WEIGHTS = Path(__file__).parent / "weights"
_NAMES = ("pocket", "pocket-sentences", "pocket-none")

MODELS = tuple(name for name in _NAMES if (_WEIGHTS / name / "model.safetensors").is_file())
"""The packaged models: the main one, and its contrasts that read something else first."""


def folder(name: str = "pocket") -> Path:
    """The Hugging Face folder of the packaged model `name`.

    Raises:
        InputError: `name` is not a packaged model.
    """
    if name not in MODELS:
        raise InputError(
            f"expected a packaged model ({', '.join(MODELS) or 'none is in this installation'}), "
            f"got {name!r}: choose one of these, a Hub id or a folder, or train it with "
            "`retinoscope train pocket`"
        )
    return _WEIGHTS / name


def scores(name: str = "pocket") -> dict[str, Any]:
    """The scores that training measured on held-out scenes (`recipes.pocket.Scores` as a dict).

    Raises:
        InputError: `name` is not a packaged model.
    """
    return json.loads((folder(name) / "scores.json").read_text())
