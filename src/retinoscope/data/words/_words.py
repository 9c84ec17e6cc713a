"""Boards as samples, and lazy sequences of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
from PIL import Image

from ...arguments import nth, whole
from ...errors import InputError
from .._box import outer_box
from .._sample import Object, Question, Sample, Sign
from ..scenes._layout import check_key
from ._board import ALPHABET, HEIGHT, WIDTH, BoardOptions, draw_board

VERSION = 1
"""Incremented whenever any board's pixels or texts change."""


def word(index: int, seed: int = 0, options: BoardOptions | None = None) -> Sample:
    """Board `index` of `seed`: its letters are objects, from left to right, and it is one sign.

    A letter of which nothing is visible has an empty mask and the box of nothing; `meta` has the
    "word", whether it is "known" (from the lexicon), what lies on a letter ("occlusion") and on
    which ("hidden", an index or None).

    Raises:
        InputError: `index` or `seed` is negative or needs more than 32 bits.
    """
    options = options or BoardOptions()
    check_key(index, seed)
    image, masks, content = draw_board(index, seed, options)
    everywhere = np.ones((HEIGHT, WIDTH), dtype=bool)
    return Sample(
        id=f"word-{seed}-{index:06d}",
        image=Image.fromarray(image),
        objects=tuple(
            Object(letter.letter, mask, outer_box(mask) if mask.any() else (0.0, 0.0, 0.0, 0.0))
            for letter, mask in zip(content.letters, masks, strict=True)
        ),
        questions=(Question("What does the sign say?", content.word, "sign"),),
        signs=(Sign(content.word, everywhere, (0.0, 0.0, float(WIDTH), float(HEIGHT))),),
        meta={
            "source": "words",
            "seed": seed,
            "index": index,
            "version": VERSION,
            "word": content.word,
            "known": content.known,
            "occlusion": options.occlusion,
            "hidden": content.hidden,
        },
    )


@dataclass(frozen=True)
class WordBoards(Sequence[Sample]):
    """Boards `start` to `start + n - 1` of `seed`; board k of a seed does not depend on n.

    Each shows a word of four to eight letters from `lexicon()`, or a random string, in 24 x 96
    pixels. The same board with another occlusion differs in nothing but what lies on the letter.
    """

    n: int
    seed: int = 0
    options: BoardOptions = field(default_factory=BoardOptions)
    start: int = 0

    def __post_init__(self) -> None:
        """Raises InputError for a number out of range."""
        for name in ("n", "start"):
            whole(getattr(self, name), name, 0)
        check_key(self.start + max(self.n - 1, 0), self.seed)

    @property
    def fingerprint(self) -> str:
        """The same for the same boards, different for different ones; a SHA-256 in hexadecimal."""
        text = f"words v{VERSION} seed={self.seed} start={self.start} n={self.n} {self.options}"
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names that objects can have."""
        return tuple(ALPHABET)

    def __len__(self) -> int:
        return self.n

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> WordBoards: ...

    def __getitem__(self, index: int | slice) -> Sample | WordBoards:
        if isinstance(index, slice):
            first, stop, step = index.indices(self.n)
            if step != 1:
                raise InputError(f"expected a slice with step 1, got {step}")
            return WordBoards(max(0, stop - first), self.seed, self.options, self.start + first)
        return word(self.start + nth(index, self.n, "board"), self.seed, self.options)


def words(n: int, seed: int = 0, *, occlusion: str = "none", strings: float = 0.0) -> WordBoards:
    """Drawn boards with words on them.

    Args:
        n: number of boards.
        seed: of the boards.
        occlusion: "none", "weak" (a stroke across one letter), "heavy" (two) or "full" (a cover).
        strings: share of boards with random letters in place of a word.

    Raises:
        InputError: an unknown occlusion, a share outside 0..1, or a number out of range.
    """
    return WordBoards(n, seed, BoardOptions(occlusion, strings))  # type: ignore[arg-type]
