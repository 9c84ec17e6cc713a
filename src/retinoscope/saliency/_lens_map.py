"""A map from the logit lens: the probability of a word at each visual token."""

from __future__ import annotations

from ..engine import Run
from ._common import layers_in, map_of, slice_of
from ._heat_map import HeatMap
from ._target import AnyTarget, resolve


def lens_probability(
    run: Run, target: AnyTarget, *, layer: int | None = None, image: int = 0
) -> HeatMap:
    """The probability of the target's tokens in the logit lens at each visual token.

    It shows what a token encodes, not whether the answer reads it. Visual tokens do not see the
    text after them: the map is that of the word, whatever the question.

    Args:
        run: the run.
        target: what to explain.
        layer: as in `run.hidden`, 0 to L; None for each token's largest value over all layers.
        image: index of the image in the prompt.

    Returns:
        (n,) probabilities, averaged over the target's distinct tokens; for a difference, that of
        one token minus that of the other.

    Raises:
        InputError: as `resolve`, or there is no such layer or image.

    Source: Neo et al. 2024 (arXiv 2410.07149), section 4.1; a map of one word: Jiang et al. 2024
    (arXiv 2410.02762), section 5.
    """
    goal = resolve(run, target)
    chosen = slice_of(goal, image)
    layers = list(layers_in(layer, run.vlm.n_layers + 1, "layers"))
    probs = goal.lens.prob(list(dict.fromkeys(goal.ids)))[:, layers][..., chosen].mean(0)
    if goal.versus is not None:
        probs = probs - goal.lens.prob(goal.versus)[layers][:, chosen]
    return map_of(goal, image, probs.amax(0), "lens-probability", layer=layer)
