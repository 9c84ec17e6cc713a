"""The code of a worker: a model, the data, and one study on both."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..data import Sample
from ..studies import Outcome, Readable, Study

if TYPE_CHECKING:
    from ..engine import VLM
    from ..studies import Unit

Load = Callable[[], "VLM"]
Open = Callable[[], Sequence[Sample]]


@dataclass(frozen=True)
class RemoteModel:
    """The writing process's view of a model that only workers have loaded.

    Attributes:
        name, fingerprint: of the model.
        dtype, device: of its weights, on the worker.
        n_layers: blocks of its decoder.
        vocab_size: length of a row of its logits.
    """

    name: str
    fingerprint: str
    dtype: Any
    device: Any
    n_layers: int
    vocab_size: int


class Worker:
    """One replica of the model. It is made once for each actor and evaluates many samples."""

    def __init__(self, load: Load, samples: Open, threads: int, folder: str) -> None:
        # Loading waits for `describe`: an error there comes back as it was raised.
        self._load, self._open, self._threads, self._folder = load, samples, threads, folder
        self._vlm: VLM | None = None
        self._samples: Sequence[Sample] = ()
        self._study: Study[Any] | None = None
        self._context: Any = None

    def describe(self) -> tuple[RemoteModel, int]:
        """The model, loaded at the first call, and this process's id."""
        if self._vlm is None:
            import torch

            # Where the data has a relative path and the workers see the same file system.
            if os.path.isdir(self._folder):
                os.chdir(self._folder)
            # Sums depend in their last bits on how many threads share them.
            torch.set_num_threads(self._threads)
            self._samples = self._open()
            self._vlm = self._load()
        vlm = self._vlm
        model = RemoteModel(
            vlm.name, vlm.fingerprint, vlm.dtype, vlm.device, vlm.n_layers, vlm.vocab_size
        )
        return model, os.getpid()

    def measure(self, study: Study[Any], prints: Sequence[str]) -> Any:
        """What the study measures over all samples."""
        own = self._own(study, prints)
        return own.measure(Readable(own.samples, prints))

    def prepare(self, study: Study[Any], prints: Sequence[str], measured: Any) -> None:
        """Makes ready for `evaluate`."""
        self._study = self._own(study, prints)
        self._context = self._study.context(Readable(self._study.samples, prints), measured)

    def evaluate(self, unit: Unit, fingerprint: str | None) -> Outcome:
        """The outcome of one unit; see `Study.evaluate`."""
        assert self._study is not None
        return self._study.evaluate(self._context, unit, fingerprint)

    def _own(self, study: Study[Any], prints: Sequence[str]) -> Study[Any]:
        """The study with this process's model, on as many samples as the writing process has."""
        assert self._vlm is not None
        return replace(study, vlm=self._vlm, samples=self._samples[: len(prints)])
