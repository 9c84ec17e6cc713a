"""Settings stored as plain attributes of modules: a scale, an epsilon, the active adapter."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

_SCALARS = (bool, float, str)
"""Plain integers are excluded: they are sizes, or counters that a model may keep of its passes."""

_NO_MATTER = frozenset(
    (
        *vars(nn.Module()),
        *("gradient_checkpointing", "warnings_issued", "_is_hf_initialized"),
        "_output_capturing_hooks_installed",
    )
)
_LIBRARIES = ("torch.", "transformers.", "retinoscope.", "timm.", "open_clip.", "bitsandbytes.")
"""Attributes of these libraries' modules come from the configuration or from the first pass."""


class Attributes:
    """A snapshot of the settings of some modules."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        settings = [
            (vars(module), name, value) for module in modules for name, value in _settings(module)
        ]
        scalars = [entry for entry in settings if isinstance(entry[2], _SCALARS)]
        others = [entry for entry in settings if not isinstance(entry[2], _SCALARS)]
        self._scalars: Any = tuple(zip(*scalars, strict=True)) or ((), (), ())
        self._others = [(held, name, copy.deepcopy(value)) for held, name, value in others]

    def same(self) -> bool:
        """Whether all are unchanged; False also for an equal value that was assigned anew."""
        held, names, values = self._scalars
        return all(map(operator.is_, map(dict.get, held, names), values)) and all(
            held.get(name) == value for held, name, value in self._others
        )

    def values(self) -> object:
        """All values, for comparison with those of another time."""
        _, names, values = self._scalars
        return names, values, [(name, value) for _, name, value in self._others]


def lasting_settings(model: nn.Module) -> Mapping[str, str]:
    """The settings of a model that its configuration does not determine, by name.

    For modules that were added to it, such as PEFT's, all settings. For a library's own modules,
    only those that differ from what the configuration gives, such as an edited epsilon, so that
    new attributes in a later version of the library do not count. Where no model can be built from
    the configuration, or it lacks the module, plain floats count (an epsilon, a scale).
    """
    configured = _as_configured(model)
    lasting: dict[str, str] = {}
    for home, module in model.named_modules():
        settings = dict(_settings(module))
        if type(module).__module__.startswith(_LIBRARIES):
            reference = configured.get(home)
            same = type(reference) is type(module)
            defaults = dict(_settings(reference)) if reference is not None and same else {}
            names: Iterable[str] = defaults
            # A whole model records where it was loaded from and its devices.
            if not same or isinstance(module, PreTrainedModel):
                names = [name for name, value in settings.items() if type(value) is float]
            changed = [name for name in names if settings.get(name) != defaults.get(name)]
            settings = {name: settings.get(name) for name in changed}
        for name, value in settings.items():
            lasting[f"{home}.{name}".lstrip(".")] = (
                repr(sorted(value, key=str)) if isinstance(value, set | frozenset) else repr(value)
            )
    return lasting


def _as_configured(model: nn.Module) -> Mapping[str, nn.Module]:
    """The modules of a new model with the same configuration, without weights; empty on failure."""
    if not isinstance(model, PreTrainedModel):
        return {}
    kind: Any = type(model)
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return dict(kind(copy.deepcopy(model.config)).named_modules())
    # A custom class may take other arguments, or need values during construction.
    except Exception:
        return {}


def _settings(module: nn.Module) -> Iterator[tuple[str, Any]]:
    # A library's underscored attributes are its bookkeeping and may appear during a pass.
    skipped = "_" if type(module).__module__.startswith(_LIBRARIES) else "__"
    for name, value in vars(module).items():
        if name in _NO_MATTER or name.startswith(skipped):
            continue
        if isinstance(value, _SCALARS) or _plain(value):
            yield name, value


def _plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_part, value.values()))
    return isinstance(value, list | tuple | set | frozenset) and all(map(_part, value))


def _part(value: object) -> bool:
    return value is None or isinstance(value, str | float | int) or _plain(value)
