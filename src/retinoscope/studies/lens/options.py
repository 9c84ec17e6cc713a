"""Options of the logit lens; standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from ..options import ObjectBounds

COVERS = (0.0, 0.5)
"""Any overlap with a token's box, and at least half of it."""


@dataclass(frozen=True, kw_only=True)
class LensOptions(ObjectBounds):
    """Read visual tokens as words: do an object's tokens name it, and at which layer?

    Measures, at every layer, the share of an object's tokens whose most probable word is its name.
    Controls are tokens of no object, another image's mask, and a copy with random weights.

    For example:

        retinoscope lens pocket scenes:100 --out runs/lens

        retinoscope lens smol scenes:64 --near 50 --parts --out runs/smol-lens

        retinoscope lens llava-hf/llava-1.5-7b-hf coco:coco --limit 170 --out runs/llava-lens

    Args:
        covers: how much of a token's box the object must cover, as shares; results are given for
            each of them. 0 is any overlap.
        untrained: also run a copy with random weights, which needs the model's memory again.
        near: number of entries of the vocabulary around a name that count as near it; also counts
            its pieces and synonyms, and lists the words that appear. 0 skips all this.
        parts: also run the model with a random projector, and with a random language model.
        example_layers: number of layers kept for the pictures.
    """

    covers: tuple[float, ...] = COVERS
    untrained: bool = True
    near: int = 0
    parts: bool = False
    example_layers: int = 5


OPTIONS = LensOptions
