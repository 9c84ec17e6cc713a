"""Images of words by what a user names: files, folders, data sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..data import Sample
from ..data.images import open_image
from ..sources import open_source


@dataclass(frozen=True, eq=False)
class ShownWord:
    """An image of a word.

    Attributes:
        name: of its file, or the sample's id.
        image: upright, RGB.
        says: the word, if it is known.
    """

    name: str
    image: Image.Image
    says: str | None = None


def open_words(given: str) -> Iterator[ShownWord]:
    """The images of a file, of a folder, or of a data source such as "words:10".

    Raises:
        InputError: none of these, or an image that cannot be read.
    """
    path = Path(given).expanduser()
    if path.is_file():
        yield ShownWord(given, open_image(path))
        return
    for sample in open_source(f"folder:{path}" if path.is_dir() else given):
        yield ShownWord(sample.id, sample.image, _word(sample))


def _word(sample: Sample) -> str | None:
    """The answer to the one question about what is written."""
    answers = [question.answer for question in sample.questions if question.kind == "sign"]
    return answers[0] if len(answers) == 1 else None
