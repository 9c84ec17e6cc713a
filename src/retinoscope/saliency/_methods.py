"""`METHODS`: every method that makes a map of a decoder's run, by name, with one signature."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..arguments import several, shown
from ..engine import Run
from ..engine.fill import Fill
from ..errors import CapabilityError, InputError
from ._attention_maps import attention, chefer, rollout
from ._effect_maps import ablation_effect, ablation_estimate, knockout_effect, occlusion, rise
from ._gradient_maps import grad_cam, gradient_input, integrated_gradients, smooth_grad
from ._heat_map import HeatMap
from ._lens_map import lens_probability
from ._target import AnyTarget

if TYPE_CHECKING:
    from ..engine import VLM

Layers = Literal["none", "blocks", "inputs", "states"]
Unit = Literal["score", "share"]


@dataclass(frozen=True)
class Method:
    """One method as a study calls it: `METHODS[name](run, target, layer=..., fill=..., seed=...)`.

    Attributes:
        name: as in `METHODS` and in `HeatMap.method`.
        function: the method itself, with all its own settings.
        layers: what its `layer` counts: "none", it takes no layer; "blocks", 0 to L - 1; "inputs",
            inputs of blocks, 0 to L - 1; "states", as in `run.hidden`, 0 to L.
        unit: what its values are on the scale of: the target's score, or shares from 0 to 1.
        fills: the name of the setting that a fill goes to, or None.
        seeded: whether it takes a seed.
        steps: the name of the setting that makes it better and dearer, or None; and
        usual: its value in a study.
        intervenes: whether it runs the model under interventions, which `Goal.exact` is about.
        needs: capabilities of the model that it needs.
        what: in one sentence.
    """

    name: str
    function: Callable[..., HeatMap]
    what: str
    unit: Unit = "score"
    layers: Layers = "none"
    fills: str | None = None
    seeded: bool = False
    steps: str | None = None
    usual: int | None = None
    intervenes: bool = False
    needs: tuple[str, ...] = ()

    def layers_of(self, vlm: VLM, chosen: Iterable[int] | None = None) -> tuple[int | None, ...]:
        """The layers that the method can be applied to; (None,) where it takes none.

        Args:
            chosen: only those of these that it has.
        """
        if self.layers == "none":
            return (None,)
        every = range(vlm.n_layers + (self.layers == "states"))
        return tuple(every if chosen is None else sorted(set(chosen) & set(every)))

    def refusal(self, vlm: VLM) -> str | None:
        """The reason why this model does not allow the method; None if it does."""
        try:
            for name in self.needs:
                vlm.capabilities.require(name)
        except CapabilityError as error:
            return str(error)
        return None

    def __call__(
        self,
        run: Run,
        target: AnyTarget,
        *,
        layer: int | None = None,
        fill: Fill | None = None,
        steps: int | None = None,
        seed: int = 0,
        image: int = 0,
    ) -> HeatMap:
        """The map of one target; arguments that a method does not take are not passed on.

        Args:
            target: give several methods one `resolve(run, target)`, so that they share passes.
            layer: as `layers` says; None is the method's own choice (a mean or the last, mostly).
            steps: `usual` if None.

        Raises as the method itself does.
        """
        settings: dict[str, Any] = {"image": image}
        if self.layers != "none":
            settings["layer"] = layer
        if self.fills is not None:
            settings[self.fills] = fill
        if self.seeded:
            settings["seed"] = seed
        if self.steps is not None:
            settings[self.steps] = self.usual if steps is None else steps
        return self.function(run, target, **settings)


_GRADIENTS = ("gradients",)
METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "attention",
            attention,
            "attention weights of the row that predicts the target, mean of the heads",
            unit="share",
            layers="blocks",
            needs=("attention",),
        ),
        Method(
            "rollout",
            rollout,
            "attention carried through the blocks up to one of them, as if it only mixed tokens",
            unit="share",
            layers="blocks",
            needs=("attention",),
        ),
        Method(
            "chefer",
            chefer,
            "attention weights times their gradients, carried through all blocks",
            needs=("attention", *_GRADIENTS),
        ),
        Method(
            "grad-cam",
            grad_cam,
            "states weighted by their mean gradient, positive part, at the input of a block",
            layers="inputs",
            needs=_GRADIENTS,
        ),
        Method(
            "gradient-input",
            gradient_input,
            "gradient times input at the decoder's input",
            needs=_GRADIENTS,
        ),
        Method(
            "integrated-gradients",
            integrated_gradients,
            "gradients along the line from a fill to the run's own visual tokens",
            steps="steps",
            usual=16,
            fills="baseline",
            needs=_GRADIENTS,
        ),
        Method(
            "smooth-grad",
            smooth_grad,
            "absolute mean gradient over noisy copies of the visual tokens",
            seeded=True,
            steps="samples",
            usual=8,
            needs=_GRADIENTS,
        ),
        Method(
            "lens-probability",
            lens_probability,
            "probability of the word in the logit lens at each visual token",
            unit="share",
            layers="states",
        ),
        Method(
            "knockout-effect",
            knockout_effect,
            "exact loss of the score when the predicting row cannot read the token",
            intervenes=True,
            needs=("knockout",),
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
            needs=_GRADIENTS,
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
}
"""Name -> method; `grad_cam` alone must be given a layer."""


def methods_named(names: Iterable[str]) -> tuple[Method, ...]:
    """The methods of these names, in the order of `METHODS`; all if there are none.

    Raises:
        InputError: an unknown name.
    """
    wanted = several(names, "names of methods") or tuple(METHODS)
    for name in wanted:
        if not isinstance(name, str) or name not in METHODS:
            raise InputError(f"expected methods of {', '.join(METHODS)}, got {shown(name)}")
    return tuple(method for name, method in METHODS.items() if name in wanted)
