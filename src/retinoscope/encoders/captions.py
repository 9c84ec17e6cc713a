"""Captions of drawn scenes as the packaged encoders read them, and their training scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ..data import ByColor, Grounded, LazySamples, Scenes
from ..errors import InputError
from ..pocket.vocabulary import build_tokenizer

TRAIN_SEED = 2212_00281
"""The seed of the scenes on which the encoders were trained; all other seeds are held out."""
GROUNDED_SEED = 2210_09996


def held_out(samples: Sequence[Any]) -> None:
    """Refuses scenes on which the encoders of the comparison were trained.

    Raises:
        InputError: scenes of a training seed, named by their colours or not.
    """
    for source, seed in _drawn(samples):
        if seed == {"scenes": TRAIN_SEED, "grounded": GROUNDED_SEED}.get(source):
            raise InputError(
                f"expected scenes on which no encoder was trained, got those of seed {seed}: "
                "choose another seed"
            )


def _drawn(samples: Sequence[Any]) -> Iterator[tuple[str, int]]:
    """Yields the worlds from which samples were drawn, with seeds; nothing for other data."""
    if isinstance(samples, ByColor):
        yield from _drawn(samples.samples)
    elif isinstance(samples, Scenes | Grounded):
        yield ("scenes" if isinstance(samples, Scenes) else "grounded"), samples.seed
    elif isinstance(samples, LazySamples):
        kind, *numbers = samples.name.split(":")
        if kind == "simulated":
            yield "scenes", int(numbers[-1])
    elif isinstance(samples, list | tuple):
        for sample in samples:
            meta = getattr(sample, "meta", {})
            if isinstance(meta.get("seed"), int):
                yield str(meta.get("source")), meta["seed"]


def caption_ids(captions: Sequence[str], tokens: int) -> Int[Tensor, "text token"]:
    """Token ids of texts, with start and end tokens, padded.

    Raises:
        InputError: a text of more than `tokens` tokens, or with an unknown word.
    """
    tokenizer = build_tokenizer()
    end, unknown = tokenizer.eos_token_id, tokenizer.unk_token_id
    assert isinstance(end, int)
    ids = np.zeros((len(captions), tokens), dtype=np.int64)
    for row, text in enumerate(captions):
        text_ids = [*tokenizer(text)["input_ids"], end]
        if unknown in text_ids:
            raise InputError(
                f"expected words of drawn scenes, got {text!r}: name kinds and colours of "
                "retinoscope.data.scenes, as in 'a red car'"
            )
        if len(text_ids) > tokens:
            raise InputError(f"expected texts of at most {tokens - 2} words, got {text!r}")
        ids[row, : len(text_ids)] = text_ids
    return torch.from_numpy(ids)
