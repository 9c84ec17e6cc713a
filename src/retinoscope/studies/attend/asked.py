"""Which methods are asked at which layers, and the maps and curves that they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...engine import VLM
from ...errors import CapabilityError, InputError
from ...saliency import METHODS, Goal, HeatMap, Method, insertion_deletion, methods_named
from ...store import Json
from .._map_options import Steps, steps_of, untaken
from .._tables import Cell

if TYPE_CHECKING:
    from ...engine.fill import Fill

MethodAndLayer = tuple[str, int | None]
"""A method's name, and the layer that it was asked at."""


@dataclass(frozen=True)
class AskedMethods:
    """Methods of heat maps, each with its layers.

    Attributes:
        layers: at which the methods that take one are asked; all of them if None.
        steps: steps, samples or masks of a method, by its name, where they are not the usual ones.
    """

    methods: tuple[Method, ...]
    layers: tuple[int, ...] | None
    steps: dict[str, int]
    seed: int

    def maps(self, goal: Goal, filling: Fill | None) -> dict[MethodAndLayer, HeatMap]:
        """The map of each method and layer."""
        return {
            (method.name, layer): method(
                goal.origin,
                goal,
                layer=layer,
                fill=filling,
                steps=self.steps.get(method.name),
                seed=self.seed,
            )
            for method in self.methods
            for layer in method.layers_of(goal.origin.vlm, self.layers)
        }

    def curves(
        self, goal: Goal, filling: Fill, heats: Mapping[MethodAndLayer, HeatMap], steps: int
    ) -> dict[MethodAndLayer, dict[str, Cell]]:
        """Insertion and deletion of each map; empty where they are undefined."""
        found = insertion_deletion(
            goal.origin,
            goal,
            [heat.values for heat in heats.values()],
            fill=filling,
            steps=min(steps, len(next(iter(heats.values())))),
            seed=self.seed,
        )
        return {
            key: {}
            if curves.reason
            else {"insertion": curves.insertion, "deletion": curves.deletion}
            for key, curves in zip(heats, found, strict=True)
        }


def asked_methods(
    vlm: VLM, names: Sequence[str], layers: tuple[int, ...] | None, steps: Steps, seed: int
) -> AskedMethods:
    """What of these can be asked of the model.

    Args:
        names: of methods; if empty all that the model allows.

    Raises:
        InputError: a method that was named and that the model does not allow, no method at all, a
            layer that the model or a named method does not have, or steps that no method takes.
    """
    found = methods_named(names)
    refused = {method.name: method.refusal(vlm) for method in found}
    if named := [why for name in names if (why := refused[name])]:
        raise InputError(named[0])
    allowed = tuple(method for method in found if refused[method.name] is None)
    if not allowed:
        raise InputError(f"no method can be used with this model: {refused[found[0].name]}")
    _check_layers(vlm, allowed, names, layers)
    able = [name for name, method in METHODS.items() if method.steps is not None]
    return AskedMethods(
        allowed, layers, steps_of(steps, [method.name for method in allowed], able), seed
    )


def _check_layers(
    vlm: VLM, allowed: Sequence[Method], named: Sequence[str], layers: tuple[int, ...] | None
) -> None:
    top = vlm.n_layers
    bad = [layer for layer in layers or () if not 0 <= layer <= top]
    if bad or layers == ():
        raise InputError(f"expected layers from 0 to {top}, got {bad[0] if bad else 'none'}")
    for method in allowed:
        # Of methods that nobody named, those without such a layer are left out.
        if method.name in named and not method.layers_of(vlm, layers):
            least, most = (method.layers_of(vlm)[place] for place in (0, -1))
            raise InputError(
                f"expected layers from {least} to {most} for {method.name}, got "
                f"{', '.join(map(str, layers or ()))}"
            )
    if layers and all(method.layers == "none" for method in allowed):
        able = [method.name for method in METHODS.values() if method.layers != "none"]
        raise untaken("layers", "takes a layer", [method.name for method in allowed], able)


def refuse_other_kinds(model: object) -> None:
    """Raises `CapabilityError` for what is no VLM; None stands for one that is not loaded yet."""
    if model is not None and not isinstance(model, VLM):
        raise CapabilityError(
            f"{getattr(model, 'name', model)}: only a VLM names objects itself, so only its maps "
            "are held against masks: give data that knows where people looked (vista:FOLDER, "
            "simulated:N), or ask retinoscope group where this model puts each class"
        )


def maps_as_json(heats: Mapping[MethodAndLayer, HeatMap]) -> list[Json]:
    """The maps of a picture, in four digits."""
    return [
        {"method": name, "layer": layer, "values": [float(f"{x:.4g}") for x in heat.values]}
        for (name, layer), heat in heats.items()
    ]
