"""Fingerprints of samples, stored in the run directory so that resuming does not read all data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np

from ..arguments import shown
from ..data import Gaze, Object, Sample
from ..errors import InputError, StudyError, one_line
from ..sources import Contents
from ..store import fingerprint_array, fingerprint_json

SAMPLES = "samples.json"
_UNREADABLE = "unreadable: "


@dataclass(frozen=True)
class Prints:
    """One fingerprint per sample, or why it cannot be read.

    Attributes:
        texts: in the order of the samples.
        source: the data source's own fingerprint; None if it has none.
        kept: taken from the run directory, so that each sample is checked when it is read.
        contents: what the data holds; None if an older run directory does not record it.
    """

    texts: tuple[str, ...]
    source: str | None
    kept: bool
    contents: Contents | None = None

    @property
    def file(self) -> bytes:
        """The content of the file in the run directory."""
        facts: dict[str, object] = {"source": self.source, "samples": list(self.texts)}
        if self.contents is not None:
            facts["contents"] = self.contents.as_json()
        return (json.dumps(facts, ensure_ascii=False) + "\n").encode("utf-8")

    @property
    def unreadable(self) -> list[int]:
        """The indices of the samples that cannot be read."""
        return [i for i, text in enumerate(self.texts) if text.startswith(_UNREADABLE)]

    def expected(self, index: int) -> str | None:
        """Returns the fingerprint that sample `index` must have when it is read again."""
        return self.texts[index] if self.kept else None


def prints_of(
    samples: Sequence[Sample],
    out: Path,
    asked: Callable[[Sample], Mapping[str, int]] = lambda sample: {},
    show: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> Prints:
    """Returns fingerprints of all samples, from `out` if it holds those of this data source.

    A source's own fingerprint (`samples.fingerprint`, if it has one) depends on names and sizes of
    images and is available at once; fingerprints of samples depend on every pixel, and read
    everything.

    Args:
        samples: the samples.
        out: the run directory.
        asked: what a study can ask about a sample, counted by its own names.
        show: called with the number of samples read, their total, and the last one's id.
    """
    source = getattr(samples, "fingerprint", None)
    kept = _kept(out / SAMPLES, source, len(samples)) if source is not None else None
    if kept is not None:
        return kept
    contents = Contents()
    for skipped in getattr(samples, "skipped", ()):
        contents.skip(skipped)
    texts: list[str] = []
    for index in range(len(samples)):
        label = f"sample {index}"
        try:
            sample = samples[index]
            label = sample.id
            texts.append(sample_fingerprint(sample))
            contents.add(sample, asked(sample))
        except Exception as error:
            # Evaluating it will fail as well and leave a row with the error.
            texts[index:] = [unreadable(error)]
            contents.unreadable(one_line(error))
        show(index + 1, len(samples), label)
    return Prints(tuple(texts), source, False, contents)


def unreadable(error: Exception) -> str:
    """Returns the entry in place of the fingerprint of a sample that cannot be read."""
    return f"{_UNREADABLE}{one_line(error)}"


def sample_fingerprint(sample: Sample) -> str:
    """Returns a hash of everything in a sample that a study can see.

    Raises:
        InputError: `sample` is not a sample.
    """
    if not isinstance(sample, Sample):
        raise InputError(
            f"expected a retinoscope.data.Sample, got {shown(sample)}: retinoscope.data.folder "
            "makes samples of images"
        )
    facts: dict[str, object] = {
        "id": sample.id,
        "image": fingerprint_array(np.asarray(sample.image)),
        "mode": sample.image.mode,
        "objects": _objects(sample.objects),
        "questions": [[q.question, q.answer, q.kind, q.about] for q in sample.questions],
    }
    if sample.others:
        facts["others"] = _objects(sample.others)
    if sample.ignore is not None:
        facts["ignore"] = fingerprint_array(np.asarray(sample.ignore))
    if sample.attention:
        facts["attention"] = [_gaze(gaze) for gaze in sample.attention]
    return fingerprint_json(facts)


def _gaze(gaze: Gaze) -> list[object]:
    segment = gaze.segment
    return [
        gaze.provenance,
        None if segment is None else [segment.description, segment.start, segment.end],
        None if gaze.map is None else fingerprint_array(gaze.map),
        fingerprint_array(gaze.fixations),
        fingerprint_array(gaze.durations),
        [gaze.observer, gaze.dropped],
    ]


def _objects(objects: Sequence[Object]) -> list[list[str | None]]:
    return [[obj.name, obj.color, fingerprint_array(np.asarray(obj.mask))] for obj in objects]


@dataclass(frozen=True, eq=False)
class Readable(Sequence[Sample]):
    """The `samples` whose fingerprint could be taken."""

    samples: Sequence[Sample]
    prints: Sequence[str] = field(repr=False)

    def __post_init__(self) -> None:
        good = [i for i, text in enumerate(self.prints) if not text.startswith(_UNREADABLE)]
        object.__setattr__(self, "_places", good)

    _places: list[int] = field(init=False, repr=False)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self.samples[place] for place in self._places[index]]
        return self.samples[self._places[index]]

    def checked(self) -> Iterator[tuple[int, Sample]]:
        """Yields each sample with its index among all, checked to be unchanged.

        Raises:
            StudyError: a sample has changed since the run was started.
        """
        for place in self._places:
            try:
                sample = self.samples[place]
                same = sample_fingerprint(sample) == self.prints[place]
            except Exception as error:
                raise StudyError(f"sample {place} was read before: {one_line(error)}") from error
            if not same:
                raise changed(place)
            yield place, sample


def changed(index: int) -> StudyError:
    """Returns the error for a sample that has changed."""
    return StudyError(
        f"sample {index} is not what it was when the run was started: restore the data, or give "
        "another output folder"
    )


def _kept(file: Path, source: str, n: int) -> Prints | None:
    try:
        facts = json.loads(file.read_bytes())
        texts = facts["samples"] if facts["source"] == source else []
        stored = facts.get("contents")
        contents = None if stored is None else Contents.from_json(stored)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Nothing is lost: the samples are read once more.
        return None
    right = len(texts) == n and all(isinstance(text, str) for text in texts)
    return Prints(tuple(texts), source, True, contents) if right else None
