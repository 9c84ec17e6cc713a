"""A map of the logit lens: the probability of a word at each visual token."""

from __future__ import annotations

from ..engine import Run
from ._common import layers_in, map_of, slice_of
from ._heat_map import HeatMap
from ._target import AnyTarget, resolve


def lens_probability(
    run: Run, target: AnyTarget, *, layer: int | None = None, image: int = 0
) -> HeatMap:
    """The probability of the target's tokens in the logit lens at each visual token.

    It asks what a token says, not whether the answer reads it. Visual tokens do not see the text
    after them: the map is that of the word, whatever was asked.

    Args:
        layer: as in `run.hidden`, 0 to L; None is of each token the largest of all layers.
        image: which of the prompt's images, from 0.

    Returns:
        (n,) probabilities, the mean of the target's distinct tokens; of a difference that of the
        one minus that of the other.

    Raises:
        InputError: what `resolve` raises, or no such layer or image.

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
