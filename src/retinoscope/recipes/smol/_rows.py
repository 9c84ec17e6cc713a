"""Every scene's conversations as token ids, built once in parallel: a step only gathers rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ...pocket.smol.language import IMAGE_TOKEN
from .._processes import spread
from ..pocket._bank import SceneTexts
from ..pocket._loop import Report
from ..pocket._packing import IGNORED, TokenBatch, Turn, lay_out, mask_of
from ._turns import BEFORE_IMAGE, ChatTurns

_CHUNK = 500
_STEP = 8
"""Row lengths are multiples of this, which makes masked attention fast on a GPU."""


@dataclass(frozen=True)
class PromptFrame:
    """The start of every row: the ids before the image, and the image's slots."""

    prefix: tuple[int, ...]
    slots: int
    image: int
    pad: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, slots: int) -> PromptFrame:
        ids = tokenizer(BEFORE_IMAGE, add_special_tokens=False)["input_ids"]
        image, pad = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN), tokenizer.pad_token_id
        assert isinstance(image, int)
        assert isinstance(pad, int)
        return cls(tuple(ids), slots, image, pad)

    @property
    def length(self) -> int:
        """Number of tokens before the turns."""
        return len(self.prefix) + self.slots

    def room(self, text_tokens: int) -> int:
        """Returns `text_tokens`, padded so that the row's length is a multiple of `_STEP`."""
        return text_tokens + -(self.length + text_tokens) % _STEP


@dataclass(frozen=True)
class PackedRows:
    """Rows (n, token) in small integer types; row i * packings + k is packing k of scene i."""

    ids: Int[Tensor, "row token"]
    learned: Int[Tensor, "row token"]
    """1 where the next token belongs to an answer."""
    weights: Float[Tensor, "row token"]
    positions: Int[Tensor, "row token"]
    segment: Int[Tensor, "row token"]
    packings: int

    def to(self, device: torch.device) -> PackedRows:
        moved = {name: getattr(self, name).to(device) for name in _FIELDS}
        return PackedRows(**moved, packings=self.packings)

    def joined(self, other: PackedRows) -> PackedRows:
        """Returns these rows followed by the other's."""
        both = {name: torch.cat([getattr(self, name), getattr(other, name)]) for name in _FIELDS}
        return PackedRows(**both, packings=self.packings)

    def batch(self, rows: Int[Tensor, " row"]) -> TokenBatch:
        """Returns a batch on the rows' device, as `pack` would, cut to the longest of its rows."""
        segment = self.segment[rows].to(torch.int32)
        used = int((segment >= 0).any(0).sum())
        end = min(segment.shape[1], used + -used % _STEP)
        segment = segment[:, :end]
        ids = self.ids[rows, :end].to(torch.int64)
        following = ids.roll(-1, dims=1)
        learned = self.learned[rows, :end] > 0
        return TokenBatch(
            ids=ids,
            labels=torch.where(learned, following, IGNORED),
            weights=self.weights[rows, :end].float(),
            position_ids=self.positions[rows, :end].to(torch.int64),
            mask=mask_of(segment),
        )


_FIELDS = ("ids", "learned", "weights", "positions", "segment")
_DTYPES = (np.int32, np.uint8, np.float16, np.int16, np.int8)


def pack_rows(
    turns: Sequence[Sequence[Turn]], frame: PromptFrame, text_tokens: int, packings: int
) -> PackedRows:
    """Returns one row for each packing of each scene, in the order of `turns`."""
    slots = np.full((len(turns), frame.slots), frame.image)
    rows = lay_out(turns, frame.prefix, slots, frame.room(text_tokens), frame.pad)
    arrays = (rows.ids, rows.labels != IGNORED, rows.weights, rows.positions, rows.segment)
    cast = {
        name: torch.from_numpy(array.astype(dtype))
        for name, array, dtype in zip(_FIELDS, arrays, _DTYPES, strict=True)
    }
    return PackedRows(**cast, packings=packings)


def build_rows(
    work: Path,
    name: str,
    texts: Sequence[SceneTexts],
    tokenizer: PreTrainedTokenizerBase,
    frame: PromptFrame,
    *,
    text_tokens: int,
    packings: int,
    seed: int,
    report: Report,
) -> PackedRows:
    """Builds the rows of all scenes on all cores into `work`, or reads those built before."""
    file = work / f"rows-{name}.safetensors"
    if not file.exists():
        folder = work / "tokenizer"
        tokenizer.save_pretrained(folder)
        starts = range(0, len(texts), _CHUNK)
        jobs = [
            (str(folder), frame, list(texts[at : at + _CHUNK]), at, text_tokens, packings, seed)
            for at in starts
        ]
        chunks: list[PackedRows] = []
        with spread(_chunk, jobs) as built:
            for start, rows in zip(starts, built, strict=True):
                chunks.append(rows)
                report("conversations", start + len(jobs[0][2]), len(texts), float("nan"))
        tensors = {name: torch.cat([getattr(rows, name) for rows in chunks]) for name in _FIELDS}
        unfinished = file.with_suffix(".tmp")
        save_file(tensors, unfinished)
        os.replace(unfinished, file)
    return PackedRows(**load_file(file), packings=packings)


_Job = tuple[str, PromptFrame, list[SceneTexts], int, int, int, int]


def _chunk(job: _Job) -> PackedRows:
    folder, frame, texts, start, text_tokens, packings, seed = job
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        folder, trust_remote_code=False
    )
    make = ChatTurns(tokenizer)
    turns = []
    for number, text in enumerate(texts, start):
        rng = np.random.default_rng([seed, number])
        turns += [make.of_scene(text.caption, text.questions, rng) for _ in range(packings)]
    return pack_rows(turns, frame, text_tokens, packings)
