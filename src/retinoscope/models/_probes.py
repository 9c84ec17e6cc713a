"""Samples of every weight, read often, to detect edits that PyTorch does not count."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from math import gcd, prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

WHOLE = 1 << 16
"""Vectors of up to this many numbers are read whole."""

_SAME_SIZE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_SELF_UPDATED = ("dynamic", "longrope")
"""Kinds of rotary positions whose frequencies the model itself updates in a forward pass."""


class Probes:
    """Reads a line through every tensor that touches each of its rows and columns.

    On the CPU, the values are hashed; on a device they are kept as one tensor per dtype and
    compared there.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        vectors: list[memoryview] = []
        lines: dict[int, list[np.ndarray]] = {}
        self._there: dict[tuple[torch.device, int], list[Tensor]] = {}
        for tensor in tensors:
            line = line_through(tensor)
            if line is None:
                continue
            if tensor.device.type != "cpu":
                place = (tensor.device, tensor.element_size())
                self._there.setdefault(place, []).append(line)
            elif line.is_contiguous():
                vectors.append(line.numpy().data)
            else:
                lines.setdefault(tensor.element_size(), []).append(line.numpy())
        self._vectors = vectors
        self._lines = [(some, np.concatenate(some)) for some in lines.values()]
        self._here = self._read_here()
        self._kept = {place: torch.cat(some) for place, some in self._there.items()}

    def same(self) -> bool:
        """Whether the values are the initial ones."""
        return self._read_here() == self._here and all(
            torch.equal(torch.cat(some), self._kept[place]) for place, some in self._there.items()
        )

    def values(self) -> tuple[bytes, ...]:
        """A digest of the initial values, by device."""
        there = (kept.cpu().numpy().tobytes() for kept in self._kept.values())
        return (self._here, *map(xxhash.xxh3_128_digest, there))

    def _read_here(self) -> bytes:
        digest = xxhash.xxh3_128(b"".join(self._vectors))
        for some, room in self._lines:
            np.concatenate(some, out=room)
            digest.update(room.data)
        return digest.digest()


def line_through(tensor: Tensor) -> Tensor | None:
    """A view of some values as integers, without copying; None if there are no plain values.

    Of a vector all values (of a long one, evenly spaced ones). Of a matrix of r x c numbers, in
    memory order, every s-th: s is at most r and coprime to c, so that the first c of them lie in
    different columns; and s is smaller than c, so that no row is left out.
    """
    size = _SAME_SIZE.get(tensor.element_size())
    if tensor.layout != torch.strided or not tensor.numel() or size is None:
        return None
    with torch.no_grad(), torch._C.DisableTorchFunctionSubclass():
        plain = tensor.detach().as_subclass(Tensor)
        packed = getattr(getattr(tensor, "quant_state", None), "shape", None)
        if packed is not None and plain.is_contiguous() and plain.numel() % packed[0] == 0:
            # 4-bit weights are stored as a single column.
            plain = plain.view(packed[0], -1)
        plain = plain.permute(sorted(range(plain.ndim), key=lambda d: -plain.stride(d)))
        if not plain.is_contiguous():
            while plain.ndim > 2:
                plain = plain[0]
            return (plain.diagonal() if plain.ndim == 2 else plain).view(size)
        plain = plain.view(size)
        rows, columns = _halves(plain.shape)
        flat = plain.view(-1)
        if min(rows, columns) == 1:
            return flat[:: -(-len(flat) // WHOLE)]
        step = min(rows, columns - 1)
        while gcd(step, columns) > 1:
            step -= 1
        return flat[::step]


def _halves(shape: Sequence[int]) -> tuple[int, int]:
    """An array's shape as a matrix, as square as its memory order allows."""
    cuts = [(prod(shape[:cut]), prod(shape[cut:])) for cut in range(len(shape) + 1)]
    return min(cuts, key=max)


def watched_tensors(modules: Iterable[nn.Module]) -> tuple[list[Tensor], list[object]]:
    """The tensors that a pass depends on, each once, and the facts about those on disk.

    Buffers that the model itself changes in a pass are left out.
    """
    tensors: dict[int, Tensor] = {}
    files: list[object] = []
    for module in modules:
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is None or model_owned(module, name):
                continue
            waiting = _waiting(module, name) if tensor.is_meta else tensor
            if isinstance(waiting, Tensor):
                parts = [*_parts(waiting), *_statistics(module, tensor)]
                tensors.update((id(part), part) for part in parts)
            else:
                files.append((name, tuple(tensor.shape), tensor.dtype, waiting))
    return list(tensors.values()), files


def model_owned(module: nn.Module, name: str) -> bool:
    """Whether a buffer is the model's own working memory."""
    return name.endswith("inv_freq") and any(
        kind in str(getattr(module, "rope_type", "")) for kind in _SELF_UPDATED
    )


def _parts(tensor: Tensor) -> Iterator[Tensor]:
    """The plain tensors that a wrapper consists of."""
    if is_traceable_wrapper_subclass(tensor):
        names, _ = tensor.__tensor_flatten__()  # type: ignore[attr-defined]
        for name in names:
            yield from _parts(getattr(tensor, name))
    elif tensor.layout == torch.strided and not tensor.is_meta:
        yield tensor


def _statistics(module: nn.Module, tensor: Any) -> Iterator[Tensor]:
    """The statistics that bitsandbytes keeps beside quantised weights."""
    state = getattr(tensor, "quant_state", None)
    for holder in (state, getattr(state, "state2", None)):
        for name in ("absmax", "code", "offset"):
            part = getattr(holder, name, None)
            if isinstance(part, Tensor) and not part.is_meta:
                yield part
    for holder in (tensor, getattr(module, "state", None)):
        part = getattr(holder, "SCB", None)
        if isinstance(part, Tensor) and not part.is_meta:
            yield part


def _waiting(module: nn.Module, name: str) -> Tensor | object:
    """An offloaded tensor if accelerate keeps it in memory, else facts about its file."""
    hook = getattr(module, "_hf_hook", None)
    for part in getattr(hook, "hooks", (hook,)):
        weights = getattr(part, "weights_map", None)
        if weights is None:
            continue
        key = getattr(weights, "prefix", "") + name
        loader = getattr(weights, "dataset", weights)
        kept = getattr(loader, "state_dict", loader)
        if isinstance(kept, dict) and isinstance(kept.get(key), Tensor):
            return kept[key]
        about = getattr(loader, "index", {}).get(key, {})
        file = about.get("safetensors_file") or os.path.join(
            str(getattr(loader, "save_folder", "")), f"{key}.dat"
        )
        if Path(file).exists():
            facts = os.stat(file)
            return (file, facts.st_size, facts.st_mtime_ns, facts.st_ino)
    return None
