"""Finished encoders on disk: half-precision weights in few files, and a JSON index."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ..errors import InputError
from ..store import write_bytes
from .comparison import ALIASES, OBJECTIVES, TowerSizes

INDEX = "encoders.json"
LARGEST = 15_500_000
"""Maximal bytes of a file, unless a single encoder is larger."""


def half_weights(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Maps module and parameter to float16 tensors on the CPU."""
    return {
        f"{part}/{name}": tensor.detach().cpu().half().contiguous()
        for part, module in modules.items()
        for name, tensor in module.state_dict().items()
        if tensor.is_floating_point()
    }


def pack(
    out: Path,
    sizes: TowerSizes,
    encoders: Iterable[tuple[str, int, Mapping[str, Tensor]]],
    facts: Mapping[str, Any],
) -> list[Path]:
    """Writes encoders as few files of at most `LARGEST` bytes, and the index last.

    Args:
        encoders: objective, seed and weights of each.
        facts: recorded in the index.
    """
    files: list[dict[str, Tensor]] = [{}]
    filled = 0
    where: dict[str, dict[str, str]] = {}
    for objective, seed, weights in encoders:
        size = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
        if filled and filled + size > LARGEST:
            files.append({})
            filled = 0
        filled += size
        files[-1].update({f"{objective}/{seed}/{name}": part for name, part in weights.items()})
        where.setdefault(objective, {})[str(seed)] = f"encoders-{len(files) - 1}.safetensors"
    written = []
    for number, tensors in enumerate(files):
        path = out / f"encoders-{number}.safetensors"
        write_bytes(path, save(dict(sorted(tensors.items()))))
        written.append(path)
    index = {"sizes": asdict(sizes), "encoders": where, **facts}
    write_bytes(out / INDEX, (json.dumps(index, indent=2, sort_keys=True) + "\n").encode())
    return [*written, out / INDEX]


def repack(folder: Path, out: Path, objectives: Sequence[str], seed: int = 0) -> list[Path]:
    """Writes one seed of some objectives of a folder as a folder of its own: what is packaged.

    Raises:
        InputError: no such folder, objective or seed.
    """
    packed = PackedEncoders(folder)
    chosen = []
    for name in objectives:
        states = packed.weights(name, seed)
        weights = {
            f"{part}/{key}": tensor.half()
            for part, state in states.items()
            for key, tensor in state.items()
        }
        chosen.append((ALIASES.get(name, name), seed, weights))
    facts = {key: packed.index[key] for key in packed.index if key not in ("sizes", "encoders")}
    names = {f"{name}-{seed}" for name, seed, _ in chosen}
    facts["objectives"] = {name: facts["objectives"][name] for name, _, _ in chosen}
    facts["trained"] = {name: fact for name, fact in facts["trained"].items() if name in names}
    return pack(out, packed.sizes, chosen, facts)


class PackedEncoders:
    """A folder of finished encoders."""

    def __init__(self, folder: Path) -> None:
        """Raises `InputError` for a folder without encoders, or a damaged index."""
        self.folder = folder
        path = folder / INDEX
        if not path.is_file():
            raise InputError(
                f"{folder}: expected a folder of trained encoders, got one without {INDEX}: give "
                "the --out of `retinoscope train encoders`"
            )
        try:
            self.index: dict[str, Any] = json.loads(path.read_text("utf-8"))
            self.sizes = TowerSizes(**self.index["sizes"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: expected the index of encoders, got {error}") from error

    @property
    def names(self) -> tuple[str, ...]:
        """The objectives in the folder."""
        return tuple(self.index["encoders"])

    def seeds(self, objective: str) -> tuple[int, ...]:
        """The seeds of one objective in the folder.

        Raises:
            InputError: no such objective.
        """
        name = ALIASES.get(objective, objective)
        known = self.index["encoders"].get(name)
        if known is None:
            names = ", ".join(self.names)
            command = f"retinoscope train encoders --objective {name} --work WORK --out OUT"
            how = f": train it with `{command}`" if name in OBJECTIVES else ""
            raise InputError(f"{self.folder}: expected one of {names}, got {objective!r}{how}")
        return tuple(sorted(int(seed) for seed in known))

    def weights(self, objective: str, seed: int) -> dict[str, dict[str, Tensor]]:
        """Maps modules to their float32 state.

        Raises:
            InputError: no such objective or seed, or a damaged file.
        """
        seeds = self.seeds(objective)
        name = ALIASES.get(objective, objective)
        if seed not in seeds:
            raise InputError(
                f"{self.folder}: expected a seed of {', '.join(map(str, seeds))} for {objective}, "
                f"got {seed}"
            )
        path = self.folder / self.index["encoders"][name][str(seed)]
        states: dict[str, dict[str, Tensor]] = {}
        start = f"{name}/{seed}/"
        try:
            with safe_open(path, "pt") as file:
                keys = [key for key in list(file.keys()) if key.startswith(start)]
                for key in keys:
                    module, parameter = key.removeprefix(start).split("/", 1)
                    tensor = file.get_tensor(key).to(torch.float32)
                    states.setdefault(module, {})[parameter] = tensor
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: expected weights of encoders, got {error}") from error
        if "tower" not in states:
            raise InputError(f"{path}: expected weights of {objective}, got none")
        return states
