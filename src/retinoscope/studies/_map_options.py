"""Which maps a study asks a model for, and what only some methods of maps take or tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import CapabilityError, InputError
from ..saliency import SaliencyModel

Steps = int | Mapping[str, int] | None
"""Of every method that takes some, or by its name; None is the usual number."""
MethodAtLayer = tuple[str, int | None]
"""A method's name, and the layer that it was asked at."""

COMPLETENESS = "completeness"
"""Column of studies that take integrated gradients: the relative error of their sum."""

_OPTIONS = {
    "exact": ("intervenes", "makes interventions, which it is about"),
    "layers": ("depth", "takes a layer"),
    "steps": ("steps", "takes a number of them"),
}
"""The attribute of a `Method` that says whether it takes the option; what such a method does."""


@dataclass(frozen=True)
class AskedMaps:
    """The maps that a model is asked for, whatever their target.

    Attributes:
        at: methods, each with a layer.
        steps: steps, samples or masks of a method, by its name, where they are not the usual ones.
    """

    at: tuple[MethodAtLayer, ...]
    steps: Mapping[str, int]

    @property
    def methods(self) -> list[str]:
        """Their names."""
        return list(dict.fromkeys(name for name, _ in self.at))


def asked_maps(
    model: SaliencyModel,
    methods: Sequence[str],
    layers: Sequence[int] | None,
    steps: Steps,
    usual: Iterable[str],
    usual_layers: Callable[[str], Sequence[int | None]],
) -> AskedMaps:
    """What is asked of a model.

    Args:
        methods: if empty the usual ones, as far as this model allows them.
        layers: of methods that take one; if None the usual ones of each.

    Raises:
        InputError: an unknown method, a layer that no method has, a named method without any of
            the layers, or layers or steps where no method takes them.
        CapabilityError: a named method that this model does not allow, or no usual one that it
            does.
    """
    chosen = _allowed(model, methods, [name for name in usual if name in model.methods])
    if layers is None:
        at = {name: usual_layers(name) for name in chosen}
    else:
        at = {name: model.layers_of(name, layers) for name in chosen}
        _check_layers(model, at, layers, named=bool(methods))
    pairs = tuple((name, layer) for name, found in at.items() for layer in found)
    return AskedMaps(pairs, _steps(model, steps, chosen))


def check_exact(exact: str, model: SaliencyModel, asked: AskedMaps) -> None:
    """Raises `InputError` for another path than the usual one where no method goes along it.

    Args:
        exact: as of `Study`.
    """
    if exact != "incremental":
        _taking("exact", model, asked.methods)


def _allowed(model: SaliencyModel, named: Sequence[str], usual: Sequence[str]) -> list[str]:
    """Methods in the order of the model's."""
    allowed = [name for name in model.methods if model.refusal(name) is None]
    names = ", ".join(allowed)
    for name in named:
        if name not in model.methods:
            raise InputError(
                f"expected methods of {names}, which a {model.kind} model has, got {name!r}"
            )
    wanted = named or usual
    chosen = [name for name in allowed if name in wanted]
    refused = [name for name in wanted if name not in allowed]
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
    # Of methods that nobody named, those without such a layer are left out.
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
    """Those of the methods asked that take an option; raises `InputError` where none does."""
    attribute, does = _OPTIONS[option]
    able = [name for name, method in model.methods.items() if getattr(method, attribute)]
    taking = [name for name in asked if name in able]
    if not taking:
        others = f", or ask for one of {', '.join(able)}" if able else ""
        raise InputError(
            f"{option}: expected a method that {does}, got {', '.join(asked)}: leave {option} out"
            f"{others}"
        )
    return taking
