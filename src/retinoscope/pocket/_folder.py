"""Where the packaged models lie."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError

MODELS = ("pocket", "pocket-sentences", "pocket-none")
"""The packaged models: the main one and its two contrasts (other or no language pretraining)."""


def folder(name: str = "pocket") -> Path:
    """The Hugging Face folder of the packaged model `name`.

    Raises:
        InputError: `name` is no packaged model, or its weights are not in this installation.
    """
    if name not in MODELS:
        raise InputError(
            f"expected a packaged model ({', '.join(MODELS)}), got {name!r}: "
            "choose one of these, a Hub id or a folder"
        )
    path = Path(__file__).parent / "weights" / name
    if not (path / "model.safetensors").is_file():
        raise InputError(
            f"expected the weights of {name!r} in {path}, found none: reinstall retinoscope, "
            "or train them with `retinoscope train pocket`"
        )
    return path
