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
"""The frozen language model with a trained adapter; and one whose language model was trained on."""

MODELS = tuple(name for name in NAMES if (_WEIGHTS / name / FILE).is_file())
"""Those whose adapter is in this installation."""


def is_adapter(source: str | os.PathLike[str]) -> bool:
    """Whether `source` is a folder with a trained adapter, as `retinoscope train smol` makes."""
    return (Path(source).expanduser() / FILE).is_file()


def folder(name: str) -> Path:
    """Where the adapter of `name` and its card lie.

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
    """What training measured on held-out scenes.

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
    """A smol model and its processor, put together from its parts.

    Args:
        source: a name from `MODELS`, or a folder with a trained adapter.
        language: a GGUF file or a folder instead of the fetched one.
        vision: a file instead of the fetched one.
        dtype: float32 unless given.
        device: "cpu" unless given.
        attention: "sdpa" or "eager"; the library's own choice unless given.

    Raises:
        InputError: a part is missing (the line says what to run) or is not the one that the adapter
            was trained for.
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
            "works, but is another model than the one that was measured",
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
    lacking = missing()
    if LANGUAGE in lacking and (hub_folder() / "config.json").is_file():
        return hub_folder()
    if lacking:
        names = " and the ".join(part.title for part in lacking)
        raise InputError(
            f"expected the parts of smol on this machine, got none of the {names}: "
            "run `retinoscope fetch smol` once"
        )
    return part_file(LANGUAGE)


def _same(title: str, file: Path, expected: str) -> None:
    got = sha256(file)
    if got != expected:
        raise InputError(
            f"expected the {title} that this adapter was trained for (SHA-256 {expected[:12]}...), "
            f"got {file} ({got[:12]}...): run `retinoscope fetch smol` again, or train an adapter "
            "for it"
        )
