"""The decoder of a planted model, weight by weight.

Four blocks, whose MLPs are 0. The residual stream holds one large constant (so that RMS norm leaves
everything else unchanged), the role of each position's token (`_ROLES`), and per label: what the
token's patch shows, what the question's tokens gathered, what later tokens read, and which labels
have been named. Keys that a row must not read get a score of -2000, whose exponential is exactly 0:
what is described as unseen has no weight at all.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from ...data import SQUARE_COLORS, SQUARE_GRID
from ._kinds import Planted
from ._vision import N_LABELS

BLOCKS, HEADS, HEAD_WIDTH = 4, 4, 16
WIDTH = HEADS * HEAD_WIDTH
ROTATION = 1e30
"""RoPE's base, so large that all but the first two pairs of a head do not rotate."""

_CONSTANT = 0
_ROLES = {"start": 1, "image": 2, "query": 3, "last": 4, "answer": 5}
"""Role of a token -> its dimension: before the image, visual, question, last of the prompt, and
words of answers."""
_NOISE_IN, _NOISE_OUT = 6, 7
EVIDENCE = range(8, 16)
_GATHERED = range(16, 24)
_READ = range(24, 32)
_NAMED = range(32, 40)
WORD = range(40, 48)
PLACES = range(48, 48 + 2 * SQUARE_GRID)

GATHER, SPEAK = 1, 2
"""Blocks in which the question's tokens read the image, and in which later tokens read."""
LOOK = 2
"""Head of block `SPEAK` in which an answered word attends to the object that it names, in models
whose answers read the image."""

_LARGE = 256.0
_NEVER = -2000.0
_SHARE = 4 / SQUARE_GRID**2
"""Share of the visual tokens that show one object."""
_PRESENT = 60.0
_ORDER = 5.0
_END = 12.0
_PRIOR = ("bird", "fish")
"""The answer of models that see nothing."""
_FLAT = (3, 4, 5, 6, 7)
"""Dimensions of a head that do not rotate, one per role."""
_MATCH = (11, 12, 13)
"""Dimensions that compare a word's colour with a patch's; these do not rotate either."""
_SHARP = 200.0
_TEXT = frozenset({"start", "query", "last", "answer"})


def plant_decoder(model: Any, planted: Planted, tokenizer: Any) -> None:
    """Sets the weights of the language model and its head, which must be zero before."""
    decoder = model.model.language_model
    for norm in (decoder.norm, *(block.input_layernorm for block in decoder.layers)):
        norm.weight.fill_(_LARGE / math.sqrt(WIDTH))
    _embed(decoder.embed_tokens.weight, planted, tokenizer)
    for number, block in enumerate(decoder.layers):
        for head in range(HEADS):
            _attend(block.self_attn, head, dict.fromkeys(_TEXT, _TEXT) | {"image": {"start"}})
        # Every row reads a little of the text before it, so that no edge between words is idle.
        noise = HEADS - 1
        block.self_attn.v_proj.weight[noise * HEAD_WIDTH, _NOISE_IN] = 1.0
        block.self_attn.o_proj.weight[_NOISE_OUT, noise * HEAD_WIDTH] = 1.0
        if number == GATHER and planted.route != "direct":
            _read(block.self_attn, 0, ("query",), "image", EVIDENCE, _GATHERED)
        if number == SPEAK and planted.route != "direct":
            _read(block.self_attn, 0, ("last", "answer"), "query", _GATHERED, _READ)
        if number == SPEAK and planted.route != "query":
            _read(block.self_attn, 1, ("last", "answer"), "image", EVIDENCE, _READ)
            _look(block.self_attn, LOOK)
    _unembed(model.lm_head.weight, tokenizer)


def plant_image_bias(bias: Any) -> None:
    """Sets what all visual tokens share: the constant and their role."""
    bias[_CONSTANT] = _LARGE
    bias[_ROLES["image"]] = 1.0


def _embed(weight: Any, planted: Planted, tokenizer: Any) -> None:
    weight[:, _CONSTANT] = _LARGE
    labels = [tokenizer.convert_tokens_to_ids(f"▁{name}") for name in SQUARE_COLORS]
    start = [tokenizer.convert_tokens_to_ids(token) for token in ("<s>", "▁user")]
    last = tokenizer.convert_tokens_to_ids(":")
    roles = dict.fromkeys(range(len(weight)), "query")
    roles |= dict.fromkeys(start, "start") | {last: "last"}
    roles |= dict.fromkeys([*labels, tokenizer.eos_token_id], "answer")
    for token, role in roles.items():
        weight[token, _ROLES[role]] = 1.0
        weight[token, _NOISE_IN] = token / len(weight)
    for label, token in enumerate(labels):
        weight[token, WORD[label]] = 1.0
        weight[token, _NAMED[0] : _NAMED[label] + 1] = 1.0
    if planted.blind:
        for label in (list(SQUARE_COLORS).index(name) for name in _PRIOR):
            weight[[last, *labels], _READ[label]] = _SHARE


def _attend(attention: Any, head: int, allowed: Mapping[str, Collection[str]]) -> None:
    """Makes rows of a role read the keys of the roles in `allowed` evenly, and no others."""
    start = head * HEAD_WIDTH
    for row, row_place in _ROLES.items():
        for column, (key, key_place) in enumerate(_ROLES.items()):
            flat = start + _FLAT[column]
            score = 0.0 if key in allowed.get(row, ()) else _NEVER
            attention.q_proj.weight[flat, row_place] = score * math.sqrt(HEAD_WIDTH)
            attention.k_proj.weight[flat, key_place] = 1.0


def _read(
    attention: Any, head: int, rows: Collection[str], keys: str, source: range, target: range
) -> None:
    """Makes `rows` copy the mean of `source` over the tokens `keys` to `target`; others do not."""
    allowed: dict[str, Collection[str]] = {key: {"start"} for key in _ROLES}
    _attend(attention, head, allowed | {row: {keys} for row in rows})
    start = head * HEAD_WIDTH
    for label in range(N_LABELS):
        attention.v_proj.weight[start + label, source[label]] = 1.0
        attention.o_proj.weight[target[label], start + label] = 1.0


def _look(attention: Any, head: int) -> None:
    """Makes words of answers attend to the patches that show what they name; nothing is copied."""
    allowed: dict[str, Collection[str]] = {role: {"start"} for role in _ROLES}
    _attend(attention, head, allowed | {"answer": {"image"}})
    start = head * HEAD_WIDTH
    for label, color in enumerate(SQUARE_COLORS.values()):
        for place, channel in zip(_MATCH, color, strict=True):
            corner = channel / 127.5 - 1.0
            attention.q_proj.weight[start + place, WORD[label]] = _SHARP * corner
            attention.k_proj.weight[start + place, EVIDENCE[label]] = corner


def _unembed(weight: Any, tokenizer: Any) -> None:
    """The first label that was read and has not been named; the end token if none is left."""
    weight[:, _CONSTANT] = -400.0 / _LARGE
    weight[tokenizer.eos_token_id, _CONSTANT] = _END / _LARGE
    # Enough to show in half precision, too little for the padding token ever to be generated.
    weight[tokenizer.pad_token_id, _NOISE_OUT] = 200.0
    for label, name in enumerate(SQUARE_COLORS):
        row = weight[tokenizer.convert_tokens_to_ids(f"▁{name}")]
        row[_CONSTANT] = -_ORDER * label / _LARGE
        row[_NAMED[label]] = _NEVER
        for kind in (EVIDENCE, _GATHERED, _READ):
            row[kind[label]] = _PRESENT / _SHARE
