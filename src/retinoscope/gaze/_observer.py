"""A simulated observer: where a person might have looked, drawn from the scene's ground truth.

No human data comes with the package. A simulated observer names a scene's objects and mostly looks
at them; it writes the same JSON as recordings of people, and everything made from it carries
`provenance="simulated"`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import arguments
from ..arguments import checked
from ..data import Gaze, Sample
from ..data.lazy import LazySamples
from ..data.scenes import Scenes
from ..errors import InputError
from ._options import SETTINGS, GazeOptions
from ._recording import Recording, recording_json
from ._segments import segment_of
from ._text import TextUnit, bare, transcript
from ._viewport import Viewport
from ._vista import texts_of

SCREEN = (1920.0, 1080.0)


@dataclass(frozen=True)
class Observer:
    """How a simulated observer looks.

    Attributes:
        error: share of the fixations that miss and are drawn around the centre.
        lead: seconds by which the eyes are ahead of the word.
        word, fixation: median seconds of a word, and of a fixation (log-normal).
        spread: standard deviation of missing fixations around the centre, as a share of the
            image's sides.
    """

    error: float = 0.2
    lead: float = 0.2
    word: float = 0.4
    fixation: float = 0.25
    spread: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.error <= 1:
            raise InputError(f"expected an error from 0 to 1, got {self.error}")
        if min(self.word, self.fixation, self.spread) <= 0 or self.lead < 0:
            raise InputError("expected word, fixation and spread above 0 and lead from 0 up")


DEFAULT = Observer()


def observe(sample: Sample, observer: int = 0, seed: int = 0, how: Observer = DEFAULT) -> Recording:
    """Simulates a recording of the sample's first caption, on a screen of 1920 x 1080.

    Each word draws one fixation. Words that name an object (or its colour, in front of the name)
    draw it inside the object's mask with probability 1 - error, and otherwise around the centre, as
    do all other words. Eyes are ahead of the words by `how.lead`.

    Args:
        observer: a number; each gives another recording.

    Raises:
        InputError: a sample without a caption, or a number or seed below 0.
    """
    arguments.seed(seed)
    arguments.whole(observer, "observer", 0)
    if not sample.captions:
        raise InputError(f"{sample.id}: expected a caption to speak, got none")
    rng = np.random.default_rng([seed, observer, *sample.id.encode()])
    words = sample.captions[0].split()
    about = _referents(words, sample)
    size = sample.image.size
    viewport = Viewport.contain(SCREEN, size)
    at, units, points, times = 1.0, [], [], []
    for word, masks in zip(words, about, strict=True):
        length = how.word * float(np.exp(rng.normal(0, 0.2)))
        units.append(TextUnit(word, round(at, 3), round(at + length, 3)))
        held = how.fixation * float(np.exp(rng.normal(0, 0.3)))
        start = max(0.0, at - how.lead + rng.uniform(0, 0.1))
        end = start + held
        if times and start < times[-1][1]:
            times[-1] = (times[-1][0], start)
        missed = masks is None or rng.random() < how.error
        points.append(_around_centre(rng, size, how.spread) if missed else _inside(rng, masks))
        times.append((start, end))
        at += length
    starts, ends = np.array(times).T
    return Recording(
        points=viewport.to_screen(np.array(points)),
        starts=starts,
        ends=ends,
        text=transcript(units, sample.id),
        provenance="simulated",
        observer=observer,
    )


def _referents(words: Sequence[str], sample: Sample) -> list[np.ndarray | None]:
    """The mask of the object that each word names; a repeated name takes the next object."""
    remaining = list(sample.objects)
    masks: list[np.ndarray | None] = [None] * len(words)
    for place, word in enumerate(words):
        for obj in remaining:
            if bare(word) == obj.name.lower():
                masks[place] = obj.mask
                if place and obj.color and bare(words[place - 1]) == obj.color.lower():
                    masks[place - 1] = obj.mask
                remaining.remove(obj)
                break
    return masks


def _inside(rng: np.random.Generator, mask: np.ndarray | None) -> np.ndarray:
    assert mask is not None
    rows, columns = np.nonzero(mask)
    pick = int(rng.integers(len(rows)))
    return np.array([columns[pick], rows[pick]]) + rng.uniform(0, 1, 2)


def _around_centre(rng: np.random.Generator, size: tuple[int, int], spread: float) -> np.ndarray:
    while True:
        point = (0.5 + spread * rng.normal(size=2)) * size
        if ((point >= 0) & (point < size)).all():
            return point


def simulated(
    n: int,
    seed: int = 0,
    *,
    observers: int = 2,
    how: Observer = DEFAULT,
    options: GazeOptions | None = None,
) -> LazySamples:
    """Drawn scenes with simulated observers, whose `Sample.attention` is marked as simulated.

    Args:
        n, seed: as for `scenes`.
        observers: the number of observers of each scene.

    Raises:
        InputError: no observers, or what `scenes` raises.
    """
    arguments.whole(observers, "observers", 1)
    settings = GazeOptions(lead=how.lead) if options is None else options
    settings = replace(settings, viewport=SCREEN)
    scenes = Scenes(n, seed)
    plan = {"observers": observers, "how": vars(how), "options": settings.described, "seed": seed}

    def read(place: int) -> Sample:
        return looked_at(scenes[place], range(observers), seed, how, settings)

    def describe(places: Sequence[int]) -> object:
        return {"source": "simulated", **plan, "scenes": list(places), "of": scenes[:1].fingerprint}  # type: ignore[union-attr]

    return LazySamples(f"simulated:{n}:{seed}", read, describe, range(n))


def looked_at(
    sample: Sample, observers: Sequence[int], seed: int, how: Observer, options: GazeOptions
) -> Sample:
    """Returns the sample with simulated attention."""
    size = sample.image.size
    viewport = options.viewport_of(sample.id, size)
    gazes = [
        gaze
        for number in observers
        for gaze in observe(sample, number, seed, how).gazes(viewport, size, options)
    ]
    return replace(sample, attention=tuple(gazes), captions=texts_of(gazes) or sample.captions)


@checked
def write_simulated(
    samples: Sequence[Sample],
    folder: str | Path,
    *,
    observers: int = 1,
    seed: int = 0,
    how: Observer = DEFAULT,
) -> Path:
    """Writes simulated recordings as a folder that `vista` reads, with "provenance": "simulated".

    Raises:
        InputError: a folder that is not empty, samples without captions, no observers, or a seed
            below 0.
    """
    arguments.whole(observers, "observers", 1)
    arguments.seed(seed)
    from ..store import write_bytes

    root = Path(folder)
    if root.is_dir() and any(root.iterdir()):
        raise InputError(f"{root}: expected an empty folder or none, got files in it")
    (root / "images").mkdir(parents=True, exist_ok=True)
    for sample in samples:
        sample.image.save(root / "images" / f"{sample.id}.png")
        for number in range(observers):
            stem = sample.id if observers == 1 else f"{sample.id}.{number}"
            content = json.dumps(recording_json(observe(sample, number, seed, how)), indent=1)
            write_bytes(root / f"{stem}.json", f"{content}\n".encode())
    settings = {"viewport": {"screen": list(SCREEN)}, "lead": how.lead}
    write_bytes(root / SETTINGS, f"{json.dumps(settings)}\n".encode())
    return root


def mask_attention(sample: Sample) -> tuple[Gaze, ...]:
    """The true masks of the objects that the first caption names, as if they had been looked at.

    `provenance` is "mask": nobody looked. A word's map is its object's mask.

    Raises:
        InputError: a sample without a caption.
    """
    if not sample.captions:
        raise InputError(f"{sample.id}: expected a caption, got none")
    text = sample.captions[0]
    words = text.split()
    occurrences: dict[str, int] = {}
    gazes = []
    for word, mask in zip(words, _referents(words, sample), strict=True):
        plain = word.strip(".,;:!?")
        occurrence = occurrences.get(plain, 0)
        occurrences[plain] = occurrence + 1
        if mask is not None and plain:
            gazes.append(
                Gaze(
                    segment=segment_of(text, plain, "word", occurrence),
                    size=sample.image.size,
                    provenance="mask",
                    map=mask.astype(np.float64),
                    instrument="none",
                )
            )
    return tuple(gazes)
