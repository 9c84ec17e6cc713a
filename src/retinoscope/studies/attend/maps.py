"""The maps and curves that the study makes with a model for one target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...engine import VLM
from ...errors import CapabilityError
from ...saliency import METHODS, Goal, HeatMap, insertion_deletion
from ...store import Json, Scalar
from .._map_options import AskedMaps, MethodAtLayer

if TYPE_CHECKING:
    from ...engine.fill import Fill


def maps_of(
    goal: Goal, asked: AskedMaps, filling: Fill | None, seed: int
) -> dict[MethodAtLayer, HeatMap]:
    """Returns the map of each method and layer."""
    return {
        (name, layer): METHODS[name](
            goal.origin,
            goal,
            layer=layer,
            fill=filling,
            steps=asked.steps.get(name),
            seed=seed,
        )
        for name, layer in asked.at
    }


def curves_of(
    goal: Goal, maps: Mapping[MethodAtLayer, HeatMap], filling: Fill, steps: int, seed: int
) -> dict[MethodAtLayer, dict[str, Scalar]]:
    """Returns insertion and deletion of each map; empty where they are undefined."""
    curves = insertion_deletion(
        goal.origin,
        goal,
        [heat.values for heat in maps.values()],
        fill=filling,
        steps=min(steps, len(next(iter(maps.values())))),
        seed=seed,
    )
    return {
        key: {} if curve.reason else {"insertion": curve.insertion, "deletion": curve.deletion}
        for key, curve in zip(maps, curves, strict=True)
    }


def refuse_other_kinds(model: object) -> None:
    """Raises `CapabilityError` for a model that is not a VLM; None for one not loaded yet."""
    if model is not None and not isinstance(model, VLM):
        raise CapabilityError(
            f"{getattr(model, 'name', model)}: only a VLM names objects itself, so only its maps "
            "are held against masks: give data that knows where people looked (vista:FOLDER, "
            "simulated:N), or ask retinoscope group where this model puts each class"
        )


def maps_as_json(maps: Mapping[MethodAtLayer, HeatMap]) -> list[Json]:
    """Returns the maps of a picture, in four digits."""
    return [
        {"method": name, "layer": layer, "values": [float(f"{x:.4g}") for x in heat.values]}
        for (name, layer), heat in maps.items()
    ]
