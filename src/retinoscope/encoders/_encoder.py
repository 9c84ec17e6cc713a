"""`Encoder`: anything that turns an image into features at places, frozen."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from .. import arguments
from ..data import ImageSource
from ..errors import InputError
from ..models import ModelState, Watch, refuse_training, watch_of
from ..store import fingerprint_json
from ._features import Features


@dataclass(frozen=True)
class TrainingRun:
    """The training run that produced an encoder."""

    objective: str
    seed: int


class Encoder(ABC):
    """A frozen encoder: in evaluation mode, without gradients, with parameters never written.

    Made by `load`.

    Attributes:
        name: what it was loaded from.
        parts: names of the layers of each part, from the image on: for "vision", "vision.0" (the
            input of the vision tower's first block) to "vision.L" (the output of its last one,
            before any final norm); for "projector", "projector" (the decoder's input); for
            "decoder", "decoder.0" to "decoder.L".
        training: its training run; None if its name does not say.
        settings: what its features depend on besides the weights, such as the prompt.
    """

    name: str
    parts: Mapping[str, tuple[str, ...]]
    training: TrainingRun | None = None
    settings: Mapping[str, Any]
    _watches: list[Watch]

    @abstractmethod
    def features(self, image: ImageSource, layers: Sequence[str] | None = None) -> Features:
        """The features of one image; computes only what `layers` (all if None) need.

        Raises:
            InputError: an image that cannot be read, no layers, or an unknown layer.
            CapabilityError: a layer whose tokens have no place in the image.
        """

    @property
    @abstractmethod
    def modules(self) -> tuple[nn.Module, ...]:
        """The modules whose parameters the features depend on."""

    @abstractmethod
    def _facts(self) -> Any:
        """What the features depend on besides the parameters, as JSON."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of all layers, from the image on."""
        return tuple(chain.from_iterable(self.parts.values()))

    @property
    def n_parameters(self) -> int:
        """Number of parameters, counting shared ones once."""
        return sum(p.numel() for p in _once(p for m in self.modules for p in m.parameters()))

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with the weights, the architecture or the settings.

        Every byte of the weights is read, once per state.
        """
        return fingerprint_json([self._facts(), [watch.content() for watch in self._watched()]])

    def state(self) -> tuple[ModelState, ...]:
        """The current state of the modules.

        Raises:
            InputError: a module is in training mode.
        """
        return tuple(watch.look() for watch in self._watched())

    def _watched(self) -> list[Watch]:
        # Kept, so that a watch's knowledge of the weights outlives one call.
        self._watches = [watch_of(module) for module in self.modules]
        return self._watches

    def checksum(self) -> str:
        """SHA-256 of every current parameter and buffer, computed at each call.

        If it is equal before and after an experiment, the encoder was not changed.
        """
        return checksum_of(self.modules)

    def chosen(self, layers: Sequence[str] | None) -> tuple[str, ...]:
        """Returns the checked `layers`; all of them if None.

        Raises:
            InputError: no layers, a duplicate, or an unknown one; or a module in training mode.
            CapabilityError: a layer that this encoder cannot give exactly.
        """
        for module in self.modules:
            refuse_training(module)
        if layers is None:
            return self.layers
        names = (layers,) if isinstance(layers, str) else arguments.several(layers, "layers")
        if not names or len(set(names)) < len(names):
            raise InputError(f"expected different layers, at least one, got {list(names)}")
        for name in names:
            if name not in self.layers:
                raise self._unknown(name)
        return names

    def _unknown(self, layer: str) -> Exception:
        return InputError(f"expected layers of {', '.join(self.layers)}, got {layer!r}")

    def __repr__(self) -> str:
        first, last = self.layers[0], self.layers[-1]
        return f"{type(self).__name__}({self.name!r}, {first} to {last})"


def numbered(part: str, n: int) -> tuple[str, ...]:
    """Names of the `n` layers of a part."""
    return tuple(f"{part}.{number}" for number in range(n))


def checksum_of(modules: Iterable[nn.Module]) -> str:
    """SHA-256 of every parameter and buffer."""
    digest = hashlib.sha256()
    for number, module in enumerate(modules):
        for name, tensor in sorted([*module.named_parameters(), *module.named_buffers()]):
            flat = tensor.detach().contiguous().cpu().reshape(-1)
            digest.update(f"{number} {name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _once(tensors: Iterable[Tensor]) -> list[Tensor]:
    return list({id(tensor): tensor for tensor in tensors}.values())
