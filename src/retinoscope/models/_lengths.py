"""Decoders whose rotary angles depend on the length of the whole text."""

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
    """One set of angles of a rotary module, which may have one per type of layer."""

    module: nn.Module
    prefix: str
    kind: str
    original: int

    def rule(self, length: int) -> int:
        """A key, the same for two lengths if a position has the same angles in both."""
        if self.kind == "longrope":
            return int(length > self.original)
        return max(length, self.original)

    def get(self, name: str) -> Any:
        return getattr(self.module, self.prefix + name, getattr(self.module, name, None))


@dataclass(frozen=True, eq=False)
class LengthRule:
    """The lengths that share rotary angles, and therefore keys.

    "dynamic" angles (NTK) differ for every length beyond the original context; "longrope" has one
    set up to there and one beyond. With all other kinds, a position's angles do not depend on what
    follows.
    """

    _rotaries: tuple[_Rotary, ...]

    def __bool__(self) -> bool:
        return bool(self._rotaries)

    def of(self, length: int) -> tuple[int, ...]:
        """A key, equal for two lengths if a position has the same angles in both."""
        return tuple(rotary.rule(length) for rotary in self._rotaries)

    @property
    def original(self) -> int:
        """The shortest length beyond which the angles change."""
        return min(rotary.original for rotary in self._rotaries)

    @property
    def grows(self) -> bool:
        """Whether angles exist for any length, so that the context has no limit."""
        return any(rotary.kind == "dynamic" for rotary in self._rotaries)

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
        """Resets the angles within the block to those of an unused model; restores them afterwards.

        The library's dynamic angles stay those of the longest text so far, so results for a prompt
        would depend on what was run before it.
        """
        if not self:
            yield
            return
        modules = {id(rotary.module): rotary.module for rotary in self._rotaries}.values()
        before = [(module, _state(module)) for module in modules]
        try:
            for rotary in self._rotaries:
                if rotary.kind == "dynamic":
                    first = rotary.get("original_inv_freq").to(rotary.get("inv_freq").device)
                    setattr(rotary.module, f"{rotary.prefix}inv_freq", first)
                    setattr(rotary.module, f"{rotary.prefix}max_seq_len_cached", rotary.original)
            yield
        finally:
            for module, state in before:
                _restore(module, state)


def length_rule(decoder: nn.Module) -> LengthRule:
    """The length rule of a decoder's rotary modules; most have none."""
    rotaries: list[_Rotary] = []
    for module in decoder.modules():
        types = getattr(module, "rope_type", None)
        types_ = types.items() if isinstance(types, dict) else [("", types)]
        for layers, kind in types_:
            prefix = f"{layers}_" if layers else ""
            if "dynamic" in str(kind):
                original = int(getattr(module, "original_max_seq_len", 0))
                rotaries.append(_Rotary(module, prefix, "dynamic", original))
            elif kind == "longrope":
                config: Any = getattr(module, "config", None)
                parameters = config.rope_parameters
                parameters = parameters[layers] if layers else parameters
                original = int(parameters["original_max_position_embeddings"])
                rotaries.append(_Rotary(module, prefix, "longrope", original))
    return LengthRule(tuple(rotaries))


def counts_rows(config: Any) -> str:
    """Why calling blocks for some rows is not exact in a decoder with this configuration.

    Empty if it is. The attention of these families uses the number of a row in the call and of the
    keys in the cache instead of the row's position.
    """
    for name in ("attn_temperature_tuning", "log_scaling_n_floor"):
        if getattr(config, name, None):
            return (
                f"its attention scales queries by their place in the call ({name}), which is "
                "wrong in a block called for some rows"
            )
    return ""


def _state(module: nn.Module) -> dict[str, tuple[Any, Any]]:
    """Attributes that may change, by name: value, and a copy if it is a tensor."""
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
