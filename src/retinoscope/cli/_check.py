"""`retinoscope known-answers`."""

from __future__ import annotations

from typing import Literal

from ..studies.attend.options import MapMethod
from ..studies.registry import Planted
from ._say import say

Method = Literal[Planted, MapMethod]


def known_answers(method: Method, /, *, images: int = 24, seed: int = 0) -> None:
    """Try a method on models with a known mechanism: can it tell them apart?

    Every weight of these tiny models was set by hand. In some, the question's tokens carry the
    image to the answer, in others the answer reads it directly; visual tokens hold their own patch,
    or the whole image, or nothing.

    For example:

        retinoscope known-answers flow

        retinoscope known-answers ablation --images 50

    Args:
        method: the method to try.
        images: number of images of squares; ten times as many for probe, which has to train.
        seed: seed of these images.
    """
    from ._common import check_counts, check_seeds, quiet

    check_counts(images=images)
    check_seeds(seed=seed)
    quiet()
    from ..studies import check_planted

    say(check_planted(method, images, seed), lines=True)
