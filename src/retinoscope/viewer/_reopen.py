"""Reopens the model and the images of an earlier run, where possible.

A run directory may be someone else's, so it chooses neither which model is loaded nor which folder
is read: only what comes with this package is opened by itself; the user names the rest.
"""

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

_DRAWN = re.compile(r"(color:)?(scenes|varied|squares|grounded|simulated):[0-9:]{1,21}\Z")
"""Data sources that this package draws without reading a file."""
MOST_DRAWN = 10_000
"""Maximum number of samples drawn because a run names them: it may name billions."""
_SCENE = re.compile(r"scene-(\d{1,10})-\d{6,10}\Z")


@dataclass(eq=False)
class Reopened:
    """The model and data that could be reopened, and why the others could not.

    Attributes:
        vlm: the runs' model; `no_model` is the reason if there is none.
        samples: their data; `no_data` is the reason if there is none.
    """

    vlm: VLM | None = None
    no_model: str = ""
    samples: SameSamples | Sequence[Sample] | None = None
    no_data: str = ""
    _places: dict[str, int] = field(default_factory=dict)
    _read: int = 0

    def sample(self, name: str) -> Sample | None:
        """Returns the sample with the id `name`, reading the data in order as far as needed.

        Raises:
            RetinoscopeError, OSError: an image cannot be read any more.
        """
        if self.samples is None:
            return None
        while name not in self._places and self._read < len(self.samples):
            place = self._read
            self._read += 1
            try:
                sample = self.samples[place]
            except (RetinoscopeError, OSError):
                # Its rows report the error; the other samples are still available.
                continue
            self._places[sample.id] = place
            if sample.id == name:
                return sample
        place = self._places.get(name)
        return None if place is None else self.samples[place]


def reopen(
    runs: Sequence[StudyRun],
    load: Callable[[str], VLM] | None,
    data: Sequence[Sample] | None = None,
    model: str | None = None,
) -> Reopened:
    """Reopens the first run's model and the data, and checks that they are the same.

    Args:
        runs: the runs, those of the main model first.
        load: loads a model by name; None to do without a model.
        data: the samples that the user named; if None, the run's own if they are drawn.
        model: the name that the user gave; if None, the run's own if it is a packaged model.
    """
    reopened = Reopened()
    main = runs[0]
    if load is None:
        reopened.no_model = "the model was left out (--no-model)"
    else:
        reopened.vlm, reopened.no_model = _model(main, load, model)
    reopened.samples, reopened.no_data = _data(runs, data)
    return reopened


def _model(run: StudyRun, load: Callable[[str], VLM], given: str | None) -> tuple[VLM | None, str]:
    model = run.manifest["model"]
    name = model.get("name") if isinstance(model, dict) else None
    if given is not None:
        name = given
    elif not isinstance(name, str):
        return None, "the run does not name its model: give it with --model"
    elif not _made_here(name):
        return None, (
            f"the run names the model {name}, and a run does not choose what is loaded: give it "
            f"with --model {name} if you trust it"
        )
    try:
        vlm = load(name)
    except (RetinoscopeError, OSError) as error:
        return None, f"the model {name} could not be loaded: {_line(error)}"
    if isinstance(model, dict) and vlm.fingerprint != model.get("fingerprint"):
        return None, f"the model {name} has changed since the study was run"
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
    """Returns the data source that a run names; for older runs, drawn scenes by their ids."""
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
        scene = _SCENE.match(str(table.to_pylist()[0]["sample"]))
        if scene:
            spec = f"scenes:{_count(run)}"
            return _few(open_source(spec, int(scene[1])), spec)
        break
    raise InputError("the run does not name its data: give it with --data")


def _few(samples: Sequence[Sample], spec: str) -> Sequence[Sample]:
    if len(samples) > MOST_DRAWN:
        raise InputError(
            f"the run names the data {spec}, and a run does not choose to draw more than "
            f"{MOST_DRAWN:,} samples, got {len(samples):,}: give it with --data {spec} if it is "
            "yours"
        )
    return samples


def _made_here(name: str) -> bool:
    from ..engine import is_packaged

    return is_packaged(name)


def _limited(run: StudyRun, given: Sequence[Sample]) -> Sequence[Sample]:
    """Returns the user's data, cut to the number of samples of the run."""
    return given[: _count(run)] if 0 < _count(run) < len(given) else given


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
