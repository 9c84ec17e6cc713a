"""Random access to the elements of large JSON lists."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

CHUNK = 1 << 23
"""Number of bytes read at a time."""
LARGEST = 1 << 26
"""The most bytes of one element; a larger one means that the list is not one per image."""
_MARK = codecs.BOM_UTF8.decode("latin-1")
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, eq=False, repr=False)
class JsonIndex:
    """The positions of a JSON list's elements in its file.

    The file is read once, `CHUNK` bytes at a time. For each element a key and two numbers are kept
    (about 150 bytes), but not its content.
    """

    file: Path
    sha256: str
    starts: array[int]
    lengths: array[int]
    rows: Mapping[object, int]

    @classmethod
    def of(cls, file: Path, key: Callable[[Mapping[str, object]], object]) -> JsonIndex:
        """Indexes `file`, a list of objects with distinct keys.

        Raises:
            InputError: a file that cannot be read, not a list of objects, or a duplicate key.
        """
        starts, lengths = array("q"), array("q")
        rows: dict[object, int] = {}
        digest = hashlib.sha256()
        try:
            for start, length, element in _elements(file, digest.update):
                ident = key(element)
                if not isinstance(ident, int | str):
                    raise InputError(
                        f"{file}: expected the image's id in every element, got one with the keys "
                        f"{', '.join(sorted(element)) or 'none'}"
                    )
                # True would collide with 1.
                if isinstance(ident, bool) or ident in rows:
                    got = repr(ident) if isinstance(ident, bool) else "two"
                    raise InputError(f"{file}: expected one element for image {ident}, got {got}")
                rows[ident] = len(starts)
                starts.append(start)
                lengths.append(length)
        except OSError as error:
            raise InputError(
                f"{file}: cannot be read ({error.strerror}): check the path"
            ) from error
        return cls(file, digest.hexdigest(), starts, lengths, rows)

    def read(self, key: object) -> Mapping[str, object]:
        """The element with this key, or an empty one. Raises InputError if the file has changed."""
        row = self.rows.get(key)
        if row is None:
            return {}
        with self.file.open("rb") as stream:
            stream.seek(self.starts[row])
            text = stream.read(self.lengths[row])
        try:
            return json.loads(text)
        except ValueError as error:
            raise InputError(f"{self.file}: changed while it was in use: start again") from error


def _elements(
    file: Path, see: Callable[[bytes], object]
) -> Iterator[tuple[int, int, Mapping[str, object]]]:
    """Yields start, length and content of each object in the file's list; `see` gets every byte.

    Bytes are decoded one to one, so that positions in the text are positions in the file; no byte
    of a multi-byte UTF-8 character can be mistaken for JSON syntax.
    """
    decoder = json.JSONDecoder()
    with file.open("rb") as stream:
        text, base, at, ended = "", 0, 0, False

        def more() -> None:
            nonlocal text, base, at, ended
            chunk = stream.read(max(CHUNK, len(text) - at))
            see(chunk)
            ended = not chunk
            text = text[at:] + chunk.decode("latin-1")
            base, at = base + at, 0

        def next_sign() -> str:
            nonlocal at
            while True:
                at = _end_of_space(text, at)
                if at < len(text) or ended:
                    return text[at : at + 1]
                more()

        more()
        if text.startswith(_MARK):
            at = len(_MARK)
        if next_sign() != "[":
            raise _not_a_list(file)
        at += 1
        first = True
        while (sign := next_sign()) != "]":
            if not first:
                if sign != ",":
                    raise _not_a_list(file, base + at)
                at += 1
                sign = next_sign()
            if sign != "{":
                raise _not_a_list(file, base + at)
            first = False
            while True:
                try:
                    element, end = decoder.raw_decode(text, at)
                    break
                except (ValueError, RecursionError) as error:
                    if ended or len(text) - at > LARGEST:
                        raise _not_a_list(file, base + at) from error
                    more()
            yield base + at, end - at, element
            at = end
        at += 1
        if next_sign():
            raise _not_a_list(file, base + at)


def _end_of_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def _not_a_list(file: Path, place: int = 0) -> InputError:
    return InputError(
        f"{file}: expected a JSON list of objects, got something else at byte {place}: fetch the "
        "file again"
    )
