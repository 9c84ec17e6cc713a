"""The logit lens on the planted models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._planted import Measured, largest, summary_of
from .study import LogitLens

if TYPE_CHECKING:
    from ...data import Sample
    from ...engine import VLM


def measure(vlm: VLM, samples: Sequence[Sample]) -> Measured:
    rows = summary_of(LogitLens(vlm, samples, untrained=False))
    return {
        **{
            f"{group} tokens that name the object at their best layer": largest(
                rows, "share", group=group, measure="strict"
            )
            for group in ("object", "background")
        },
        "object tokens that name any object at their best layer": largest(
            rows, "share", group="object", measure="any_kind"
        ),
        "question's tokens that name an object of the image": _question_lens(vlm, samples),
    }


def _question_lens(vlm: VLM, samples: Sequence[Sample]) -> float:
    """The share of the question's tokens that read as a word of the image, at the best layer.

    The blind model's constant words do not count if they happen to be in the image: they are
    predicted at the last position, which is excluded.
    """
    shares = []
    for sample in samples:
        run = vlm.run(vlm.prompt(sample.image, sample.questions[0].question))
        asked = run.positions["question"]
        top = run.lens(top_k=1, positions=asked).ids[..., 0]
        present = {vlm.tokenizer.encode(obj.name)[-1] for obj in sample.objects}
        shares.append([[token in present for token in layer] for layer in top.tolist()])
    return float(np.array(shares).mean((0, 2)).max())
