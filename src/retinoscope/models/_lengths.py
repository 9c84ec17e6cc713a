"""Decoders whose rotary angles depend on how long the whole text is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_STATE = ("inv_freq", "max_seq_len_cached")


@dataclass(frozen=True, eq=False)
class _Rotary:
    """One set of angles of a rotary module, which may have one for each type of layers."""

    module: nn.Module
    prefix: str
    kind: str
    original: int

    def rule(self, length: int) -> int:
        """The same for two lengths if a position has the same angles in both."""
        if self.kind == "longrope":
            return int(length > self.original)
        return max(length, self.original)

    def get(self, name: str) -> Any:
        return getattr(self.module, self.prefix + name, getattr(self.module, name, None))


@dataclass(frozen=True, eq=False)
class LengthRule:
    """The lengths that share rotary angles, and therefore keys.

    "dynamic" angles (NTK) are another for every length past the original context, "longrope" has
    one set up to there and one beyond. Of all other kinds a position has the same angles whatever
    follows.
    """

    _rotaries: tuple[_Rotary, ...]

    def __bool__(self) -> bool:
        return bool(self._rotaries)

    def of(self, length: int) -> tuple[int, ...]:
        """Equal for two lengths if a position has the same angles in both."""
        return tuple(one.rule(length) for one in self._rotaries)

    @property
    def original(self) -> int:
        """The shortest length past which the angles change."""
        return min(one.original for one in self._rotaries)

    @property
    def grows(self) -> bool:
        """Whether angles are made for any length, so that the context has no end."""
        return any(one.kind == "dynamic" for one in self._rotaries)

    @property
    def why(self) -> str:
        """The consequence for prompts of several lengths; empty if there is none."""
        if not self:
            return ""
        return (
            f"rotary angles depend on the text's length past {self.original} positions: prompts "
            "whose angles differ share no keys"
        )

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """Inside, angles are as in a model that has read nothing yet; then as they were before.

        The library's dynamic angles stay those of the longest text so far, so that what a prompt
        gives would depend on what was run before it.
        """
        if not self:
            yield
            return
        modules = {id(one.module): one.module for one in self._rotaries}.values()
        before = [(module, _state(module)) for module in modules]
        try:
            for one in self._rotaries:
                if one.kind == "dynamic":
                    first = one.get("original_inv_freq").to(one.get("inv_freq").device)
                    setattr(one.module, f"{one.prefix}inv_freq", first)
                    setattr(one.module, f"{one.prefix}max_seq_len_cached", one.original)
            yield
        finally:
            for module, state in before:
                _restore(module, state)


def length_rule(decoder: nn.Module) -> LengthRule:
    """What a decoder's rotary modules do; of most, nothing."""
    found: list[_Rotary] = []
    for module in decoder.modules():
        kinds = getattr(module, "rope_type", None)
        several = kinds.items() if isinstance(kinds, dict) else [("", kinds)]
        for layers, kind in several:
            prefix = f"{layers}_" if layers else ""
            if "dynamic" in str(kind):
                original = int(getattr(module, "original_max_seq_len", 0))
                found.append(_Rotary(module, prefix, "dynamic", original))
            elif kind == "longrope":
                config: Any = getattr(module, "config", None)
                parameters = config.rope_parameters
                parameters = parameters[layers] if layers else parameters
                original = int(parameters["original_max_position_embeddings"])
                found.append(_Rotary(module, prefix, "longrope", original))
    return LengthRule(tuple(found))


def counts_rows(config: Any) -> str:
    """Why blocks called for some rows are not exact in a decoder with this configuration.

    Empty where they are. The attention of these families makes something of the number of a row in
    the call and of the keys in the cache, in place of its position.
    """
    for name in ("attn_temperature_tuning", "log_scaling_n_floor"):
        if getattr(config, name, None):
            return (
                f"its attention scales queries by their place in the call ({name}), which a block "
                "called for some rows does not have"
            )
    return ""


def _state(module: nn.Module) -> dict[str, tuple[Any, Any]]:
    """What may change, by name: the value, and a copy of a tensor that may change in place."""
    names = [*module._buffers, *vars(module)]
    return {
        name: (value, value.clone() if isinstance(value, Tensor) else value)
        for name in names
        if name.endswith(_STATE)
        for value in [getattr(module, name)]
    }


def _restore(module: nn.Module, state: dict[str, tuple[Any, Any]]) -> None:
    for name in _state(module).keys() - state.keys():
        if name.endswith("max_seq_len_cached"):
            delattr(module, name)
    with torch.no_grad():
        for name, (value, copy) in state.items():
            if isinstance(value, Tensor):
                value.copy_(copy)
            setattr(module, name, value)
