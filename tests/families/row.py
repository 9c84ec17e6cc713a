"""What the tests of the families have to know of one family, or of one setting of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any

import pytest
from patches import alone
from PIL import Image
from torch import Tensor

import retinoscope as rs

GRID, TILES, NONE = "one grid", "tiles", "unplaced"
SOME = "some of one grid"
OUTSIDE = "not in the decoder's input"

Sizes = Sequence[tuple[int, int]]
SIZES = ((48, 48), (70, 44), (41, 77), (5, 4), (300, 14))
ONE = {"one": [(60, 40)]}
PAIR = {**ONE, "two": [(30, 70), (64, 20)]}


@dataclass(frozen=True, eq=False)
class Row:
    """One family.

    Attributes:
        family: as its adapter calls it.
        model, processor: make its tiny model and processor.
        places: where its visual tokens lie: `GRID`, `TILES`, `SOME`, `NONE` or `OUTSIDE`.
        embedding: the module that embeds the patches; "" where places are not known.
        patches: what the patches of each visual token are (see patches.py), or each patch where
            the visual tokens are learned queries.
        shape: of the first image: the number of visual tokens, of those without a box, and the
            rows and columns of the others where they form one grid.
        images: prompts by name: the width and height of their images.
        sizes: of the images whose layouts are checked and whose logits are held against the
            library's; `fails` are those that the library itself does not take.
        cropped: whether parts of an image are in no box.
        windows: whether some blocks cannot see the image, so that a knockout there does nothing.
        incremental, gradients, weights: whether the incremental path, gradients and the weights of
            attention are offered.
        shares: whether the incremental path takes prompts about one image together.
        text_only: the module that reads a prompt without an image; None where that is refused.
        options: what the processor is called with.
        writes_placeholders: whether the processor writes them, which takes one image per prompt.
        attention: the implementation.
        variant: what is special about this setting of the family.
        tests: files of further tests, in tests/.
        missing: why the processor cannot be made here; `stand_in` is one for what does not depend
            on it.
    """

    family: str
    model: Callable[..., Any]
    processor: Callable[[], Any]
    places: str
    embedding: str = ""
    patches: Callable[[rs.VLM, Image.Image, Tensor], Tensor] = alone
    shape: tuple[int, int, tuple[int, int] | None] | None = None
    images: Mapping[str, Sizes] = field(default_factory=lambda: PAIR)
    sizes: Sizes = SIZES
    fails: Sizes = ()
    cropped: bool = False
    windows: bool = False
    incremental: bool = True
    gradients: bool = True
    weights: bool = True
    shares: bool = True
    text_only: str | None = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    writes_placeholders: bool = False
    attention: str = "sdpa"
    variant: str = ""
    tests: tuple[str, ...] = ()
    missing: str = ""
    stand_in: Callable[[], Any] | None = None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.family, self.variant))).replace(" ", "-")

    def fresh(self, attention: str = "") -> rs.VLM:
        """Its tiny model, through every check, for one test alone."""
        model = self.model(attention=attention or self.attention)
        return rs.load(model=model, processor=self.processor())

    def library(
        self,
        vlm: rs.VLM,
        images: Sequence[Sequence[Image.Image]],
        texts: Sequence[str],
        **options: Any,
    ) -> dict[str, Tensor]:
        """What the family's own processor makes of several prompts as they are written."""
        given: list[Any] = [list(of_prompt) for of_prompt in images if of_prompt]
        if self.writes_placeholders:
            texts = [text.removeprefix("<image>") for text in texts]
        if self.writes_placeholders or len(images) == 1:
            given = [image for of_prompt in given for image in of_prompt]
        call: Any = vlm.processor
        done = call(
            text=list(texts),
            images=given or None,
            return_tensors="pt",
            **{**self.options, **options},
        )
        return {name: value for name, value in done.items() if name != "labels"}


@cache
def loaded(row: Row, attention: str = "") -> rs.VLM:
    """A row's model, shared by all tests that leave it as it is."""
    return row.fresh(attention)


def over(rows: Iterable[Row], **values: Callable[[Row], Mapping[str, Any]]) -> Any:
    """Parametrises a test by `row`, and by each value, named, that a row has of something else."""
    cases = []
    for row in rows:
        marks = [pytest.mark.skip(reason=row.missing)] if row.missing else []
        for case in product(*(of(row).items() for of in values.values())):
            name = "-".join([str(row), *(name for name, _ in case)])
            cases.append(pytest.param(row, *(value for _, value in case), id=name, marks=marks))
    return pytest.mark.parametrize(("row", *values), cases)
