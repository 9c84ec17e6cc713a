"""Reads the data set: its truth on every grid, and the images as far as they fit in memory.

Where the locations of an image lie depends only on its size, so an encoder is asked once per size,
and the pixels of masks need not be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from jaxtyping import Float
from PIL import Image

from ...data import Sample
from .._readable import Readable
from .labels import LeftOut
from .truth import Located, Truth, first_of_each, locate, truth_of

_KEPT_BYTES = 1 << 30
"""Images are kept in memory up to this many bytes of pixels; the others are read again."""


@dataclass(frozen=True, eq=False)
class Images(Sequence[Image.Image]):
    """The images used, in the order of the data.

    Attributes:
        places: index of each among the samples.
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
        place = self.places[index]
        held = self.held.get(place)
        return self.samples[place].image if held is None else held


@dataclass(frozen=True, eq=False)
class Data:
    """A data set's images and truths.

    Attributes:
        truths: image number in `images` -> its truth.
        located: encoder -> image number -> its truth on the grid; encoders with one grid share it.
        boxes: encoder -> image size -> boxes of the locations, in pixels.
        left_out: images that are not used.
    """

    images: Images
    truths: dict[int, Truth]
    located: Mapping[str, dict[int, Located]]
    boxes: Mapping[str, dict[tuple[int, int], Float[np.ndarray, "n 4"]]]
    left_out: list[LeftOut]


Boxes = Callable[[Image.Image], Float[np.ndarray, "n 4"]]
"""Gives the boxes of an image's locations."""


def read_data(readable: Readable, encoders: Mapping[str, Boxes]) -> Data:
    """Reads all samples once.

    Raises:
        InputError: two samples have the same name.
        StudyError: a sample has changed since the run was started.
    """
    truths: dict[int, Truth] = {}
    located: dict[int, dict[str, Located]] = {}
    boxes: dict[str, dict[tuple[int, int], np.ndarray]] = {name: {} for name in encoders}
    held: dict[int, Image.Image] = {}
    size = 0
    for place, sample in readable.checked():
        truth, maps = truth_of(sample)
        for name, boxes_of in encoders.items():
            if truth.size not in boxes[name]:
                boxes[name][truth.size] = boxes_of(sample.image)
        of_encoder = {name: boxes[name][truth.size] for name in encoders}
        on = {box.tobytes(): locate(truth, maps, box) for box in of_encoder.values()}
        truths[place] = truth
        located[place] = {name: on[box.tobytes()] for name, box in of_encoder.items()}
        size += np.asarray(sample.image).nbytes
        if size <= _KEPT_BYTES:
            held[place] = sample.image
    places = first_of_each(truths)
    n_repeated = len(truths) - len(places)
    return Data(
        Images(readable.samples, places, held),
        {number: truths[place] for number, place in enumerate(places)},
        {
            name: {number: located[place][name] for number, place in enumerate(places)}
            for name in encoders
        },
        boxes,
        [LeftOut("all", "images", "show what another image shows", n_repeated)]
        if n_repeated
        else [],
    )
