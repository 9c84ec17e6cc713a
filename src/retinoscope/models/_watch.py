"""The state of a model: whether its weights, structure, settings or hooks changed.

What was computed with one state is not served to another. `Watch.look` tells the states apart in a
fraction of a run's time; what it compares, and the one kind of edit that it cannot see, is said in
`_Snapshot`.
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
"""Their hooks come and go with what a pass is asked for, and change nothing that it computes."""


@dataclass(frozen=True)
class ModelState:
    """What a model computes with, as far as it can be told cheaply; equal states compute the same.

    Attributes:
        watch: of which model.
        structure: counts the changes of the tree of modules.
        weights: counts the changes of parameters, buffers and modules.
        settings: which of the configurations seen so far is in force.
        hooks: ids of the forward hooks that somebody put on the model, each after its module's.
        numerics: autocast and the precision of matrix products.
    """

    watch: Watch = field(repr=False)
    structure: int
    weights: int
    settings: int
    hooks: tuple[tuple[int, int], ...]
    numerics: tuple[object, ...]

    def but_for_hooks(self, other: ModelState) -> bool:
        """Whether two states differ in nothing else."""
        return replace(self, hooks=()) == replace(other, hooks=())

    def hooks_on(self, modules: Iterable[nn.Module]) -> frozenset[int]:
        """The hooks on some modules and on what is inside them."""
        inside = {id(part) for module in modules for part in module.modules()}
        return frozenset(hook for module, hook in self.hooks if module in inside)

    def changes(self, since: ModelState) -> str:
        """What differs from an earlier state, in words; "" where nothing does."""
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
    """Watches one model; all that is made of the same model shares it. Made by `watch_of`."""

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
        # A copied model is another model: its copy is watched by itself.
        return watch_of(copy.deepcopy(self.model, memo))

    def look(self, *, values: bool = True) -> ModelState:
        """The state that the model is in now.

        Args:
            values: also read values, which costs most; not where another look follows before
                anything is computed.

        Raises:
            InputError: a module is in training mode, where dropout changes every pass.
        """
        with entering(self.model):
            self._compare(values)
            assert self._snapshot is not None
            if any(map(_training, self._snapshot.own)):
                refuse_training(self.model)
            found = ModelState(
                self,
                self._structure,
                self._weights,
                self._setting(),
                self._snapshot.hooks(),
                _numerics(),
            )
            # The same object for as long as nothing changes.
            if found != self._last:
                self._last = found
            assert self._last is not None
            return self._last

    @property
    def last(self) -> ModelState:
        """The state at the last look; looks where there was none."""
        return self.look() if self._last is None else self._last

    def settle(self) -> None:
        """Takes changes that quantised weights made themselves in a pass as no change.

        bitsandbytes arranges them anew in the first pass in which it uses them.
        """
        with entering(self.model):
            if self._snapshot is not None and self._snapshot.quantised:
                weights, structure = self._weights, self._structure
                self._compare()
                self._weights, self._structure = weights, structure

    def changed(self) -> None:
        """Counts a change that cannot be seen."""
        with entering(self.model):
            self._snapshot = None
            self._weights += 1

    def content(self) -> Mapping[str, str]:
        """A digest of every stored tensor's bytes by its name; read once for each state."""
        with entering(self.model):
            self._compare()
            return self.content_at_last_look()

    def content_at_last_look(self) -> Mapping[str, str]:
        """As `content`, without looking for changes again."""
        with entering(self.model):
            if self._content is None or self._content[0] != self._weights:
                self._content = (self._weights, content_of(self.model))
            return self._content[1]

    def _compare(self, values: bool = True) -> None:
        before = self._snapshot
        if before is not None and before.holds(values):
            return
        # What was held of the weights before is let go first, so that two copies never lie here.
        told = None if before is None else before.told()
        modules = None if before is None else before.modules
        self._snapshot = before = None
        self._snapshot = _Snapshot(self.model)
        if told is not None and self._snapshot.told() != told:
            self._weights += 1
        if modules is not None and self._snapshot.modules != modules:
            self._structure += 1

    def _setting(self) -> int:
        assert self._snapshot is not None
        now: list[dict[str, Any]] = self._snapshot.settings
        if self._as_found == now:
            return self._number
        self._as_found = self._snapshot.kept_settings()
        # As it is for everybody else, where another thread has its own attention in place.
        now = [
            {key: _own_name(value) for key, value in config.items() if key not in PASSING}
            for config in self._as_found
        ]
        if now not in self._settings:
            self._settings.append(now)
        self._number = self._settings.index(now)
        return self._number


_SAME_IN_TRAINING = ("linear", "normalization", "sparse", "container", "conv")
"""Files of `torch.nn.modules` whose modules compute in training as in evaluation."""


def refuse_training(model: nn.Module) -> None:
    """Raises `InputError` where training mode can matter: not in a lone `nn.Identity`, say."""
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
    """The id of a module's own `forward`, also while a thread has replaced it by one of ours."""
    ours = type(forward).__module__.startswith(__name__.partition(".")[0])
    return id(getattr(forward, "replaced", forward) if ours else forward)


def _numerics() -> tuple[object, ...]:
    """What a pass's numbers depend on outside of the model."""
    kinds = ("cpu", "cuda", "mps") if torch.is_autocast_enabled("mps") else ("cpu", "cuda")
    on = tuple(
        (kind, torch.get_autocast_dtype(kind)) for kind in kinds if torch.is_autocast_enabled(kind)
    )
    return (torch.get_float32_matmul_precision(), *on)


_WATCHES: WeakValueDictionary[int, Watch] = WeakValueDictionary()


def watch_of(model: nn.Module) -> Watch:
    """The watch of this very model. A watch holds its model, so that its id stays its own."""
    found = _WATCHES.get(id(model))
    if found is None:
        found = _WATCHES[id(model)] = Watch(model)
    return found


class _Snapshot:
    """A model as it was found.

    Compared are: the modules, their `forward`s and plain settings (a scale, which adapter is on);
    which tensors they hold; each tensor's address and strides; its version, which PyTorch raises at
    every edit in place; and some of its values, because an edit through `.data` raises no version.
    These values touch every row and every column of a matrix. So an edit through `.data` is missed
    if it changes only other elements, which the owner of the model can say by `Watch.changed`.
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
        configs = {id(held): held for held in (one.get("config") for one in self.own) if held}
        self._configs = [held for held in configs.values() if hasattr(held, "__dict__")]
        self.settings = [one.__dict__ for one in self._configs]
        self._tensors, self._on_disk = watched_tensors(modules)
        self._addresses = list(map(Tensor.data_ptr, self._tensors))
        # A vector's values are all compared, so that neither versions nor strides matter.
        large = [one for one in self._tensors if one.ndim > 1 or one.numel() > WHOLE]
        self._large = [one for one in large if not one.is_inference()]
        self._versions = list(map(_version, self._large))
        self._strides = list(map(Tensor.stride, self._large))
        self._probes = Probes(self._tensors)
        self.quantised = getattr(model, "quantization_method", None) is not None

    def holds(self, values: bool) -> bool:
        """Whether the model is still as it was found; the cheapest comparisons come first."""
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

    def told(self) -> object:
        """All that is compared, for two snapshots. Tensors that are offloaded are made anew at each
        pass, so that they go by where they wait."""
        return (
            self.modules,
            list(map(_own_forward, self._forwards)),
            self._attributes.values(),
            [id(one) for one in self._tensors],
            self._addresses,
            self._versions,
            self._strides,
            self._on_disk,
            self._probes.values(),
        )

    def kept_settings(self) -> list[dict[str, Any]]:
        """A copy of the settings as they are; configurations inside others stay themselves."""
        return copy.deepcopy(self.settings, {id(one): one for one in self._configs})

    def hooks(self) -> tuple[tuple[int, int], ...]:
        """Ids of the forward hooks, each after that of its module."""
        if not any(self._hooks):
            return ()
        return tuple(
            (self.modules[number // 2][0], one)
            for number, hooks in enumerate(self._hooks)
            if hooks
            for one, hook in hooks.items()
            if not str(getattr(hook, "__module__", "")).startswith(_LIBRARIES)
        )
