"""`smol` by name: its parts from the cache, its adapter from the package."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from ...device import device_of
from ...errors import InputError
from .adapter import FILE, read_adapter
from .language import open_language
from .model import assemble, vision_state
from .parts import LANGUAGE, VISION, hub_folder, missing, part_file, sha256

_WEIGHTS = Path(__file__).parent / "weights"
NAMES = ("smol", "smol-lora")
"""The frozen language model with a trained adapter; and one with a fine-tuned language model."""

MODELS = tuple(name for name in NAMES if (_WEIGHTS / name / FILE).is_file())
"""The names whose adapter is in this installation."""


def is_adapter(source: str | os.PathLike[str]) -> bool:
    """Whether `source` is a folder with an adapter trained by `retinoscope train smol`."""
    return (Path(source).expanduser() / FILE).is_file()


def folder(name: str) -> Path:
    """The folder with the adapter of `name` and its card.

    Raises:
        InputError: `name` is not in this installation.
    """
    if name not in MODELS:
        raise InputError(
            f"expected one of {', '.join(MODELS) or 'none in this installation'}, got {name!r}: "
            "train it with `retinoscope train smol`"
        )
    return _WEIGHTS / name


def scores(name: str) -> dict[str, Any]:
    """The scores that training measured on held-out scenes.

    Raises:
        InputError: `name` is not in this installation.
    """
    return json.loads((folder(name) / "scores.json").read_text(encoding="utf-8"))


def build(
    source: str | Path,
    *,
    language: Path | None = None,
    vision: Path | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    attention: str | None = None,
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Builds a smol model and its processor from its parts.

    Args:
        source: a name from `MODELS`, or a folder with a trained adapter.
        language: a GGUF file or a folder instead of the fetched one.
        vision: a file instead of the fetched one.
        dtype: by default float32.
        device: by default "cpu".
        attention: "sdpa" or "eager"; by default the library's own choice.

    Raises:
        InputError: a part is missing (the message says what to run), or is not the one for which
            the adapter was trained.
        MissingExtraError: the package that reads GGUF files is not installed.
    """
    place = device_of(device)
    adapter = read_adapter(folder(source) if isinstance(source, str) else source)
    language = language or _language_file()
    vision = vision or part_file(VISION)
    _same("vision tower", vision, adapter.parts["vision"])
    if language.is_file():
        _same("language model", language, adapter.parts["language"])
    else:
        warnings.warn(
            "smol's adapter was trained on the 4-bit weights of its language model; with others it "
            "works, but differs from the model that was measured",
            stacklevel=2,
        )
    lm, tokenizer = open_language(language)
    model, processor = assemble(
        lm, tokenizer, vision_state(vision), adapter.config(), attention=attention
    )
    adapter.put_into(model)
    torch.nn.Module.to(model, place, dtype or torch.float32)
    return model.eval(), processor


def _language_file() -> Path:
    absent = missing()
    if LANGUAGE in absent and (hub_folder() / "config.json").is_file():
        return hub_folder()
    if absent:
        names = " and the ".join(part.title for part in absent)
        raise InputError(
            f"expected the parts of smol on this machine, got none of the {names}: "
            "run `retinoscope fetch smol` once"
        )
    return part_file(LANGUAGE)


def _same(title: str, file: Path, expected: str) -> None:
    got = sha256(file)
    if got != expected:
        raise InputError(
            f"expected the {title} for which this adapter was trained (SHA-256 "
            f"{expected[:12]}...), got {file} ({got[:12]}...): run `retinoscope fetch smol` "
            "again, or train an adapter for it"
        )
