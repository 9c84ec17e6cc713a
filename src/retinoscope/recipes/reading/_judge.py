"""What readers read of held-out boards, condition by condition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...data.words import BoardOptions
from ...interfaces import WordReader, WordReading, to_pixels
from ._boards import SIGNS, Boards
from ._mask import MaskedReading, own_attention
from ._speller import Speller

CONDITIONS: dict[str, BoardOptions | Literal["signs"]] = {
    "clean": BoardOptions(),
    "weak": BoardOptions("weak"),
    "heavy": BoardOptions("heavy"),
    "full": BoardOptions("full"),
    "strings": BoardOptions(strings=1.0),
    "signs": SIGNS,
}
"""Name -> how boards are drawn; with "columns", the clean boards are read without the columns of
one letter, as in training."""
_BATCH = 100


@torch.no_grad()
def judge_reader(
    reader: WordReader,
    unseen: Mapping[str, Boards],
    *,
    speller: Speller | None = None,
    masked: MaskedReading | None = None,
) -> tuple[pl.DataFrame, dict[str, float]]:
    """Reads all boards of all conditions.

    Args:
        reader: trained.
        unseen: condition -> held-out boards.
        speller: corrects what was read.
        masked: a learned mask whose places are to be measured too.

    Returns:
        One row per board and condition: "condition", "board", "word" (whether it was read right)
        and "letter" (whether the one letter was that something lies on, or would). For clean
        boards also, for the learned mask ("learned") and the reader's own attention ("attention"),
        the share of the mask inside the letter's columns ("..._inside") and whether its peak is
        there ("..._peak"), and the share of the width that the letter takes ("width"). And the
        means, by condition.
    """
    reader.eval()
    frames = []
    for condition, boards in unseen.items():
        frames.append(_read(reader, speller, boards, condition, masked))
        if condition == "clean":
            frames.append(_read(reader, speller, boards, "columns", None))
    rows = pl.concat(frames, how="diagonal")
    scores: dict[str, float] = {}
    for (condition,), part in rows.group_by("condition", maintain_order=True):
        for column in part.columns[2:]:
            if part[column].null_count() < len(part):
                scores[f"{condition}: {column}"] = float(part[column].cast(pl.Float64).mean())  # type: ignore[arg-type]
    return rows, scores


def _read(
    reader: WordReader,
    speller: Speller | None,
    boards: Boards,
    condition: str,
    masked: MaskedReading | None,
) -> pl.DataFrame:
    frames = []
    for start in range(0, len(boards), _BATCH):
        rows = slice(start, start + _BATCH)
        inside = columns_of(boards.edges[rows], reader.shape.positions)
        columns = reader.see(to_pixels(boards.images[rows]))
        shown = columns * ~inside[..., None] if condition == "columns" else columns
        reading = reader.reading(shown)
        logits = reading.logits if speller is None else speller(reading)
        read, true = logits.argmax(-1), reader.shape.ids(boards.words[rows])
        letter = torch.from_numpy(boards.letter[rows])
        words = [
            said == meant
            for said, meant in zip(reader.shape.words(read), boards.words[rows], strict=True)
        ]
        right = read.gather(1, letter[:, None]) == true.gather(1, letter[:, None])
        frame = pl.DataFrame(
            {
                "condition": condition,
                "board": np.arange(start, start + len(words)),
                "word": words,
                "letter": right[:, 0].numpy(),
            }
        )
        if condition == "clean":
            frame = frame.hstack(_places(reading, columns, letter, inside, masked))
        frames.append(frame)
    return pl.concat(frames)


def _places(
    reading: WordReading,
    columns: Float[Tensor, "batch position d"],
    letter: Tensor,
    inside: Bool[Tensor, "batch position"],
    masked: MaskedReading | None,
) -> pl.DataFrame:
    masks = {"attention": own_attention(reading, letter)}
    if masked is not None:
        masks["learned"] = masked.mask(columns, letter)
    found = {"width": inside.float().mean(1).numpy()}
    for name, mask in masks.items():
        found[f"{name}_inside"] = ((mask * inside).sum(1) / mask.sum(1)).numpy()
        found[f"{name}_peak"] = inside.gather(1, mask.argmax(1, keepdim=True))[:, 0].numpy()
    return pl.DataFrame(found)


def columns_of(
    edges: Float[np.ndarray, "board 2"], n_columns: int
) -> Bool[Tensor, "board position"]:
    """True for the columns that a letter reaches into."""
    first, last = np.floor(edges[:, 0] * n_columns), np.ceil(edges[:, 1] * n_columns)
    place = np.arange(n_columns)
    return torch.from_numpy((place >= first[:, None]) & (place < last[:, None]))
