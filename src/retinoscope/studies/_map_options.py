"""Choice of the maps that a study asks a model for, and of method-specific options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import CapabilityError, InputError
from ..saliency import SaliencyModel

Steps = int | Mapping[str, int] | None
"""Number of steps for every method that takes some, or by method; None for the usual number."""
MethodAtLayer = tuple[str, int | None]
"""A method's name, and the layer at which it is applied."""

COMPLETENESS = "completeness"
"""Column of studies that use integrated gradients: the relative error of their sum."""

_OPTIONS = {
    "exact": ("intervenes", "makes interventions, which it is about"),
    "layers": ("depth", "takes a layer"),
    "steps": ("steps", "takes a number of them"),
}
"""Option -> the `Method` attribute that says whether it takes it, and what such a method does."""


@dataclass(frozen=True)
class AskedMaps:
    """The maps that a model is asked for, whatever their target.

    Attributes:
        at: methods, each with a layer.
        steps: numbers of steps, samples or masks by method, where not the usual ones.
    """

    at: tuple[MethodAtLayer, ...]
    steps: Mapping[str, int]

    @property
    def methods(self) -> list[str]:
        """The names of the methods."""
        return list(dict.fromkeys(name for name, _ in self.at))


def asked_maps(
    model: SaliencyModel,
    methods: Sequence[str],
    layers: Sequence[int] | None,
    steps: Steps,
    usual: Iterable[str],
    usual_layers: Callable[[str], Sequence[int | None]],
) -> AskedMaps:
    """Chooses the maps to ask a model for.

    Args:
        model: the model.
        methods: names of methods; if empty, the usual ones that this model supports.
        layers: layers for methods that take one; if None, each one's usual layers.
        steps: numbers of steps.
        usual: names of the usual methods.
        usual_layers: returns the usual layers of a method.

    Raises:
        InputError: a method is unknown, no method has some layer, a named method has none of the
            layers, or layers or steps are given and no method takes them.
        CapabilityError: this model does not support a named method, or none of the usual ones.
    """
    chosen = _allowed(model, methods, [name for name in usual if name in model.methods])
    if layers is None:
        at = {name: usual_layers(name) for name in chosen}
    else:
        at = {name: model.layers_of(name, layers) for name in chosen}
        _check_layers(model, at, layers, named=bool(methods))
    pairs = tuple((name, layer) for name, its_layers in at.items() for layer in its_layers)
    return AskedMaps(pairs, _steps(model, steps, chosen))


def check_exact(exact: str, model: SaliencyModel, asked: AskedMaps) -> None:
    """Raises `InputError` for another path than the usual one if no method makes interventions.

    Args:
        exact: as for `Study`.
        model: the model.
        asked: the maps.
    """
    if exact != "incremental":
        _taking("exact", model, asked.methods)


def _allowed(model: SaliencyModel, named: Sequence[str], usual: Sequence[str]) -> list[str]:
    """Returns the named or usual methods that the model supports, in the model's order."""
    allowed = [name for name in model.methods if model.refusal(name) is None]
    names = ", ".join(allowed)
    for name in named:
        if name not in model.methods:
            raise InputError(
                f"expected methods of {names}, which a {model.kind} model has, got {name!r}"
            )
    requested = named or usual
    chosen = [name for name in allowed if name in requested]
    refused = [name for name in requested if name not in allowed]
    if refused and (named or not chosen):
        advice = f"choose from {names}" if allowed else "give another model"
        raise CapabilityError(
            f"{refused[0]} is not possible ({model.refusal(refused[0])}): {advice}"
        )
    return chosen


def _check_layers(
    model: SaliencyModel,
    at: Mapping[str, Sequence[int | None]],
    layers: Sequence[int],
    named: bool,
) -> None:
    taking = _taking("layers", model, list(at))
    deepest = max(taking, key=lambda name: len(model.layers_of(name)))
    # Unless methods were named, those without any of these layers are dropped.
    lacking = [name for name in taking if named and not at[name]]
    unknown = [layer for layer in layers if layer not in model.layers_of(deepest)]
    if lacking or unknown or not layers:
        name = lacking[0] if lacking else deepest
        got = ", ".join(map(str, layers if lacking else unknown)) or "none"
        raise InputError(
            f"expected layers from 0 to {model.layers_of(name)[-1]} for {name}, got {got}"
        )


def _steps(model: SaliencyModel, steps: Steps, asked: Sequence[str]) -> dict[str, int]:
    if steps is None:
        return {}
    taking = _taking("steps", model, asked)
    if isinstance(steps, int):
        steps = dict.fromkeys(taking, steps)
    for name, number in steps.items():
        if name not in taking:
            raise InputError(
                f"expected steps for {', '.join(taking)}, got some for {name!r}: leave them out"
            )
        if number < 1:
            raise InputError(f"expected steps from 1 up, got {number} for {name}")
    return dict(steps)


def _taking(option: str, model: SaliencyModel, asked: Sequence[str]) -> list[str]:
    """Returns the methods that take an option; raises `InputError` if there are none."""
    attribute, does = _OPTIONS[option]
    able = [
        name
        for name, method in model.methods.items()
        if getattr(method, attribute) and model.refusal(name) is None
    ]
    taking = [name for name in asked if name in able]
    if not taking:
        others = f", or ask for one of {', '.join(able)}" if able else ""
        raise InputError(
            f"{option}: expected a method that {does}, got {', '.join(asked)}: leave {option} out"
            f"{others}"
        )
    return taking
