"""The samples of each stage, opened here or on a worker, and the authors' file of questions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ..arguments import checked
from ..curation import Curated
from ..data import LazySamples, Question, Sample
from ..errors import InputError
from ..store import fingerprint_bytes, fingerprint_json

Open = Callable[[], Sequence[Sample]]


class Once:
    """Opens a data set on the first call; a pickled copy opens its own."""

    def __init__(self, source: Open) -> None:
        self._source = source
        self._samples: Sequence[Sample] | None = None

    def __call__(self) -> Sequence[Sample]:
        if self._samples is None:
            self._samples = self._source()
        return self._samples

    def __getstate__(self) -> dict[str, object]:
        return {"_source": self._source, "_samples": None}


@dataclass(frozen=True)
class OpenedData:
    """Opens the samples of one stage when called.

    Attributes:
        source: opens the data set.
        questions: a file of questions in the format of the paper's authors; see `read_questions`.
        curation: a curation whose kept samples and objects are used.
        masks: a file of masks that replace the objects' own; see `_geometry`.
    """

    source: Open
    questions: Path | None = None
    curation: Path | None = None
    masks: Path | None = None

    def __call__(self) -> Sequence[Sample]:
        samples = self.source()
        if self.questions is not None:
            samples = _with_questions(samples, self.questions)
        if self.curation is not None:
            samples = Curated.load(self.curation).apply(samples)
        if self.masks is not None:
            samples = _with_masks(samples, self.masks)
        return samples


@checked
def read_questions(file: str | Path) -> dict[str, list[str]]:
    """Reads questions by image id from JSON {"image id": ["question", ...]}.

    This is the format of clean_questions.json in the released code. The answer is the name of the
    object that the curation keeps, as in the paper.

    Raises:
        InputError: the file does not exist or has another format.
    """
    path = Path(file).expanduser()
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, got something else ({error})") from error
    good = isinstance(content, dict) and all(
        isinstance(asked, list) and all(isinstance(question, str) for question in asked)
        for asked in content.values()
    )
    if not good or not any(content.values()):
        raise InputError(
            f'{path}: expected questions by image id, {{"17": ["What is on the bench?"]}}, got '
            "something else or none"
        )
    return {str(key): asked for key, asked in content.items() if asked}


def _with_questions(samples: Sequence[Sample], file: Path) -> LazySamples:
    asked = read_questions(file)
    content = fingerprint_bytes(Path(file).expanduser().read_bytes())
    return LazySamples(
        getattr(samples, "name", "samples"),
        partial(_ask, samples, asked),
        partial(_describe, samples, content),
        range(len(samples)),
    )


def _ask(samples: Sequence[Sample], asked: Mapping[str, list[str]], place: int) -> Sample:
    sample = samples[place]
    # Any object may be the target; the curation keeps one object and its questions.
    return replace(
        sample,
        questions=tuple(
            Question(text, obj.name, "question", (index,))
            for text in asked.get(sample.id, ())
            for index, obj in enumerate(sample.objects)
        ),
    )


def _with_masks(samples: Sequence[Sample], file: Path) -> LazySamples:
    content = file.read_bytes()
    marks: dict[str, list[list[list[int]]]] = json.loads(content)["marks"]
    return LazySamples(
        getattr(samples, "name", "samples"),
        partial(_mark, samples, marks),
        partial(_describe, samples, fingerprint_bytes(content)),
        range(len(samples)),
    )


def _mark(
    samples: Sequence[Sample], marks: Mapping[str, list[list[list[int]]]], place: int
) -> Sample:
    sample = samples[place]
    objects = []
    for obj, points in zip(sample.objects, marks[sample.id], strict=True):
        mask = np.zeros_like(obj.mask)
        for x, y in points:
            mask[y, x] = True
        objects.append(replace(obj, mask=mask))
    return replace(sample, objects=tuple(objects))


def _describe(samples: Sequence[Sample], content: str, places: Sequence[int]) -> object:
    return {"data": samples_fingerprint(samples), "changed": content, "places": list(places)}


def samples_fingerprint(samples: Sequence[Sample]) -> str:
    """Returns the source's own fingerprint, or a hash over all samples if it has none."""
    from ..studies import sample_fingerprint

    source = getattr(samples, "fingerprint", None)
    if source is None:
        return fingerprint_json([sample_fingerprint(sample) for sample in samples])
    return str(source)
