"""Settings that modules keep as plain attributes: a scale, an epsilon, which adapter is active."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

_SCALARS = (bool, float, str)
"""Bare whole numbers are sizes or counts; a model may count its own passes."""

_NO_MATTER = frozenset(
    (
        *vars(nn.Module()),
        *("gradient_checkpointing", "warnings_issued", "_is_hf_initialized"),
        "_output_capturing_hooks_installed",
    )
)
_LIBRARIES = ("torch.", "transformers.", "retinoscope.", "timm.", "open_clip.", "bitsandbytes.")
"""What their modules keep comes from the configuration, or is arranged in the first pass."""


class Attributes:
    """The settings of some modules as they were found."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        found = [
            (vars(module), name, value) for module in modules for name, value in _settings(module)
        ]
        scalars = [one for one in found if isinstance(one[2], _SCALARS)]
        others = [one for one in found if not isinstance(one[2], _SCALARS)]
        self._scalars: Any = tuple(zip(*scalars, strict=True)) or ((), (), ())
        self._others = [(held, name, copy.deepcopy(value)) for held, name, value in others]

    def same(self) -> bool:
        """Whether they are still the same; False also for an equal value that was put in anew."""
        held, names, values = self._scalars
        return all(map(operator.is_, map(dict.get, held, names), values)) and all(
            held.get(name) == value for held, name, value in self._others
        )

    def values(self) -> object:
        """All of them, to be compared with those of another time."""
        _, names, values = self._scalars
        return names, values, [(name, value) for _, name, value in self._others]


def lasting_settings(model: nn.Module) -> Mapping[str, str]:
    """The settings that a model has beside its configuration, by name.

    Of modules that were put into it, such as PEFT's, all. Of a library's own modules what is not as
    the configuration makes it: an epsilon that was edited. So what a version of the library keeps
    in its modules does not count. Where no model can be made of the configuration, or it has no
    such module, bare floats count (an epsilon, a scale), whatever the configuration says.
    """
    configured = _as_configured(model)
    found: dict[str, str] = {}
    for home, module in model.named_modules():
        settings = dict(_settings(module))
        if type(module).__module__.startswith(_LIBRARIES):
            made = configured.get(home)
            same = type(made) is type(module)
            usual = dict(_settings(made)) if made is not None and same else {}
            names: Iterable[str] = usual
            # A whole model keeps where it was loaded from, and on which devices it lies.
            if not same or isinstance(module, PreTrainedModel):
                names = [name for name, value in settings.items() if type(value) is float]
            changed = [name for name in names if settings.get(name) != usual.get(name)]
            settings = {name: settings.get(name) for name in changed}
        for name, value in settings.items():
            found[f"{home}.{name}".lstrip(".")] = _written(value)
    return found


def _as_configured(model: nn.Module) -> Mapping[str, nn.Module]:
    """The modules of another model of the same configuration, without weights; empty if none."""
    if not isinstance(model, PreTrainedModel):
        return {}
    kind: Any = type(model)
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return dict(kind(copy.deepcopy(model.config)).named_modules())
    # A class of its own can take other arguments, or need values while it is made.
    except Exception:
        return {}


def _settings(module: nn.Module) -> Iterator[tuple[str, Any]]:
    # What begins with an underscore is a library's own bookkeeping, and may come in a pass.
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


def _written(value: Any) -> str:
    return repr(sorted(value, key=str)) if isinstance(value, set | frozenset) else repr(value)
