"""Lenses that carry each layer's states to the last one by an affine map."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor

from ..arguments import path as as_path
from ..errors import InputError
from ..models import Adapter, finite
from ..store import write_bytes
from ._card import Card
from ._fitted import FittedLens
from ._kinds import OfStates

CARD = "retinoscope_lens"
"""The card's name in the metadata of a file."""


class LinearLens(FittedLens, OfStates):
    """One affine map per layer from its states to those of the last layer, then the model's head.

    The last layer's map is the identity, which is not stored: there it is the logit lens exactly.

    Attributes:
        matrices: for each fitted layer, numbered as in `run.hidden`, (d_model, d_model) float32
            that maps states as columns.
        biases: for each fitted layer, (d_model,) float32; empty without biases.
    """

    identity = "at the last layer, the logit lens: the model's own next-token distribution"

    def __init__(
        self,
        matrices: Mapping[int, Float[Tensor, "d_model d_model"]],
        card: Card,
        biases: Mapping[int, Float[Tensor, " d_model"]] | None = None,
    ) -> None:
        """Keeps float32 copies on the CPU.

        Raises:
            InputError: no layers, other layers or another width than the card's, a layer below 0,
                or numbers that are not finite.
        """
        biases = biases or {}
        self._card = card
        self.matrices = {layer: _float32(matrices[layer]) for layer in sorted(matrices)}
        self.biases = {layer: _float32(biases[layer]) for layer in sorted(biases)}
        self._moved: dict[tuple[int, torch.device], tuple[Tensor, Tensor | None]] = {}
        _check(self)

    @property
    def card(self) -> Card:
        return self._card

    @classmethod
    @abstractmethod
    def merge(cls, lenses: Sequence[LinearLens]) -> LinearLens:
        """Joins lenses that were fitted on parts of one set of prompts."""

    def layers(self, adapter: Adapter) -> tuple[int, ...]:
        self.check(adapter)
        return (*self.matrices, adapter.n_layers)

    def carried(
        self, adapter: Adapter, layer: int, states: Float[Tensor, "token d_model"]
    ) -> Float[Tensor, "token d_model"]:
        self.check(adapter)
        if layer == adapter.n_layers:
            return states
        matrix, bias = self._on(layer, states.device)
        return torch.nn.functional.linear(states.float(), matrix, bias).to(states.dtype)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes FILE.safetensors whole or not at all, and returns its path.

        Raises:
            InputError: another name, or a folder that cannot be written.
            StudyError: the disk is full.
        """
        file = as_path(path)
        if file.suffix != ".safetensors":
            raise InputError(
                f"expected a file name that ends in .safetensors{self._others}, got {file.name!r}"
            )
        tensors = {f"matrix.{layer}": matrix for layer, matrix in self.matrices.items()}
        tensors |= {f"bias.{layer}": bias for layer, bias in self.biases.items()}
        write_bytes(file, save(tensors, {CARD: self.card.to_json()}))
        return file

    _others: ClassVar[str] = ""

    def _on(self, layer: int, device: torch.device) -> tuple[Tensor, Tensor | None]:
        key = (layer, device)
        if key not in self._moved:
            bias = self.biases.get(layer)
            self._moved[key] = (
                self.matrices[layer].to(device),
                None if bias is None else bias.to(device),
            )
        return self._moved[key]

    def __getstate__(self) -> dict[str, Any]:
        """As `FittedLens`, without the copies on this process's devices."""
        return {**super().__getstate__(), "_moved": {}}

    def __repr__(self) -> str:
        card = self.card
        layers = f"{len(card.layers)} layers, {card.layers[0]} to {card.layers[-1]}"
        n = "an unknown number of" if card.n_prompts is None else card.n_prompts
        prompts = f"{n} prompt{'' if n == 1 else 's'}"
        corpus = "" if card.corpus is None else f" of {card.corpus}"
        return f"{type(self).__name__}({layers}; {prompts}{corpus})"


def _float32(values: Tensor) -> Tensor:
    return values.detach().to("cpu", torch.float32).contiguous()


def _check(lens: LinearLens) -> None:
    width, layers = lens.card.d_model, tuple(lens.matrices)
    if not layers or layers[0] < 0 or layers != lens.card.layers:
        raise InputError(
            f"expected a matrix for each of the card's layers {list(lens.card.layers)}, got "
            f"{list(layers)}"
        )
    for name, tensors, shape in (
        ("matrix", lens.matrices, (width, width)),
        ("bias", lens.biases, (width,)),
    ):
        for layer, tensor in tensors.items():
            if tuple(tensor.shape) != shape or layer not in lens.matrices:
                raise InputError(
                    f"expected a {name} of {shape} per fitted layer, got {tuple(tensor.shape)} at "
                    f"layer {layer}"
                )
            if not finite(tensor):
                raise InputError(f"expected finite numbers, got NaN or infinity at layer {layer}")
