"""Notes below the section of the lens study."""

from __future__ import annotations

from collections.abc import Sequence

from ..runs import StudyRun
from .options import FITTED
from .pretraining import BUILT_IN, OF_PARTS, PRETRAINING

_KINDS = {
    "embedding": "Embedding lens: the row of the input embedding that is nearest to the token's "
    "state, by cosine. It finds the word that a state lies on.",
    "jacobian": "Jacobian lens: the state is multiplied by the average Jacobian of the final state "
    "with respect to it, then read out by the final norm and the unembedding. It finds the words "
    "that a state makes likelier later on, to first order and on average. At the last layer it is "
    "the logit lens.",
    "tuned": "Tuned lens: an affine map per layer, trained to bring the readout close to the "
    "model's final distribution at the same position.",
    "contextual": "Contextual lens: the nearest state, at any of the layers that are kept, among "
    "texts that the decoder has read; the word is the token at that state.",
    "patchscope": "Patchscope: the state replaces that of a placeholder in a short text prompt, at "
    "the same layer; the word is what the model then predicts.",
}
_FITTED = (
    "A lens that the study fits itself is fitted on images that are not studied, separately for "
    "each control's weights."
)


def kinds_notes(kinds: Sequence[str]) -> tuple[str, ...]:
    """Returns what the kinds of lens other than the logit lens do."""
    fitted = (_FITTED,) if set(kinds) & {*FITTED} else ()
    return (*(_KINDS[kind] for kind in kinds if kind in _KINDS), *fitted)


def notes_of(runs: Sequence[StudyRun], near: bool) -> tuple[str, ...]:
    """Returns what the section's words mean, and what shaped its models."""
    known = [run.label for run in runs if run.label in PRETRAINING]
    return (
        "Logit lens: the final norm and the unembedding applied to the residual stream of a visual "
        "token after each layer. Layer 0 is what the decoder receives; the last layer is the "
        "model's own output, normalised once.",
        "Cover: how much of a token's box the object's mask must cover for the token to count. "
        "With any overlap, tokens at the object's border count, which may show mostly background; "
        "with half cover, only tokens that lie mostly on the object. The paper's rule is not "
        "certain, so both are given.",
        "Controls: the same count on tokens outside every object, on the tokens under another "
        "image's mask that the object does not touch, and on a copy of the model with random "
        "weights. A peak is biased upwards on the images that selected it, so each image counts at "
        "the layer that was best on the other half of the images.",
        *((BUILT_IN,) if "pocket" in known else ()),
        *((OF_PARTS,) if any(run.label.startswith("smol") for run in runs) else ()),
        *((_near_note(runs[0]),) if near else ()),
    )


def _near_note(run: StudyRun) -> str:
    options = run.manifest["parameters"]
    near = options.get("near") if isinstance(options, dict) else None
    return (
        f"“Near” are the {near} entries of the vocabulary that are closest to a name by the "
        "language model's own input embeddings (cosine, without what all entries share), including "
        "the name itself. The control is the same count for the name of another object."
    )
