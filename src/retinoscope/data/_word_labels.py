"""What images of words say: the label files of ICDAR's and IIIT5K's kind."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import InputError
from ._table import Row

NAMES = ("gt.txt", "labels.txt")
QUESTION, KIND = "What does the sign say?", "sign"
_QUOTED = re.compile(r'(?P<image>[^,]+),\s*"(?P<word>.*)"')
_PLAIN = re.compile(r"(?P<image>\S+?)[,\s]\s*(?P<word>\S.*)")


def find_labels(folder: Path) -> Path | None:
    """The label file of a folder, if any. Raises InputError if there are several."""
    found = [folder / name for name in NAMES if (folder / name).is_file()]
    if len(found) > 1:
        raise InputError(f"{folder}: expected one of {' and '.join(NAMES)}, got both: keep one")
    return found[0] if found else None


def read_labels(file: Path) -> list[Row]:
    """A question of the kind "sign" for each line: `word_1.png, "Text"` or `word_1.png Text`.

    Folders before an image's name are dropped, since the images lie beside the file.

    Raises:
        InputError: a line of another form, or a file that is not text.
    """
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: expected lines of text, got {error}") from error
    return [
        _row(f"{file}: line {number}", line.strip())
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip()
    ]


def _row(where: str, line: str) -> Row:
    match = _QUOTED.fullmatch(line) or _PLAIN.fullmatch(line)
    if match is None:
        raise InputError(
            f'{where}: expected word_1.png, "Text" or word_1.png Text, got {line[:40]!r}'
        )
    image = match["image"].strip().replace("\\", "/").rpartition("/")[2]
    word = match["word"].replace('\\"', '"').replace("\\\\", "\\")
    return Row(image, QUESTION, word, KIND, None, None, None, None, None, where)
