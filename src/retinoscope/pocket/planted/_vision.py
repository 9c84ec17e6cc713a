"""The vision tower and the projector of a planted model, weight by weight.

A patch's mean colour is compared with the corners of the RGB cube; the one that matches sets the
dimension of its label. Hidden states are [v, -v] with one large constant in v: their mean is 0 and
their variance nearly constant, so that layer norm with the right gain leaves v unchanged.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...data import SQUARE_COLORS, SQUARE_GRID
from ._kinds import Planted

HALF = 40
WIDTH = 2 * HALF
HEADS = 5
N_LABELS = len(SQUARE_COLORS)
_RGB = slice(0, 3)
_CONSTANT = 3
_OWN = range(4, 4 + N_LABELS)
_ALL = range(12, 12 + N_LABELS)
_PLACE = range(20, 20 + 2 * SQUARE_GRID)
_LARGE = 256.0
_STEEP = 50.0
_ON_WORD = 6.0
"""Outweighs in what else the embedding of a word differs from a visual token."""
_N_TOKENS = SQUARE_GRID**2 + 1
_FIRST_PLACE = N_LABELS
"""Unit of the projector that reads the first place dimension; labels come before."""


def plant_vision(model: Any, planted: Planted) -> None:
    """Sets the weights of `model.model.vision_tower`, which must be zero before."""
    tower: Any = model.model.vision_tower
    tower = getattr(tower, "vision_model", tower)
    place = torch.zeros(_N_TOKENS, HALF)
    place[:, _CONSTANT] = _LARGE
    for row in range(SQUARE_GRID):
        for column in range(SQUARE_GRID):
            place[1 + row * SQUARE_GRID + column, [_PLACE[row], _PLACE[SQUARE_GRID + column]]] = 1.0
    tower.embeddings.position_embedding.weight.copy_(_mirrored(place))
    conv = tower.embeddings.patch_embedding.weight
    for channel in range(3):
        conv[channel, channel] = 1.0 / conv[0, 0].numel()
        conv[HALF + channel, channel] = -1.0 / conv[0, 0].numel()
    for norm in _norms(tower):
        norm.weight.fill_(_LARGE / math.sqrt(HALF))
    _match(tower.encoder.layers[0].mlp)
    if planted.encoder == "broadcast":
        _average(tower.encoder.layers[1].self_attn)


def plant_projector(
    model: Any, planted: Planted, evidence: range, words: range, places: range
) -> Tensor:
    """Sets the projector's weights, which must be zero before; returns its last bias, to be set.

    Args:
        evidence, words, places: dimensions of the decoder's residual stream for labels, for the
            words that name them, and for places.
    """
    projector = model.model.multi_modal_projector
    first, second = projector.linear_1.weight, projector.linear_2.weight
    # For large inputs GELU is the identity within float32, and 0 for 0.
    steep = 1000.0
    source = {"broadcast": _ALL, "constant": (), "position": ()}.get(planted.encoder, _OWN)
    for unit, (read, write, word) in enumerate(zip(source, evidence, words, strict=False)):
        first[unit, read] = steep
        if planted.encoder != "idle-words":
            second[write, unit] = 1.0 / steep
        if planted.encoder in ("on-words", "idle-words"):
            second[word, unit] = _ON_WORD / steep
    if planted.encoder == "position":
        for unit, (read, write) in enumerate(zip(_PLACE, places, strict=True), _FIRST_PLACE):
            first[unit, read] = steep
            second[write, unit] = 1.0 / steep
    return projector.linear_2.bias


def _match(mlp: Any) -> None:
    """Label k where the colour's product with corner k is 3; for other corners it is at most 1."""
    for label, color in enumerate(SQUARE_COLORS.values()):
        corner = torch.tensor(color) / 127.5 - 1.0
        mlp.fc1.weight[label, _RGB] = _STEEP * corner
        mlp.fc1.bias[label] = -2.0 * _STEEP
        mlp.fc2.weight[_OWN[label], label] = 1.0 / _STEEP
        mlp.fc2.weight[HALF + _OWN[label], label] = -1.0 / _STEEP


def _average(attention: Any) -> None:
    """Makes all tokens attend to all others evenly (queries and keys are 0)."""
    for label in range(N_LABELS):
        attention.v_proj.weight[label, _OWN[label]] = 1.0
        # Compensates for the class token, which has no label.
        share = _N_TOKENS / (_N_TOKENS - 1)
        attention.out_proj.weight[_ALL[label], label] = share
        attention.out_proj.weight[HALF + _ALL[label], label] = -share


def _norms(tower: Any) -> list[Any]:
    layers = [
        norm for layer in tower.encoder.layers for norm in (layer.layer_norm1, layer.layer_norm2)
    ]
    return [tower.pre_layrnorm, *layers]


def _mirrored(values: Tensor) -> Tensor:
    return torch.cat([values, -values], -1)
