"""What frozen towers see in a bank of scenes, computed once and shared by all interfaces."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from ...interfaces import Seen, VisualInterface, to_pixels
from ..pocket import Report
from ..pocket._bank import Bank

_PROBED = 8
_BATCH = 64


class SeenBank:
    """Arrays (scene, ...) by name, memory-mapped; float16, or bool for masks."""

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        given: Callable[[np.ndarray, Seen], Seen] = lambda _, seen: seen,
    ) -> None:
        self._arrays, self._given = dict(arrays), given

    def __len__(self) -> int:
        return min(map(len, self._arrays.values()))

    def with_given(self, given: Callable[[np.ndarray, Seen], Seen]) -> SeenBank:
        """The same, with what `given` makes of it."""
        return SeenBank(self._arrays, given)

    def rows(self, chosen: np.ndarray) -> Seen:
        """What was seen in these scenes, as an interface's `forward` takes it."""
        rows = {name: torch.from_numpy(array[chosen]) for name, array in self._arrays.items()}
        whole = {n: row if row.dtype == torch.bool else row.float() for n, row in rows.items()}
        return self._given(chosen, whole)


@torch.no_grad()
def cache_seen(
    interface: VisualInterface,
    bank: Bank,
    work: Path,
    report: Report,
    needs: Sequence[str] = (),
) -> SeenBank:
    """Runs the interface's frozen parts over `bank`, or opens what they saw before.

    A file is named after what its part saw in the first eight scenes. Interfaces with the same
    frozen part therefore share one file, and a part that sees anything else there, or a bank that
    begins otherwise, has a file of its own.

    Args:
        interface: gives its frozen parts.
        bank: scenes to look at.
        work: folder for the arrays.
        report: called with the progress.
        needs: what to keep; all that the interface needs by default.
    """
    interface.eval()
    probe = _see(interface, bank, 0, min(_PROBED, len(bank)))
    files = {
        name: work / f"{name}-{len(bank)}-{_digest(probe[name])}.npy"
        for name in needs or interface.needs
    }
    missing = {name: file for name, file in files.items() if not file.exists()}
    if missing:
        _write(interface, bank, missing, probe, report)
    return SeenBank({name: np.load(file, mmap_mode="r") for name, file in files.items()})


def _write(
    interface: VisualInterface,
    bank: Bank,
    files: Mapping[str, Path],
    probe: Mapping[str, np.ndarray],
    report: Report,
) -> None:
    unfinished = {name: file.with_suffix(".part") for name, file in files.items()}
    arrays = {}
    for name, file in unfinished.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        arrays[name] = np.lib.format.open_memmap(
            file, mode="w+", dtype=probe[name].dtype, shape=(len(bank), *probe[name].shape[1:])
        )
    for start in range(0, len(bank), _BATCH):
        stop = min(len(bank), start + _BATCH)
        seen = _see(interface, bank, start, stop)
        for name, array in arrays.items():
            array[start:stop] = seen[name]
        report("seen", stop, len(bank), float("nan"))
    for name, array in arrays.items():
        array.flush()
        unfinished[name].replace(files[name])


def _see(interface: VisualInterface, bank: Bank, start: int, stop: int) -> dict[str, np.ndarray]:
    seen = interface.see(to_pixels(bank.images[start:stop]))
    return {
        name: (part if part.dtype == torch.bool else part.half()).numpy()
        for name, part in seen.items()
    }


def _digest(probe: np.ndarray) -> str:
    shape = repr((probe.dtype.str, probe.shape)).encode()
    return hashlib.sha256(shape + probe.tobytes()).hexdigest()[:12]
