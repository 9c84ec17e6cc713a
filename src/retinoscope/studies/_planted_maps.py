"""What the heat maps of a method show on a planted model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..data import Sample
from ..engine import fill
from ..saliency import Method, Target, resolve
from ._planted import Measured
from ._sets import ImageTokens, object_sets

if TYPE_CHECKING:
    from ..engine import VLM

_NOTHING = 1e-3
"""Relative to the logit (for a share, absolute); rounding leaves a millionth in every token."""


def measure_maps(method: Method, vlm: VLM, samples: Sequence[Sample]) -> Measured:
    """Measures maps of the first word's logit, each at its best layer: how many are not zero, their
    positive mass on the object, and whether their largest token is on it (of equal ones, the share
    that is)."""
    mean = fill.mean(vlm, samples)
    layers = method.layers_of(vlm)
    inside: list[list[float]] = [[] for _ in layers]
    peaks: list[list[float]] = [[] for _ in layers]
    for sample in samples:
        run = vlm.run(vlm.prompt(sample.image, sample.questions[0].question))
        image = ImageTokens(run)
        obj = list(object_sets(image, [sample.objects[0].mask])["object"])
        target = vlm.tokenizer.encode(sample.objects[0].name)[-1]
        # The model is certain, so its log-probability has no slope left.
        goal = resolve(run, Target.token(target, "logit"))
        least = _NOTHING * (1.0 if method.unit == "share" else abs(goal.value))
        for number, layer in enumerate(layers):
            positive = np.maximum(method(run, goal, layer=layer, fill=mean).values, 0.0)
            if positive.sum() > least:
                inside[number].append(float(positive[obj].sum() / positive.sum()))
                # Ties up to rounding.
                largest = np.flatnonzero(positive > positive.max() * (1 - _NOTHING))
                peaks[number].append(float(np.isin(largest, obj).mean()))
    return {
        "images with a map that is not zero": max(map(len, inside)) / len(samples),
        "positive mass inside the object's mask": _best(inside),
        "largest token inside the object's mask": _best(peaks),
    }


def _best(by_layer: list[list[float]]) -> float | None:
    return max((float(np.mean(values)) for values in by_layer if values), default=None)
