"""A trained interface in one small file: its own weights, and what its language model learned.

The towers and the language model are the same for all interfaces and stored once beside them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from ..errors import InputError
from ..pocket.smol.low_rank import merge
from ..store import write_bytes
from ._interface import VisualInterface
from ._new_words import widen
from ._systems import build_interface
from ._towers_file import Towers
from .reader import open_reader

_STARTS = {"own": "interface/", "low_rank": "low_rank/", "rows": "rows/"}


@dataclass(frozen=True, eq=False)
class TrainedInterface:
    """What training made of an interface.

    Attributes:
        system: a name from `INTERFACES`.
        settings: of the interface.
        own: its state without the shared towers.
        low_rank: updates of the language model's matrices (see `pocket.smol.low_rank`).
        scale: by which these are multiplied.
        facts: what was trained and how it answered, as JSON values.
        rows: of the language model's new words (see `NewWords`), if it has some.
    """

    system: str
    settings: Mapping[str, Any]
    own: Mapping[str, Tensor]
    low_rank: Mapping[str, Tensor]
    scale: float
    facts: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Tensor] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Writes one file in float16."""
        tensors = {
            f"{start}{key}": value
            for part, start in _STARTS.items()
            for key, value in getattr(self, part).items()
        }
        stored = {
            key: (value.half() if value.is_floating_point() else value).cpu().contiguous()
            for key, value in sorted(tensors.items())
        }
        names = ("system", "settings", "scale", "facts")
        about = {name: getattr(self, name) for name in names}
        # One entry: the library writes several in any order.
        write_bytes(path, save(stored, metadata={"about": json.dumps(about)}))

    def interface(self, towers: Towers, d_model: int) -> VisualInterface:
        """The interface in evaluation mode, with the shared towers in their places.

        Raises:
            InputError: weights or towers of another architecture.
        """
        made = build_interface(self.system, self.settings, d_model)
        state = {key: value.float() for key, value in self.own.items()}
        for child, tower in made.shared.items():
            shared = shared_part(towers, tower).state_dict()
            state |= {f"{child}.{key}": value for key, value in shared.items()}
        try:
            made.load_state_dict(state)
        except RuntimeError as error:
            raise InputError(
                f"expected weights and towers of one architecture for {self.system}, got "
                f"{str(error).splitlines()[-1].strip()}: use the towers that it was trained with"
            ) from error
        for name in made.frozen:
            made.get_submodule(name).requires_grad_(False)
        return made.eval()

    def decoder(self, decoder: LlamaForCausalLM) -> LlamaForCausalLM:
        """A copy of the language model with the updates merged, and the new words behind."""
        merged = copy.deepcopy(decoder)
        merge(merged.model, self.low_rank, self.scale)
        if self.rows:
            widen(merged, self.rows)
        return merged


def shared_part(towers: Towers, name: str) -> nn.Module:
    """What interfaces share, by name: a part of the towers, or the packaged reader."""
    return open_reader().reader if name == "reader" else towers.modules[name]


def read_trained(path: Path) -> TrainedInterface:
    """Opens a file that `TrainedInterface.write` wrote.

    Raises:
        InputError: the file is missing, damaged or something else.
    """
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["about"])
            tensors = {key: file.get_tensor(key) for key in list(file.keys())}
        system, settings, scale = about["system"], about["settings"], float(about["scale"])
        facts = about["facts"]
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: expected a trained interface, got {error}: give a file that `retinoscope "
            "train interface` wrote"
        ) from error
    parts = {
        part: {
            key.removeprefix(start): value
            for key, value in tensors.items()
            if key.startswith(start)
        }
        for part, start in _STARTS.items()
    }
    return TrainedInterface(system, settings, scale=scale, facts=facts, **parts)
