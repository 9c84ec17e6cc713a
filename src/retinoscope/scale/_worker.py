"""A worker: its model, its data, and one study on both."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..data import Sample
from ..errors import StudyError
from ..studies import Outcome, Readable, Study, describe

if TYPE_CHECKING:
    from ..studies import Unit

Load = Callable[[], Any]
"""Loads a model of any kind."""
Open = Callable[[], Sequence[Sample]]


@dataclass(frozen=True)
class RemoteModel:
    """The writing process's view of a model that only workers have loaded.

    Attributes:
        name, fingerprint: of the model.
        dtype, device: of its weights, on the worker.
        n_layers: number of blocks of a VLM's decoder.
        vocab_size: length of a row of its logits.
    """

    name: str
    fingerprint: str
    dtype: str
    device: str
    n_layers: int | None
    vocab_size: int | None


class Worker:
    """One replica of the model, created once per actor; it evaluates many samples."""

    def __init__(self, load: Load, samples: Open, threads: int, folder: str) -> None:
        # Loading waits for `describe`, so that its errors reach the caller as they were raised.
        self._load, self._open, self._threads, self._folder = load, samples, threads, folder
        self._model: Any = None
        self._samples: Sequence[Sample] = ()
        self._plan: Any = None
        self._study: Study[Any] | None = None
        self._context: Any = None

    def describe(self) -> RemoteModel:
        """Describes the model, which is loaded at the first call."""
        if self._model is None:
            import torch

            # For data with a relative path, where workers see the same file system.
            if os.path.isdir(self._folder):
                os.chdir(self._folder)
            # The last bits of sums depend on the number of threads.
            torch.set_num_threads(self._threads)
            self._samples = self._open()
            self._model = self._load()
        name, fingerprint, dtype, device = describe(self._model)
        layers, vocab = (getattr(self._model, name, None) for name in ("n_layers", "vocab_size"))
        return RemoteModel(name, fingerprint, dtype, device, layers, vocab)

    def measure(self, study: Study[Any], prints: Sequence[str]) -> Any:
        """Runs the study's measurements over all samples."""
        local = self._local_study(study, prints)
        return local.measure(Readable(local.samples, prints), lambda what: None)

    def evaluate(
        self, plan: Sequence[Any], unit: Unit, fingerprint: str | None
    ) -> tuple[int, Outcome]:
        """This process's id and the outcome of one unit; see `Study.evaluate`.

        Args:
            plan: a reference, in a list, fetched once and again after a restart: the study, all
                samples' fingerprints, the measurements, the model's fingerprint and dtype.
        """
        if plan[0] != self._plan:
            import ray  # pyright: ignore[reportMissingImports]

            study, prints, measured, model = ray.get(plan[0])
            local = self._local_study(study, prints)
            self._check(model)
            self._context = local.context(Readable(local.samples, prints), measured)
            self._plan, self._study = plan[0], local
        assert self._study is not None
        return os.getpid(), self._study.evaluate(self._context, unit, fingerprint)

    def _local_study(self, study: Study[Any], prints: Sequence[str]) -> Study[Any]:
        """The study with this worker's model, on as many samples as the writing process has."""
        self.describe()
        return replace(study, vlm=self._model, samples=self._samples[: len(prints)])

    def _check(self, expected: tuple[str, str]) -> None:
        loaded = describe(self._model)[1:3]
        if loaded != expected:
            raise StudyError(
                f"a worker loaded other weights ({', '.join(loaded)}) than the run was started "
                f"with ({', '.join(expected)}): give all machines the same files"
            )
