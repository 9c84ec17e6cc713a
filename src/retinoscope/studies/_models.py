"""Models of any kind, as studies use them: opened by name, and described for the manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import nn

from ..encoders import (
    SMALL,
    Encoder,
    Matcher,
    TwoTower,
    load,
    load_contrastive,
    load_matching,
)
from ..engine import VLM, is_packaged
from ..errors import CapabilityError, StudyError
from ..models import open_tower, watch_of
from ..naming import last_part
from ..store import Json, fingerprint_json

_ENCODERS_ONLY = (SMALL, "timm:")
_MANY = 4
"""From this number of models on, only the first is named."""

Model = VLM | Encoder | TwoTower | Matcher


def open_subject(spec: Any, load_vlm: Callable[[str], VLM] | None = None) -> Model:
    """Opens the model that `spec` names: a VLM, contrastive or matching model, or an encoder.

    Args:
        spec: anything that `retinoscope.load`, `retinoscope.encoders.load`, `.load_contrastive` or
            `.load_matching` accept or return.
        load_vlm: loads a VLM; `retinoscope.load` if None.

    Raises as these functions do.
    """
    if isinstance(spec, VLM | Encoder | TwoTower | Matcher):
        return spec
    for opened in (load_contrastive, load_matching):
        try:
            return opened(spec)
        except CapabilityError:
            continue
    if isinstance(spec, str) and load_vlm is not None and _is_vlm(spec):
        return load_vlm(spec)
    encoder = load(spec)
    return getattr(encoder, "vlm", encoder)


def _is_vlm(name: str) -> bool:
    if is_packaged(name):
        return True
    return not name.startswith(_ENCODERS_ONLY) and open_tower(name) is None


def modules_of(model: object) -> tuple[nn.Module, ...]:
    """Returns the modules with which a model of any kind computes; none for a stand-in."""
    inner = getattr(model, "encoder", None)
    parts = [getattr(model, name, None) for name in ("model", "texts")]
    modules = [*getattr(model, "modules", ()), *getattr(inner, "modules", ()), *parts]
    return tuple({id(m): m for m in modules if isinstance(m, nn.Module)}.values())


class Unchanged:
    """Checks that models are still in the state in which a study began.

    Rows and keys identify the weights by the fingerprint taken then.
    """

    def __init__(self, models: Iterable[object]) -> None:
        """Raises `InputError` if a module is in training mode."""
        self._watches = [watch_of(module) for model in models for module in modules_of(model)]
        self._states = [watch.look() for watch in self._watches]

    def check(self) -> None:
        """Raises `StudyError` if a model has changed."""
        for watch, before in zip(self._watches, self._states, strict=True):
            now = watch.look()
            if now != before:
                raise StudyError(
                    f"{now.changes(before)} while the study ran: what was finished before is kept; "
                    "restore the model and give the same command, or give another output folder"
                )


def shown_name(name: str) -> str:
    """Returns the last part of a path, a trained encoder's name without the folder, or the name."""
    if name.startswith(SMALL):
        return name.partition("@")[0]
    return last_part(name)


def describe_together(models: Sequence[Any]) -> tuple[str, str, str, str]:
    """As `describe`, for several models as one."""
    described = [describe(model) for model in models]
    if len(described) == 1:
        return described[0]
    names = [shown_name(name) for name, *_ in described]
    few = names if len(names) < _MANY else [names[0], f"{len(names) - 1} more"]
    _, prints, dtypes, devices = zip(*described, strict=True)
    return (
        " + ".join(few),
        fingerprint_json(prints),
        ", ".join(dict.fromkeys(dtypes)),
        ", ".join(dict.fromkeys(devices)),
    )


def describe_model(vlm: VLM) -> dict[str, Json]:
    """Returns name and fingerprint of a model, for the manifest."""
    name, fingerprint, *_ = describe(vlm)
    return {"name": name, "fingerprint": fingerprint}


def describe(model: Model) -> tuple[str, str, str, str]:
    """Returns name, fingerprint, dtype and device of a model."""
    if isinstance(model, Matcher):
        modules = (model.model,)
    elif isinstance(model, TwoTower | Encoder):
        modules = (model.encoder if isinstance(model, TwoTower) else model).modules
    else:
        dtype = str(model.dtype).removeprefix("torch.")
        return str(model.name), str(model.fingerprint), dtype, str(model.device)
    parameter = next(p for module in modules for p in module.parameters())
    dtype = str(parameter.dtype).removeprefix("torch.")
    return model.name, model.fingerprint, dtype, str(parameter.device)
