"""Reading cropped words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from ..data.images import ImageSource, open_image
from ..interfaces import END, WordReader, open_reader, to_pixels

_BATCH = 32


@dataclass(frozen=True, eq=False)
class ReadWord:
    """What a reader read in one image.

    Attributes:
        text: empty if it read nothing.
        confidence: probability of exactly this text: the product of those of its letters and of its
            end.
        letters: the probability of each letter.
        attention: (letter, column) how much of each column of the image its slot looked at; the
            columns are equally wide, from left to right, and a row sums to 1.
    """

    text: str
    confidence: float
    letters: Float[np.ndarray, " letter"]
    attention: Float[np.ndarray, "letter column"]


def read_words(images: Iterable[ImageSource], reader: WordReader | None = None) -> list[ReadWord]:
    """Reads images that each show one word and little else.

    An image is resized to the reader's size, whatever its sides, as in VisionLAN.

    Args:
        images: files, PIL images or arrays.
        reader: the packaged one by default. It was trained on drawn boards of lower-case letters.

    Raises:
        InputError: an image that cannot be read, or no packaged reader in this installation.
    """
    reader = open_reader().reader if reader is None else reader
    return [word for batch in _batches(images, reader) for word in _read(reader, batch)]


def _batches(images: Iterable[ImageSource], reader: WordReader) -> Iterator[np.ndarray]:
    size = (reader.shape.width, reader.shape.height)
    arrays = (
        np.asarray(open_image(image).resize(size, Image.Resampling.BICUBIC)) for image in images
    )
    while batch := list(islice(arrays, _BATCH)):
        yield np.stack(batch)


@torch.no_grad()
def _read(reader: WordReader, images: np.ndarray) -> Iterator[ReadWord]:
    reading = reader.eval()(to_pixels(images))
    best = reading.logits.softmax(-1).max(-1)
    for ids, probs, looks in zip(best.indices, best.values, reading.attention, strict=True):
        text = reader.shape.words(ids[None])[0]
        ended = len(text) < len(ids) and int(ids[len(text)]) == END
        yield ReadWord(
            text=text,
            confidence=float(probs[: len(text) + ended].prod()),
            letters=probs[: len(text)].numpy(),
            attention=looks[: len(text)].numpy(),
        )
