"""Texts of a corpus, in LatentLens' layout."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from ... import arguments
from ...errors import InputError

_HEADERS = ("text", "sentence", "caption", "id", "index")
"""Beginnings of a first cell that is a column's name."""


def corpus(path: str | os.PathLike[str]) -> list[str]:
    """Reads a corpus: one text per line, or the first column of a .csv file.

    Blank lines are left out, and a header whose first name starts with text, sentence, caption, id
    or index.

    Raises:
        InputError: a file that cannot be read, is not UTF-8, or has no texts.
    """
    file = arguments.path(path)
    try:
        texts = _cells(file) if file.suffix.lower() == ".csv" else _lines(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"expected a corpus of texts in UTF-8, got {file}: {error}") from None
    if not texts:
        raise InputError(f"expected a corpus of texts, got none in {file}")
    return texts


def _lines(file: Path) -> list[str]:
    return [text for line in file.read_text("utf-8").split("\n") if (text := line.strip())]


def _cells(file: Path) -> list[str]:
    with file.open(newline="", encoding="utf-8") as lines:
        cells = [text for row in csv.reader(lines) if row and (text := row[0].strip())]
    return cells[1:] if cells and cells[0].lower().startswith(_HEADERS) else cells
