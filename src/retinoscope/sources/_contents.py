"""The contents of a data set, counted over its samples, and the line that adds what it lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..arguments import checked
from ..data import Sample
from ..data.images import FRAMES
from ..data.skipped import SKIPPED, Skipped, lines
from ..errors import InputError
from ._open import source_name

_ANIMATED = "animations and files of several pages, of which the first is taken"
_CROWDS = "crowd regions, which are no objects"
_UNSEEN = "objects left out, for they cover no pixel"

_ROW = "cat.jpg,What color is the cat?,black"
_ADVICE: dict[tuple[str, str], str] = {
    ("table", "objects"): f'add the columns object and box, as in {_ROW},cat,"10 20 110 90"',
    ("table", "questions"): f"add the columns question and answer, as in {_ROW}",
    ("folder", "objects"): "put the mask of cat.jpg at masks/cat/NAME.png, NAME being its name",
    ("folder", "questions"): f"write questions.csv there: image,question,answer and {_ROW}",
    ("coco", "objects"): "add annotations of these images to the instances file",
    ("coco", "questions"): (
        'write questions.json there: [{"image_id": 1, "question": "What color is the cat?", '
        '"answer": "black"}]'
    ),
    ("datasets", "objects"): (
        'add a column objects: [{"name": "cat", "bbox": [x, y, width, height]}] in each row'
    ),
    ("datasets", "questions"): "add the columns question and answer",
    ("vg", "questions"): "put question_answers.json there",
    ("vg", "objects"): "give the objects.json of these images",
}
_ELSEWHERE = {
    "objects": "give data with objects: coco:FOLDER, vg:FOLDER, or a table:FILE with boxes",
    "questions": "give data with questions: vg:FOLDER, or a table:FILE with question and answer",
    "gazes": (
        "give data that knows where people looked: vista:FOLDER, gaze:FOLDER with texts, "
        "collected:FOLDER or simulated:N"
    ),
}


@checked
def advice(source: str, part: str) -> str:
    """The line that adds "objects", "questions" or "gazes" to a source, such as "table:FILE"."""
    kind = source.removeprefix("outside:").removeprefix("color:").partition(":")[0]
    return _ADVICE.get((kind, part), _ELSEWHERE[part])


def require_objects(samples: Sequence[Sample], who: str) -> None:
    """Refuses data without any object; reads no further than to the first sample that has one.

    Raises:
        InputError: no sample has objects; says what adds them.
    """
    read = False
    for place in range(len(samples)):
        try:
            found = samples[place].objects
        except Exception:
            # It is counted, with its error, by whoever reads all of them.
            continue
        if found:
            return
        read = True
    if not read:
        return
    name = source_name(samples)
    raise InputError(
        f"{who} needs objects, and none of the {len(samples)} samples of {name} has one: "
        f"{advice(name, 'objects')}"
    )


@dataclass
class Contents:
    """Counts over the samples of a data set; `add` each of them.

    Attributes:
        counts: samples, unreadable ones, objects, questions, those of them that say which objects
            they are about, captions and gazes.
        asked: what a study can ask, by its own names.
        skipped: by kind, how much was left out or changed, and the first of it.
    """

    counts: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, sample: Sample, asked: Mapping[str, int]) -> None:
        """Takes in one sample; `asked` is what a study can ask of it."""
        found = {
            "samples": 1,
            "objects": len(sample.objects),
            "questions": len(sample.questions),
            "placed questions": sum(bool(one.about) for one in sample.questions),
            "captions": len(sample.captions),
            "gazes": len(sample.attention),
        }
        for name, count in found.items():
            self.counts[name] = self.counts.get(name, 0) + count
        for name, count in asked.items():
            self.asked[name] = self.asked.get(name, 0) + count
        for one in _skipped(sample):
            self.skip(one)

    def unreadable(self, why: str) -> None:
        """Takes in a sample that cannot be read."""
        self.counts["samples"] = self.counts.get("samples", 0) + 1
        self.skip(Skipped("samples that cannot be read", why))

    def skip(self, one: Skipped) -> None:
        """Takes in something that was left out."""
        often, first = self.skipped.get(one.kind, (0, one.detail))
        self.skipped[one.kind] = often + 1, first

    @property
    def line(self) -> str:
        """ "3 images, 1 object, 2 questions (1 of them about known objects)"."""
        of = self.counts.get
        told = [_many(of("samples", 0), "image")]
        told += [_many(of(f"{what}s", 0), what) for what in ("object", "question")]
        if of("questions"):
            told[-1] += f" ({of('placed questions', 0)} of them about known objects)"
        told += [_many(of(f"{what}s", 0), what) for what in ("caption", "gaze") if of(f"{what}s")]
        return ", ".join(told)

    @property
    def left_out(self) -> list[str]:
        """A line for each kind of what was left out or changed."""
        return lines(self.skipped)

    def as_json(self) -> dict[str, Any]:
        """For a run directory; `from_json` reads it."""
        return {
            "counts": self.counts,
            "asked": self.asked,
            "skipped": {kind: list(told) for kind, told in self.skipped.items()},
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Contents:
        """What `as_json` gave; raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            {str(name): int(count) for name, count in stored["counts"].items()},
            {str(name): int(count) for name, count in stored["asked"].items()},
            {str(kind): (int(n), str(first)) for kind, (n, first) in stored["skipped"].items()},
        )


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _skipped(sample: Sample) -> list[Skipped]:
    told = sample.meta
    found = [one for one in told.get(SKIPPED, ()) if isinstance(one, Skipped)]
    frames = sample.image.info.get(FRAMES)
    if frames is not None:
        found.append(Skipped(_ANIMATED, f"sample {sample.id} has {frames}"))
    found += [Skipped(_CROWDS, f"{one} in sample {sample.id}") for one in told.get("crowds", ())]
    found += [Skipped(_UNSEEN, f"{one} in sample {sample.id}") for one in told.get("unseen", ())]
    dropped = told.get("dropped", 0)
    found += [Skipped("fixations outside the image", f"in sample {sample.id}")] * int(dropped)
    return found
