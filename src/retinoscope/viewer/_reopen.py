"""The model and the images of an earlier run, opened again where that can be done.

A run directory may be someone else's: it chooses neither which model is loaded nor which folder is
read. What it names is opened only if it comes with this package; the rest the user names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..data import Sample
from ..errors import InputError, RetinoscopeError
from ..sources import open_source, reopen_source
from ..studies import SameSamples, same_samples
from ..studies.runs import StudyRun

if TYPE_CHECKING:
    from ..engine import VLM

_DRAWN = re.compile(r"(color:)?(scenes|squares|grounded|simulated):[0-9:]{1,21}\Z")
"""Data that this package draws: no file is read for it."""
MOST_DRAWN = 10_000
"""Samples that a run may have drawn again by itself: it may name billions, and all are read."""
_SCENE = re.compile(r"scene-(\d{1,10})-\d{6,10}\Z")


@dataclass(eq=False)
class Reopened:
    """What could be opened again, and why the rest could not.

    Attributes:
        vlm: the model of the runs; `no_model` says why there is none.
        samples: their data; `no_data` says why there is none.
    """

    vlm: VLM | None = None
    no_model: str = ""
    samples: SameSamples | Sequence[Sample] | None = None
    no_data: str = ""
    _places: dict[str, int] = field(default_factory=dict)
    _read: int = 0

    def sample(self, name: str) -> Sample | None:
        """The sample with the id `name`; the data is read in its order, as far as needed.

        Raises:
            RetinoscopeError, OSError: an image that cannot be read any more.
        """
        if self.samples is None:
            return None
        while name not in self._places and self._read < len(self.samples):
            place = self._read
            self._read += 1
            try:
                found = self.samples[place]
            except (RetinoscopeError, OSError):
                # Its rows say why; the others are still to be had.
                continue
            self._places[found.id] = place
            if found.id == name:
                return found
        place = self._places.get(name)
        return None if place is None else self.samples[place]


def reopen(
    runs: Sequence[StudyRun],
    load: Callable[[str], VLM] | None,
    data: Sequence[Sample] | None = None,
    model: str | None = None,
) -> Reopened:
    """Opens the first run's model and data again, and checks that they are the same.

    Args:
        load: loads a model by its name; None to do without.
        data: the samples that the user named; if None, the run's own where they are drawn.
        model: the name that the user gave; if None, the run's own where it is a packaged model.
    """
    found = Reopened()
    main = runs[0]
    if load is None:
        found.no_model = "the model was left out (--no-model)"
    else:
        found.vlm, found.no_model = _model(main, load, model)
    found.samples, found.no_data = _data(runs, data)
    return found


def _model(run: StudyRun, load: Callable[[str], VLM], given: str | None) -> tuple[VLM | None, str]:
    model = run.manifest["model"]
    name = model.get("name") if isinstance(model, dict) else None
    if given is not None:
        name = given
    elif not isinstance(name, str):
        return None, "the run does not name its model: give it with --model"
    elif not _is_packaged(name):
        return None, (
            f"the run names the model {name}, and a run does not choose what is loaded: give it "
            f"with --model {name} if you trust it"
        )
    try:
        vlm = load(name)
    except (RetinoscopeError, OSError) as error:
        return None, f"the model {name} could not be loaded: {_line(error)}"
    if isinstance(model, dict) and vlm.fingerprint != model.get("fingerprint"):
        return None, f"the model {name} is not the one that the study was run with any more"
    return vlm, ""


def _data(
    runs: Sequence[StudyRun], given: Sequence[Sample] | None
) -> tuple[SameSamples | None, str]:
    why = ""
    for run in sorted(runs, key=lambda run: -_count(run)):
        try:
            samples = _named(run) if given is None else _limited(run, given)
            return same_samples(run.path, samples), ""
        except (RetinoscopeError, OSError) as error:
            why = why or f"the images could not be opened again: {_line(error)}"
    return None, why


def _count(run: StudyRun) -> int:
    data = run.manifest["data"]
    count = data.get("samples") if isinstance(data, dict) else 0
    return count if isinstance(count, int) else 0


def _named(run: StudyRun) -> Sequence[Sample]:
    """The data source that a run tells of; of older runs, drawn scenes by their names."""
    data = run.manifest["data"]
    source = data.get("source") if isinstance(data, dict) else None
    if isinstance(source, Mapping):
        spec = str(source.get("spec"))
        if not _DRAWN.match(spec):
            raise InputError(
                f"the run names the data {spec}, and a run does not choose which files are read: "
                f"give it with --data {spec} if it is yours"
            )
        return _few(reopen_source(source), spec)
    for table in run.results.scan.tables(["sample"], rows=1):
        told = _SCENE.match(str(table.to_pylist()[0]["sample"]))
        if told:
            spec = f"scenes:{_count(run)}"
            return _few(open_source(spec, int(told[1])), spec)
        break
    raise InputError("the run does not say where its data lies: give it with --data")


def _few(samples: Sequence[Sample], spec: str) -> Sequence[Sample]:
    if len(samples) > MOST_DRAWN:
        raise InputError(
            f"the run names the data {spec}, and a run does not choose to draw more than "
            f"{MOST_DRAWN:,} samples, got {len(samples):,}: give it with --data {spec} if it is "
            "yours"
        )
    return samples


def _is_packaged(name: str) -> bool:
    from ..pocket import MODELS, planted, smol

    return name in MODELS or name in smol.NAMES or name.startswith(planted.PREFIX)


def _limited(run: StudyRun, given: Sequence[Sample]) -> Sequence[Sample]:
    """The data that the user named, cut as the run's was."""
    return given[: _count(run)] if 0 < _count(run) < len(given) else given


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
