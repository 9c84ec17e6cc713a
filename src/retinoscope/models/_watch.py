"""The state of a model: whether its weights, structure, settings or hooks changed.

Results computed in one state are never used in another. `Watch.look` detects changes in a fraction
of a run's time; `_Snapshot` describes what it compares, and the one kind of edit that it misses.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from ..errors import InputError
from ._attending import PREFIX
from ._attributes import Attributes
from ._content import PASSING, content_of
from ._entering import entering
from ._probes import WHOLE, Probes, watched_tensors

_training = operator.itemgetter("training")
_version = operator.attrgetter("_version")
_LIBRARIES = ("transformers.", "accelerate.", "retinoscope.")
"""Hooks of these libraries come and go with the requested outputs, and change no computation."""


@dataclass(frozen=True)
class ModelState:
    """What a model computes with, as far as cheap checks show; equal states compute the same.

    Attributes:
        watch: the watch of the model.
        structure: counts the changes of the tree of modules.
        weights: counts the changes of parameters, buffers and modules.
        settings: index of the configuration in force, among those seen so far.
        hooks: ids of the forward hooks that somebody put on the model, each after its module's.
        numerics: autocast, and the precision of matrix products.
    """

    watch: Watch = field(repr=False)
    structure: int
    weights: int
    settings: int
    hooks: tuple[tuple[int, int], ...]
    numerics: tuple[object, ...]

    def but_for_hooks(self, other: ModelState) -> bool:
        """Whether two states differ in hooks at most."""
        return replace(self, hooks=()) == replace(other, hooks=())

    def hooks_on(self, modules: Iterable[nn.Module]) -> frozenset[int]:
        """The hooks on some modules and on their submodules."""
        inside = {id(part) for module in modules for part in module.modules()}
        return frozenset(hook for module, hook in self.hooks if module in inside)

    def changes(self, since: ModelState) -> str:
        """The differences from an earlier state, in words; "" if there are none."""
        if self.watch is not since.watch:
            return "the model is another one"
        changed = [
            what
            for name, what in (
                ("weights", "the model's weights or modules changed"),
                ("settings", "the model's configuration changed"),
                ("hooks", "forward hooks were put on the model or taken off"),
                ("numerics", "autocast or the precision of matrix products changed"),
            )
            if getattr(self, name) != getattr(since, name)
        ]
        return " and ".join(changed)


class Watch:
    """Watches one model; everything made from that model shares it. Made by `watch_of`."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._structure = 0
        self._weights = 0
        self._settings: list[list[dict[str, Any]]] = []
        self._as_found: list[dict[str, Any]] | None = None
        self._number = 0
        self._snapshot: _Snapshot | None = None
        self._last: ModelState | None = None
        self._content: tuple[int, Mapping[str, str]] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Watch:
        # A copied model is another model, with a watch of its own.
        return watch_of(copy.deepcopy(self.model, memo))

    def look(self, *, values: bool = True) -> ModelState:
        """Returns the model's current state.

        Args:
            values: also read values, the most expensive check; unnecessary if another look follows
                before anything is computed.

        Raises:
            InputError: a module is in training mode, where dropout changes every pass.
        """
        with entering(self.model):
            self._compare(values)
            assert self._snapshot is not None
            if any(map(_training, self._snapshot.own)):
                refuse_training(self.model)
            state = ModelState(
                self,
                self._structure,
                self._weights,
                self._setting(),
                self._snapshot.hooks(),
                _numerics(),
            )
            # The same object as long as nothing changes.
            if state != self._last:
                self._last = state
            assert self._last is not None
            return self._last

    @property
    def last(self) -> ModelState:
        """The state at the last look; looks if there was none."""
        return self.look() if self._last is None else self._last

    def settle(self) -> None:
        """Ignores changes that quantised weights made themselves during a pass.

        bitsandbytes rearranges them in the first pass that uses them.
        """
        with entering(self.model):
            if self._snapshot is not None and self._snapshot.quantised:
                weights, structure = self._weights, self._structure
                self._compare()
                self._weights, self._structure = weights, structure

    def changed(self) -> None:
        """Counts a change that cannot be detected."""
        with entering(self.model):
            self._snapshot = None
            self._weights += 1

    def content(self) -> Mapping[str, str]:
        """A digest of every stored tensor's bytes, by name; computed once per state."""
        with entering(self.model):
            self._compare()
            return self.content_at_last_look()

    def content_at_last_look(self) -> Mapping[str, str]:
        """Like `content`, without looking for changes first."""
        with entering(self.model):
            if self._content is None or self._content[0] != self._weights:
                self._content = (self._weights, content_of(self.model))
            return self._content[1]

    def _compare(self, values: bool = True) -> None:
        before = self._snapshot
        if before is not None and before.holds(values):
            return
        # Release what the previous snapshot held, so that there are never two copies.
        compared = None if before is None else before.compared()
        modules = None if before is None else before.modules
        self._snapshot = before = None
        self._snapshot = _Snapshot(self.model)
        if compared is not None and self._snapshot.compared() != compared:
            self._weights += 1
        if modules is not None and self._snapshot.modules != modules:
            self._structure += 1

    def _setting(self) -> int:
        assert self._snapshot is not None
        now: list[dict[str, Any]] = self._snapshot.settings
        if self._as_found == now:
            return self._number
        self._as_found = self._snapshot.kept_settings()
        # As seen by everybody else, without another thread's attention override.
        now = [
            {key: _own_name(value) for key, value in config.items() if key not in PASSING}
            for config in self._as_found
        ]
        if now not in self._settings:
            self._settings.append(now)
        self._number = self._settings.index(now)
        return self._number


_SAME_IN_TRAINING = ("linear", "normalization", "sparse", "container", "conv")
"""Modules in these files of `torch.nn.modules` compute the same in training and evaluation."""


def refuse_training(model: nn.Module) -> None:
    """Raises `InputError` where training mode can matter (not in an `nn.Identity`, for example)."""
    for name, module in model.named_modules():
        home, _, kind = type(module).__module__.rpartition(".")
        plain = home == "torch.nn.modules" and kind in _SAME_IN_TRAINING
        if module.training and not plain:
            raise InputError(
                f"expected a model in evaluation mode, got {name or type(model).__name__} in "
                "training mode (dropout would change every pass): call model.eval() first"
            )


def _own_name(value: object) -> object:
    return value.removeprefix(PREFIX) if isinstance(value, str) else value


def _own_forward(forward: object) -> int:
    """The id of a module's own `forward`, even while a thread has replaced it temporarily."""
    replaced = type(forward).__module__.startswith(__name__.partition(".")[0])
    return id(getattr(forward, "replaced", forward) if replaced else forward)


def _numerics() -> tuple[object, ...]:
    """Global settings that a pass's numbers depend on."""
    kinds = ("cpu", "cuda", "mps") if torch.is_autocast_enabled("mps") else ("cpu", "cuda")
    on = tuple(
        (kind, torch.get_autocast_dtype(kind)) for kind in kinds if torch.is_autocast_enabled(kind)
    )
    return (torch.get_float32_matmul_precision(), *on)


_WATCHES: WeakValueDictionary[int, Watch] = WeakValueDictionary()


def watch_of(model: nn.Module) -> Watch:
    """Returns the watch of this model, which keeps the model alive, so that its id stays unique."""
    watch = _WATCHES.get(id(model))
    if watch is None:
        watch = _WATCHES[id(model)] = Watch(model)
    return watch


class _Snapshot:
    """A snapshot of a model, for comparison.

    Compared are: the modules, their `forward`s and plain settings (a scale, the active adapter);
    which tensors they hold; each tensor's address and strides; its version, which PyTorch counts up
    at every in-place edit; and some of its values, because an edit through `.data` does not change
    the version. These values touch every row and every column of a matrix, so an edit through
    `.data` is missed only if it avoids all of them; the owner of the model can report such an edit
    with `Watch.changed`.
    """

    def __init__(self, model: nn.Module) -> None:
        modules = list(model.modules())
        self.modules = [(id(module), type(module)) for module in modules]
        self.own = [vars(module) for module in modules]
        held = [
            part
            for module in modules
            for part in (module._modules, module._parameters, module._buffers)
        ]
        self._empty = [part for part in held if not part]
        self._full = [part for part in held if part]
        self._lengths = list(map(len, self._full))
        self._values = list(chain.from_iterable(map(dict.values, self._full)))
        self._forwards = list(map(dict.get, self.own, repeat("forward")))
        self._attributes = Attributes(modules)
        self._hooks = [
            hooks
            for module in modules
            for hooks in (module._forward_hooks, module._forward_pre_hooks)
        ]
        configs = {id(c): c for c in (attributes.get("config") for attributes in self.own) if c}
        self._configs = [config for config in configs.values() if hasattr(config, "__dict__")]
        self.settings = [config.__dict__ for config in self._configs]
        self._tensors, self._on_disk = watched_tensors(modules)
        self._addresses = list(map(Tensor.data_ptr, self._tensors))
        # All values of a vector are compared, so versions and strides do not matter.
        large = [part for part in self._tensors if part.ndim > 1 or part.numel() > WHOLE]
        self._large = [part for part in large if not part.is_inference()]
        self._versions = list(map(_version, self._large))
        self._strides = list(map(Tensor.stride, self._large))
        self._probes = Probes(self._tensors)
        self.quantised = getattr(model, "quantization_method", None) is not None

    def holds(self, values: bool) -> bool:
        """Whether the model is unchanged; the cheapest comparisons come first."""
        if any(self._empty) or list(map(len, self._full)) != self._lengths:
            return False
        held = chain.from_iterable(map(dict.values, self._full))
        forwards = map(dict.get, self.own, repeat("forward"))
        return (
            all(map(operator.is_, held, self._values))
            and all(map(operator.is_, forwards, self._forwards))
            and list(map(Tensor.data_ptr, self._tensors)) == self._addresses
            and list(map(_version, self._large)) == self._versions
            and list(map(Tensor.stride, self._large)) == self._strides
            and self._attributes.same()
            and (not values or self._probes.same())
        )

    def compared(self) -> object:
        """Everything to compare between two snapshots. Offloaded tensors are created anew in each
        pass and therefore compared by where they are stored."""
        return (
            self.modules,
            list(map(_own_forward, self._forwards)),
            self._attributes.values(),
            [id(tensor) for tensor in self._tensors],
            self._addresses,
            self._versions,
            self._strides,
            self._on_disk,
            self._probes.values(),
        )

    def kept_settings(self) -> list[dict[str, Any]]:
        """A copy of the settings, with nested configurations kept as they are."""
        return copy.deepcopy(self.settings, {id(config): config for config in self._configs})

    def hooks(self) -> tuple[tuple[int, int], ...]:
        """Ids of the forward hooks, each after that of its module."""
        if not any(self._hooks):
            return ()
        return tuple(
            (self.modules[number // 2][0], ident)
            for number, hooks in enumerate(self._hooks)
            if hooks
            for ident, hook in hooks.items()
            if not str(getattr(hook, "__module__", "")).startswith(_LIBRARIES)
        )
