"""Options of the lens study; standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from ..options import ObjectBounds

COVERS = (0.0, 0.5)
"""Any overlap with a token's box, and at least half of it."""
LensKind = Literal["logit", "embedding", "tuned", "jacobian", "contextual", "patchscope"]
KINDS: tuple[LensKind, ...] = get_args(LensKind)
LABELS: dict[str, str] = {
    "logit": "logit lens",
    "embedding": "embedding lens",
    "tuned": "tuned lens",
    "jacobian": "Jacobian lens",
    "contextual": "contextual lens",
    "patchscope": "patchscope",
}
"""Kind of lens -> its name in a sentence."""
FITTED = ("tuned", "jacobian", "contextual")
"""The kinds that are fitted to a model first."""

MEASURES = (
    *("strict", "lenient", "colour", "part", "any_kind"),
    *("piece", "synonym", "near", "near_other"),
)
"""What is counted; the second line only if the study measured what is near a name."""


@dataclass(frozen=True, kw_only=True)
class LensOptions(ObjectBounds):
    """Read visual tokens as words: do an object's tokens name it, and at which layer?

    Measures, at every layer, the share of an object's tokens whose nearest word is its name, by one
    or several kinds of lens. Controls are tokens of no object, another image's mask, and a copy
    with random weights.

    For example:

        retinoscope lens pocket scenes:100 --out runs/lens

        retinoscope lens pocket scenes:40 --kinds logit embedding jacobian --out runs/lenses

        retinoscope lens smol scenes:64 --near 50 --parts --out runs/smol-lens

        retinoscope lens llava-hf/llava-1.5-7b-hf coco:coco --limit 170 --out runs/llava-lens

    Args:
        kinds: kinds of lens, compared on the same tokens. logit: the final norm and the
            unembedding; embedding: the nearest input embedding; jacobian: the average effect on the
            final state; tuned: an affine map trained to match the final output; contextual: the
            nearest state of a text; patchscope: what the model says with the state in a text
            prompt.
        lenses: files of lenses (`retinoscope fit-lens`) fitted to MODEL; without fit_on, they have
            no copy with random weights as a control.
        fit_on: DATA on which the study fits the lenses that are not in files, and those of its
            controls; if left out and the images are scenes:N, 64 other scenes.
        fit_prompts: number of images of fit_on that jacobian and tuned are fitted on, with the
            model's own answers; contextual uses the captions of all.
        fit_at: positions of the states that jacobian is fitted to.
        covers: how much of a token's box the object must cover, as shares; results are given for
            each of them. 0 is any overlap.
        untrained: also run a copy with random weights, which needs the model's memory again.
        near: number of entries of the vocabulary around a name that count as near it; also counts
            its pieces and synonyms, and lists the words that appear. 0 skips all this.
        parts: also run the model with a random projector, and with a random language model.
        example_layers: number of layers kept for the pictures.
    """

    LEAST: ClassVar[Mapping[str, int]] = {"fit_prompts": 1}

    kinds: tuple[LensKind, ...] = ("logit",)
    lenses: tuple[str, ...] = ()
    fit_on: str = ""
    fit_prompts: int = 8
    fit_at: Literal["text", "visual"] = "text"
    covers: tuple[float, ...] = COVERS
    untrained: bool = True
    near: int = 0
    parts: bool = False
    example_layers: int = 5


OPTIONS = LensOptions
