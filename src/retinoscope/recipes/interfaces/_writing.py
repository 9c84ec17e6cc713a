"""Whether images that were written for a caption show what the caption says.

What was written is decoded into features of patches, and the packaged projector with its language
model, which has never seen codes, answers the questions of the scene about them.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...interfaces import (
    WEIGHTS,
    Lavit,
    assemble,
    draw_codes,
    open_decoder,
    open_towers,
    packaged,
)
from ...interfaces.codes import CodeSequences
from ..pocket._bank import Bank
from ._ask import ask
from ._seen import SeenBank
from ._speaking import encoded

_BATCH = 50
ASKED = ("polling", "color", "kind")
"""Questions that a caption answers."""
SOURCES = ("written", "unigram", "own", "features")
"""Codes written for the caption; codes drawn one by one by their frequency, as many as a random
scene has; the codes of the scene itself; its features, which are no codes."""


@torch.no_grad()
def written_answers(interface: Lavit, reader: Any, seen: SeenBank, bank: Bank) -> pl.DataFrame:
    """What is answered about images from each of `SOURCES`.

    Args:
        interface, reader: trained to write.
        seen, bank: of held-out scenes.

    Returns:
        One row per question and source: "scene", "source", "kind" and "right".
    """
    towers, decoder = open_towers(WEIGHTS), open_decoder(WEIGHTS / "decoder")
    found = packaged("projector")
    judge = found.interface(towers, decoder.config.hidden_size)
    judging = found.decoder(decoder)
    vlm = SimpleNamespace(name="the arm")
    vlm.model, processor = assemble(interface, reader)
    vlm.tokenizer = processor.tokenizer  # type: ignore[attr-defined]
    scenes = np.arange(len(bank))
    own = encoded(interface, seen, scenes)
    rng = np.random.default_rng(0)
    frames = []
    for start in range(0, len(bank), _BATCH):
        rows = scenes[start : start + _BATCH]
        asked = [[q for q in bank.texts[i].questions if q.kind in ASKED] for i in rows]
        for source, features in _features(interface, vlm, own, seen, bank, rows, rng):
            whole = torch.cat([torch.zeros_like(features[:, :1]), features], 1)
            visual = judge({"contrastive": whole}).embeddings
            replies = ask(judging, visual, asked)
            told = [(int(i), q.kind) for i, of in zip(rows, asked, strict=True) for q in of]
            frames.append(
                pl.DataFrame(
                    {
                        "scene": [scene for scene, _ in told],
                        "source": source,
                        "kind": [kind for _, kind in told],
                        "right": replies.right,
                    }
                )
            )
    return pl.concat(frames)


def _features(
    interface: Lavit,
    vlm: Any,
    own: CodeSequences,
    seen: SeenBank,
    bank: Bank,
    rows: np.ndarray,
    rng: np.random.Generator,
) -> Iterator[tuple[str, Float[Tensor, "scene patch width"]]]:
    captions = [bank.texts[i].caption for i in rows]
    written = draw_codes(vlm, captions, seed=int(rows[0]))
    yield "written", interface.tokenizer.decode(written.codes, written.mask)
    as_long = own.mask[torch.from_numpy(rng.integers(len(bank), size=len(rows)))]
    yield "unigram", interface.tokenizer.decode(_unigrams(own, len(rows), rng), as_long)
    yield "own", interface.tokenizer.decode(own.codes[rows], own.mask[rows])
    yield "features", seen.rows(rows)["contrastive"][:, 1:]


def _unigrams(own: CodeSequences, n: int, rng: np.random.Generator) -> Int[Tensor, "scene token"]:
    """Codes drawn by their frequency in all scenes."""
    known = own.codes[own.mask]
    return known[torch.from_numpy(rng.integers(len(known), size=(n, own.codes.shape[1])))]
