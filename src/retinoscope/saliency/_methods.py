"""`METHODS`: every method that makes a map of a decoder's run, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..arguments import several, shown
from ..errors import CapabilityError, InputError
from ._attention_maps import attention, chefer, rollout
from ._effect_maps import ablation_effect, ablation_estimate, knockout_effect, occlusion, rise
from ._gradient_maps import grad_cam, gradient_input, integrated_gradients, smooth_grad
from ._lens_map import lens_probability
from ._method import Method, by_name, middle

if TYPE_CHECKING:
    from ..engine import VLM


def _blocks(vlm: VLM) -> int:
    return vlm.n_layers


def _states(vlm: VLM) -> int:
    """As in `run.hidden`: the embeddings, and the output of every block."""
    return vlm.n_layers + 1


def _without(*capabilities: str) -> Callable[[VLM], str | None]:
    """Returns a refusal of models that lack one of these capabilities."""

    def refusal(vlm: VLM) -> str | None:
        try:
            for name in capabilities:
                vlm.capabilities.require(name)
        except CapabilityError as error:
            return str(error)
        return None

    return refusal


METHODS: dict[str, Method[VLM]] = by_name(
    Method(
        "attention",
        attention,
        "attention weights of the row that predicts the target, mean of the heads",
        unit="share",
        depth=_blocks,
        refusal=_without("attention"),
    ),
    Method(
        "rollout",
        rollout,
        "attention carried through the blocks up to one of them, as if it only mixed tokens",
        unit="share",
        depth=_blocks,
        refusal=_without("attention"),
    ),
    Method(
        "chefer",
        chefer,
        "attention weights times their gradients, carried through all blocks",
        refusal=_without("attention", "gradients"),
    ),
    Method(
        "grad-cam",
        grad_cam,
        "states weighted by their mean gradient, positive part, at the input of a block",
        depth=_blocks,
        reads_at=middle,
        refusal=_without("gradients"),
    ),
    Method(
        "gradient-input",
        gradient_input,
        "gradient times input at the decoder's input",
        refusal=_without("gradients"),
    ),
    Method(
        "integrated-gradients",
        integrated_gradients,
        "gradients along the line from a fill to the run's own visual tokens",
        steps="steps",
        usual=16,
        fills="baseline",
        refusal=_without("gradients"),
    ),
    Method(
        "smooth-grad",
        smooth_grad,
        "absolute mean gradient over noisy copies of the visual tokens",
        seeded=True,
        steps="samples",
        usual=8,
        refusal=_without("gradients"),
    ),
    Method(
        "lens-probability",
        lens_probability,
        "probability of the word in the logit lens at each visual token",
        unit="share",
        depth=_states,
    ),
    Method(
        "knockout-effect",
        knockout_effect,
        "exact loss of the score when the predicting row cannot read the token",
        intervenes=True,
        refusal=_without("knockout"),
    ),
    Method(
        "ablation-effect",
        ablation_effect,
        "exact loss of the score when the token is ablated",
        fills="fill",
        intervenes=True,
    ),
    Method(
        "attribution-patching",
        ablation_estimate,
        "the same to first order",
        fills="fill",
        refusal=_without("gradients"),
    ),
    Method(
        "rise",
        rise,
        "mean score over random masks that keep the token",
        fills="fill",
        seeded=True,
        steps="masks",
        usual=64,
        intervenes=True,
    ),
    Method(
        "occlusion",
        occlusion,
        "exact loss of the score without a window of two by two tokens",
        fills="fill",
        intervenes=True,
    ),
)
"""Name -> method; only `grad_cam` requires a layer."""


def methods_named(names: Iterable[str]) -> tuple[Method, ...]:
    """Returns the methods with these names, in the order of `METHODS`; all if there are none.

    Raises:
        InputError: an unknown name.
    """
    chosen = several(names, "names of methods") or tuple(METHODS)
    for name in chosen:
        if not isinstance(name, str) or name not in METHODS:
            raise InputError(f"expected methods of {', '.join(METHODS)}, got {shown(name)}")
    return tuple(method for name, method in METHODS.items() if name in chosen)
