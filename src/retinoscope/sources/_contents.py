"""The contents of a data set, counted over its samples, and advice on adding what is missing."""

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

_ANIMATED = "animations and files of several pages, of which the first is used"
_CROWDS = "crowd regions, which are not objects"
_UNSEEN = "objects left out because they cover no pixel"

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
    """One line on adding "objects", "questions" or "gazes" to a source such as "table:FILE"."""
    kind = source.removeprefix("outside:").removeprefix("color:").partition(":")[0]
    return _ADVICE.get((kind, part), _ELSEWHERE[part])


def require_objects(samples: Sequence[Sample], who: str) -> None:
    """Refuses data without any object; reads only up to the first sample that has one.

    Raises:
        InputError: no sample has objects; says how to add them.
    """
    read = False
    for place in range(len(samples)):
        try:
            objects = samples[place].objects
        except Exception:
            # The study that reads all samples counts this one, with its error.
            continue
        if objects:
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
    """Counts over the samples of a data set, which are added one by one.

    Attributes:
        counts: samples, unreadable ones, objects, questions, questions about known objects,
            captions and gazes.
        asked: the numbers of a study's own units.
        skipped: by kind, how many were left out or changed, and the first one's description.
    """

    counts: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, sample: Sample, asked: Mapping[str, int]) -> None:
        """Counts one sample; `asked` holds the numbers of a study's own units in it."""
        numbers = {
            "samples": 1,
            "objects": len(sample.objects),
            "questions": len(sample.questions),
            "placed questions": sum(bool(question.about) for question in sample.questions),
            "captions": len(sample.captions),
            "gazes": len(sample.attention),
        }
        for name, count in numbers.items():
            self.counts[name] = self.counts.get(name, 0) + count
        for name, count in asked.items():
            self.asked[name] = self.asked.get(name, 0) + count
        for skipped in _skipped(sample):
            self.skip(skipped)

    def unreadable(self, why: str) -> None:
        """Counts a sample that cannot be read."""
        self.counts["samples"] = self.counts.get("samples", 0) + 1
        self.skip(Skipped("samples that cannot be read", why))

    def skip(self, skipped: Skipped) -> None:
        """Counts something that was left out."""
        count, first = self.skipped.get(skipped.kind, (0, skipped.detail))
        self.skipped[skipped.kind] = count + 1, first

    @property
    def line(self) -> str:
        """ "3 images, 1 object, 2 questions (1 of them about known objects)"."""
        of = self.counts.get
        parts = [_many(of("samples", 0), "image")]
        parts += [_many(of(f"{what}s", 0), what) for what in ("object", "question")]
        if of("questions"):
            parts[-1] += f" ({of('placed questions', 0)} of them about known objects)"
        parts += [_many(of(f"{what}s", 0), what) for what in ("caption", "gaze") if of(f"{what}s")]
        return ", ".join(parts)

    @property
    def left_out(self) -> list[str]:
        """One line for each kind of thing left out or changed."""
        return lines(self.skipped)

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON for a run directory; `from_json` reads them."""
        return {
            "counts": self.counts,
            "asked": self.asked,
            "skipped": {kind: list(entry) for kind, entry in self.skipped.items()},
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Contents:
        """Reads the output of `as_json`; raises KeyError, TypeError or ValueError if it cannot."""
        return cls(
            {str(name): int(count) for name, count in stored["counts"].items()},
            {str(name): int(count) for name, count in stored["asked"].items()},
            {str(kind): (int(n), str(first)) for kind, (n, first) in stored["skipped"].items()},
        )


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _skipped(sample: Sample) -> list[Skipped]:
    meta = sample.meta
    skipped = [entry for entry in meta.get(SKIPPED, ()) if isinstance(entry, Skipped)]
    frames = sample.image.info.get(FRAMES)
    if frames is not None:
        skipped.append(Skipped(_ANIMATED, f"sample {sample.id} has {frames}"))
    for kind, key in ((_CROWDS, "crowds"), (_UNSEEN, "unseen")):
        skipped += [Skipped(kind, f"{name} in sample {sample.id}") for name in meta.get(key, ())]
    dropped = meta.get("dropped", 0)
    skipped += [Skipped("fixations outside the image", f"in sample {sample.id}")] * int(dropped)
    return skipped
