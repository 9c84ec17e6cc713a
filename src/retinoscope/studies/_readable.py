"""Fingerprints of samples, kept in the run directory so that going on does not read all data."""

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
        source: the data source's own fingerprint; None where it has none.
        kept: taken from the run directory, so that each sample is checked when it is read.
        contents: what the data holds; None where a run directory of before does not say.
    """

    texts: tuple[str, ...]
    source: str | None
    kept: bool
    contents: Contents | None = None

    @property
    def file(self) -> bytes:
        """What is kept in the run directory."""
        facts: dict[str, object] = {"source": self.source, "samples": list(self.texts)}
        if self.contents is not None:
            facts["contents"] = self.contents.as_json()
        return (json.dumps(facts, ensure_ascii=False) + "\n").encode("utf-8")

    @property
    def unreadable(self) -> list[int]:
        """The samples that cannot be read."""
        return [i for i, text in enumerate(self.texts) if text.startswith(_UNREADABLE)]

    def expected(self, index: int) -> str | None:
        """The fingerprint that sample `index` must have when it is read again."""
        return self.texts[index] if self.kept else None


def prints_of(
    samples: Sequence[Sample],
    out: Path,
    asked: Callable[[Sample], Mapping[str, int]] = lambda sample: {},
    show: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> Prints:
    """Fingerprints of all samples: those kept in `out` if they are of this data source.

    A source's own fingerprint (`samples.fingerprint`, where there is one) sees names and sizes of
    images, and is there at once; fingerprints of samples see every pixel, and read everything.

    Args:
        asked: what a study can ask of a sample, counted by its own names.
        show: is called with the samples that were read, their number, and the last one's id.
    """
    source = getattr(samples, "fingerprint", None)
    kept = _kept(out / SAMPLES, source, len(samples)) if source is not None else None
    if kept is not None:
        return kept
    contents = Contents()
    for one in getattr(samples, "skipped", ()):
        contents.skip(one)
    texts: list[str] = []
    for index in range(len(samples)):
        label = f"sample {index}"
        try:
            sample = samples[index]
            label = sample.id
            texts.append(sample_fingerprint(sample))
            contents.add(sample, asked(sample))
        except Exception as error:
            # Evaluating it will fail as well and leave a row that says why.
            texts[index:] = [unreadable(error)]
            contents.unreadable(one_line(error))
        show(index + 1, len(samples), label)
    return Prints(tuple(texts), source, False, contents)


def unreadable(error: Exception) -> str:
    """What stands in place of the fingerprint of a sample that cannot be read."""
    return f"{_UNREADABLE}{one_line(error)}"


def sample_fingerprint(sample: Sample) -> str:
    """A hash of whatever of a sample a study can see.

    Raises:
        InputError: what is no sample.
    """
    if not isinstance(sample, Sample):
        raise InputError(
            f"expected a retinoscope.data.Sample, got {shown(sample)}: retinoscope.data.folder "
            "makes samples of images"
        )
    seen: dict[str, object] = {
        "id": sample.id,
        "image": fingerprint_array(np.asarray(sample.image)),
        "mode": sample.image.mode,
        "objects": _objects(sample.objects),
        "questions": [[q.question, q.answer, q.kind, q.about] for q in sample.questions],
    }
    if sample.others:
        seen["others"] = _objects(sample.others)
    if sample.ignore is not None:
        seen["ignore"] = fingerprint_array(np.asarray(sample.ignore))
    if sample.attention:
        seen["attention"] = [_gaze(one) for one in sample.attention]
    return fingerprint_json(seen)


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
    """Those of `samples` whose fingerprint could be taken."""

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
        """Each sample behind its number among all, as it was when the run was started.

        Raises:
            StudyError: one is not.
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
    """Says that a sample is another one than before."""
    return StudyError(
        f"sample {index} is not what it was when the run was started: restore the data, or give "
        "another output folder"
    )


def _kept(file: Path, source: str, n: int) -> Prints | None:
    try:
        facts = json.loads(file.read_bytes())
        texts = facts["samples"] if facts["source"] == source else []
        told = facts.get("contents")
        contents = None if told is None else Contents.from_json(told)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Nothing is lost without it: the samples are read once more.
        return None
    right = len(texts) == n and all(isinstance(text, str) for text in texts)
    return Prints(tuple(texts), source, True, contents) if right else None
