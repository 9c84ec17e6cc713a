"""The kinds of lens on the planted models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...data import squares
from ...lens import Patchscope
from ...pocket.planted import PLANTED
from .._planted import Measured, largest, summary_of
from .options import KINDS, LABELS
from .readers import LensFits
from .study import LogitLens

if TYPE_CHECKING:
    from ...data import Sample
    from ...engine import VLM

MODELS = tuple(PLANTED)
"""All of them: lenses differ in what they tell of tokens that lie near words."""
_FITTED_TO = 32, 1
"""Number and seed of the images to which lenses are fitted."""


def measure(vlm: VLM, samples: Sequence[Sample]) -> Measured:
    # A planted model answers right after the prompt.
    target = vlm.run(vlm.prompt(None, "What is this thing?"))
    fits = LensFits(squares(*_FITTED_TO), given={"patchscope": Patchscope(target)})
    study = LogitLens(vlm, samples, kinds=KINDS, fits=fits, untrained=False)
    rows = summary_of(study)
    return {
        **{
            f"{LABELS[kind]}: {group} tokens that name the object at their best layer": largest(
                rows, "share", lens=kind, group=group, measure="strict"
            )
            for kind in KINDS
            for group in ("object", "background")
        },
        "object tokens that name any object at their best layer": largest(
            rows, "share", lens="logit", group="object", measure="any_kind"
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
