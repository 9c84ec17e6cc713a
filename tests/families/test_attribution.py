"""Maps in every family: the weights of the pass with gradients are those of the run, its gradients
those of the pass without them, or the method is refused with a reason."""

from __future__ import annotations

import pytest
import torch
from checks import picture
from row import OUTSIDE, loaded, over
from table import ROWS

import retinoscope as rs
from retinoscope.saliency import METHODS, Target, resolve

FAST = ("attention", "grad-cam", "gradient-input", "chefer", "lens-probability", "knockout-effect")


@over([row for row in ROWS if row.places != OUTSIDE])
def test_passes_with_gradients_are_those_of_the_run(row) -> None:
    vlm = loaded(row)
    run = vlm.run(vlm.prompt(picture((70, 40)), "What is the color of the cat"))
    top = run.logits.topk(2).indices.tolist()
    goal = resolve(run, Target.tokens(top, "logit"))
    for name in FAST:
        method = METHODS[name]
        if method.refusal(vlm):
            with pytest.raises(rs.CapabilityError):
                method(run, goal, layer=method.layers_of(vlm)[-1])
            continue
        try:
            found = method(run, goal, layer=method.layers_of(vlm)[-1])
        except rs.CapabilityError:
            # A block that does not attend has no weights, and no edges.
            assert name in ("attention", "chefer", "knockout-effect")
        else:
            assert len(found) == len(run.image), name
    if METHODS["gradient-input"].refusal(vlm):
        return
    places, wanted = list(goal.gradient.places), goal.gradient.here.gradients[0]
    scale = float(wanted.abs().max())
    # Some decoders scale or norm the embeddings before the first block.
    if torch.equal(goal.run.hidden(0), goal.run.embeddings):
        found = goal.states.gradients[0][places]
        torch.testing.assert_close(found, wanted, atol=1e-4 * scale, rtol=1e-3)
    try:
        weights = goal.weights.weights
    except rs.CapabilityError:
        return
    for layer, found in enumerate(weights):
        again = goal.run.attention(layer, range(goal.run.n))
        torch.testing.assert_close(found, again, atol=2e-5, rtol=1e-3)
