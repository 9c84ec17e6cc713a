"""The samples of an earlier run, opened again and checked to be the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

from ..data import Sample
from ..errors import InputError, StudyError
from ..store import fingerprint_json, read_manifest
from ._readable import Prints, prints_of, sample_fingerprint


@dataclass(frozen=True, eq=False)
class SameSamples(Sequence[Sample]):
    """The samples of an earlier run. Made by `same_samples`."""

    samples: Sequence[Sample]
    _prints: Prints = field(repr=False)

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        """Raises StudyError for a sample that has changed since the run."""
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        sample = self.samples[index]
        expected = self._prints.expected(index % len(self))
        if expected is not None and sample_fingerprint(sample) != expected:
            raise StudyError(f"sample {index} is not what it was when the study was run")
        return sample


def same_samples(path: str | Path, samples: Sequence[Sample]) -> SameSamples:
    """Checks that `samples` are those of the run directory `path`.

    If the run stored fingerprints, each sample is compared as it is read; otherwise all samples are
    read once now.

    Raises:
        InputError: they are other samples, or `path` is not a run directory.
    """
    data = read_manifest(path)["data"]
    expected = data.get("fingerprint") if isinstance(data, dict) else data
    count = data.get("samples") if isinstance(data, dict) else None
    if isinstance(count, int) and count != len(samples):
        raise InputError(f"expected the {count} samples of {path}, got {len(samples)}")
    prints = prints_of(samples, Path(path))
    if fingerprint_json(prints.texts) != expected:
        raise InputError(f"expected the samples that {path} was made of, got others")
    return SameSamples(samples, prints)
