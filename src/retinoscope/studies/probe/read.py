"""Reading the data set once: its truth on every grid, its fingerprint, the images while they fit.

Where the locations of an image lie depends on its size only, so that an encoder is asked once a
size, and the pixels of masks need not be held.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from jaxtyping import Float
from PIL import Image

from ...data import Sample
from ...errors import InputError, one_line
from ...store import fingerprint_json
from .._readable import Prints, sample_fingerprint, unreadable
from .labels import LeftOut
from .truth import Located, Truth, check_samples, locate, truth_of

_KEPT_BYTES = 1 << 30
"""Images are held in memory up to this many bytes of pixels, and read again beyond."""

Told = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Images(Sequence[Image.Image]):
    """The images that can be used, in the order of the data.

    Attributes:
        places: number of each among the samples.
    """

    samples: Sequence[Sample]
    places: Sequence[int]
    held: dict[int, Image.Image]

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image.Image]: ...
    def __getitem__(self, index: int | slice) -> Image.Image | list[Image.Image]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        held = self.held.get(index)
        return self.samples[self.places[index]].image if held is None else held


@dataclass(frozen=True, eq=False)
class Data:
    """What a data set holds.

    Attributes:
        truths: of the images that can be used, by their number in `images`.
        located: name of the grid -> the same on that grid.
        boxes: name of the grid -> size of an image -> its locations, in pixels.
        errors: name and reason of the samples that could not be read.
        left_out: what else is not used.
        prints: one fingerprint a sample.
    """

    images: Images
    truths: dict[int, Truth]
    located: Mapping[str, dict[int, Located]]
    boxes: Mapping[str, dict[tuple[int, int], Float[np.ndarray, "n 4"]]]
    errors: list[tuple[str, str]]
    left_out: list[LeftOut]
    prints: Prints

    @property
    def fingerprint(self) -> str:
        """Of everything that a study sees of the data."""
        return fingerprint_json(self.prints.texts)


Boxes = Callable[[Image.Image], Float[np.ndarray, "n 4"]]
"""Where the locations of an image lie."""


def read_data(samples: Sequence[Sample], grids: Mapping[str, Boxes], tell: Told) -> Data:
    """Reads all samples once.

    A mask of another size than its image fails its sample; two samples of one name fail the study.

    Raises:
        InputError: no samples, none that can be read, or one name twice.
    """
    if not len(samples):
        raise InputError(
            "the probe study needs at least one sample, got an empty data set: check the data's "
            "path and filters"
        )
    found: list[tuple[int, Truth, dict[str, Located]]] = []
    held: dict[int, Image.Image] = {}
    errors: list[tuple[str, str]] = []
    prints: list[str] = []
    known: dict[tuple[str, tuple[int, int]], np.ndarray] = {}
    size = 0
    for place in range(len(samples)):
        label = f"sample {place}"
        try:
            sample = samples[place]
            label = sample.id
            truth, maps = truth_of(sample)
            for name, boxes_of in grids.items():
                if (name, truth.size) not in known:
                    known[name, truth.size] = boxes_of(sample.image)
            boxes = {name: known[name, truth.size] for name in grids}
            on = {one.tobytes(): locate(truth, maps, one) for one in boxes.values()}
            prints.append(sample_fingerprint(sample))
        except Exception as error:
            # One bad image must not cost the others.
            errors.append((label, one_line(error)))
            prints.append(unreadable(error))
            continue
        found.append((place, truth, {name: on[one.tobytes()] for name, one in boxes.items()}))
        size += np.asarray(sample.image).nbytes
        if size <= _KEPT_BYTES:
            held[place] = sample.image
        tell(place + 1, len(samples), f"reading {sample.id}")
    if not found:
        raise InputError(
            f"none of the {len(samples)} samples can be read; the first: {errors[0][1]}"
        )
    twice = {name for name, _ in check_samples([truth for _, truth, _ in found])}
    used = [one for one in found if one[1].sample not in twice]
    left = [LeftOut("all", "images", "show what another image shows", len(twice))] if twice else []
    images = Images(
        samples,
        [place for place, _, _ in used],
        {number: held[place] for number, (place, _, _) in enumerate(used) if place in held},
    )
    return Data(
        images,
        {number: truth for number, (_, truth, _) in enumerate(used)},
        {name: {number: on[name] for number, (_, _, on) in enumerate(used)} for name in grids},
        {
            name: {size: one for (grid, size), one in known.items() if grid == name}
            for name in grids
        },
        errors,
        left,
        Prints(tuple(prints), getattr(samples, "fingerprint", None), False),
    )
