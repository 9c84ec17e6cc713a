"""Formats of other packages: of Jacobian lenses, and of tuned-lens.

Both are PyTorch archives, read as tensors, numbers and texts alone: a file that would run code is
refused.

Sources: anthropics/jacobian-lens, whose layer l is the output of block l, here l + 1; tuned-lens
0.2.0, whose translator i takes `hidden_states[i]`, here layer i.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..arguments import shown
from ..errors import InputError, one_line
from ..store import files_of_folder
from ._card import Card

_CONFIG, _PARAMETERS = "config.json", "params.pt"
_OURS = "retinoscope"
_LINEAR = "linear_tuned_lens"


class LinearParts(NamedTuple):
    """What a linear lens is made of."""

    matrices: dict[int, Tensor]
    card: Card
    biases: dict[int, Tensor]


def packed(content: Mapping[str, Any]) -> bytes:
    """The archive of tensors, numbers and texts."""
    held = io.BytesIO()
    torch.save(dict(content), held)
    return held.getvalue()


def _unpacked(file: Path) -> dict[str, Any]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{file}: expected tensors, numbers and texts alone, got a file that would run code "
            "when opened, or a damaged one: ask its author for safetensors"
        ) from error
    except Exception as error:
        # What a damaged archive raises depends on where it is damaged.
        raise InputError(
            f"{file}: expected a lens, got a file that cannot be read: {one_line(error)[:200]}"
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected the entries of a lens, got a {type(content).__name__}")
    return content


def read_jacobian(file: Path) -> LinearParts:
    """Reads a Jacobian lens, or a checkpoint of its fit.

    Raises:
        InputError: another file.
    """
    content = _unpacked(file)
    summed = "J" not in content
    matrices, n = content.get("J", content.get("jacobian_sum")), content.get("n_prompts")
    if summed:
        n = content.get("n_done", n)
    if not isinstance(matrices, dict) or not matrices or not _are_matrices(matrices.values()):
        raise InputError(
            f"{file}: expected a Jacobian lens (J) or a checkpoint of its fit (jacobian_sum), got "
            f"the entries {', '.join(map(str, content)) or 'of nothing'}"
        )
    if summed and not (isinstance(n, int) and n > 0):
        raise InputError(f"{file}: expected the number of prompts in n_done, got {n!r}")
    metadata = content.get("metadata")
    metadata = dict(metadata) if isinstance(metadata, dict) else {}
    scale = n if summed else 1
    layers = [_number(layer) for layer in matrices]
    if None in layers or len(set(layers)) < len(layers):
        raise InputError(f"{file}: expected numbers of layers, each once, got {list(matrices)}")
    known = {
        layer + 1: matrix.float() / scale
        for layer, matrix in zip(layers, matrices.values(), strict=True)
        if layer is not None
    }
    ours = metadata.get(_OURS)
    if isinstance(ours, str):
        card = Card.from_json(ours)
        if card.kind != "jacobian":
            raise InputError(f"{file}: expected a Jacobian lens, got the card of a {card.kind} one")
        return LinearParts(known, card, {})
    target = content.get("target_layer", metadata.get("target_layer"))
    if target is not None and (target := _number(target)) is None:
        raise InputError(f"{file}: expected the number of a layer as target_layer, got another")
    card = Card(
        kind="jacobian",
        d_model=len(next(iter(known.values()))),
        layers=tuple(sorted(known)),
        model=_text(content.get("model_name", metadata.get("model_name"))),
        n_prompts=n if isinstance(n, int) and n > 0 else None,
        at="text",
        corpus=_text(content.get("corpus", metadata.get("corpus"))),
        settings={} if target is None else {"target_layer": target},
    )
    return LinearParts(known, card, {})


def _are_matrices(values: Any) -> bool:
    return all(
        isinstance(one, Tensor)
        and one.ndim == 2
        and one.layout == torch.strided
        and one.is_floating_point()
        and one.device.type == "cpu"
        for one in values
    )


def _number(value: object) -> int | None:
    """The number of a layer from 0 up; None for anything else."""
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value)
    return value if type(value) is int and value >= 0 else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def jacobian_archive(matrices: Mapping[int, Tensor], card: Card) -> bytes:
    """A Jacobian lens in its published format, in float32.

    Readers of the format refuse the decoder's input, so layer 0 is left out.

    Raises:
        InputError: a lens of layer 0 alone.
    """
    known = {layer - 1: matrix for layer, matrix in matrices.items() if layer}
    if not known:
        raise InputError("expected a lens of more than layer 0, which this format cannot hold")
    kept = replace(card, layers=tuple(layer + 1 for layer in known))
    return packed(
        {
            "J": known,
            "n_prompts": card.n_prompts or 0,
            "source_layers": list(known),
            "d_model": card.d_model,
            "metadata": {_OURS: kept.to_json()},
        }
    )


def read_tuned(folder: Path) -> LinearParts:
    """Reads a lens of tuned-lens.

    Raises:
        InputError: another folder.
    """
    try:
        config = json.loads((folder / _CONFIG).read_text("utf-8"))
        width, n_layers = int(config["d_model"]), int(config["num_hidden_layers"])
        kind = config.get("lens_type", _LINEAR)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{folder}: expected a tuned lens ({_CONFIG} with d_model and num_hidden_layers, "
            f"{_PARAMETERS}), got {error!r}"
        ) from None
    if kind != _LINEAR:
        raise InputError(f"{folder}: expected the lens_type {_LINEAR}, got {shown(kind)}")
    tensors = _unpacked(folder / _PARAMETERS)
    layers = tuple(range(n_layers))
    bias = config.get("bias", True)
    wanted = {f"{layer}.weight" for layer in layers}
    wanted |= {f"{layer}.bias" for layer in layers if bias}
    if set(tensors) != wanted or not all(isinstance(one, Tensor) for one in tensors.values()):
        odd = sorted(map(str, set(tensors) ^ wanted))
        raise InputError(
            f"{folder}: expected a weight {'and a bias ' if bias else ''}for each of {n_layers} "
            f"layers, got others: {', '.join(odd[:3])}"
        )
    known = {layer: tensors[f"{layer}.weight"].float() for layer in layers}
    if any(tuple(matrix.shape) != (width, width) for matrix in known.values()):
        raise InputError(f"{folder}: expected weights of {width} x {width}, got other shapes")
    card = Card(
        kind="tuned",
        d_model=width,
        layers=layers,
        model=_text(config.get("base_model_name_or_path")),
        n_layers=n_layers,
    )
    return LinearParts(
        {layer: torch.eye(width) + matrix for layer, matrix in known.items()},
        card,
        {layer: tensors[f"{layer}.bias"] for layer in layers} if bias else {},
    )


def write_tuned(
    folder: Path, matrices: Mapping[int, Tensor], card: Card, biases: Mapping[int, Tensor]
) -> None:
    """Writes a lens for tuned-lens.

    Raises:
        InputError: a lens of some layers only, or a folder that cannot be written.
        StudyError: the disk is full.
    """
    if card.layers != tuple(range(card.n_layers or -1)):
        raise InputError("expected a tuned lens of all layers for this format, got one of some")
    eye = torch.eye(card.d_model)
    weights = {f"{layer}.weight": matrix - eye for layer, matrix in matrices.items()}
    weights |= {f"{layer}.bias": bias for layer, bias in biases.items()}
    config = {
        "base_model_name_or_path": card.model or "",
        "d_model": card.d_model,
        "num_hidden_layers": card.n_layers,
        "bias": bool(biases),
        "lens_type": _LINEAR,
    }
    with files_of_folder(folder) as place:
        (place / _CONFIG).write_text(json.dumps(config), "utf-8")
        (place / _PARAMETERS).write_bytes(packed(weights))
