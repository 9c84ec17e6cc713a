"""Scenes as samples, one by one or as a sequence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import overload

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from ...errors import InputError
from .._sample import Object, Part, Question, Sample, Sign
from ._kinds import COLORS, DRAWINGS, KINDS, SIGN_WORDS
from ._layout import _VERSION, SIZE, Layout, PlacedSign, SceneOptions, sample_layout
from ._render import Rendered, covered, draw
from ._text import caption, questions, relations


def scene(index: int, seed: int = 0, options: SceneOptions | None = None) -> Sample:
    """Scene `index` of `seed`: the same bytes on every machine, whatever else is drawn."""
    layout = sample_layout(index, seed, _checked(options))
    asked = questions(layout)
    drawn = draw(layout)
    return Sample(
        id=f"scene-{seed}-{index:06d}",
        image=Image.fromarray(drawn.image),
        objects=tuple(_object(layout, drawn, number) for number in range(len(layout.objects))),
        captions=(caption(layout),),
        questions=asked,
        relations=relations(layout),
        signs=(_sign(layout.sign),) if layout.sign else (),
        meta={"seed": seed, "index": index},
    )


def scene_texts(
    index: int, seed: int, options: SceneOptions | None = None
) -> tuple[str, tuple[Question, ...]]:
    """Caption and questions of a scene, without drawing it."""
    layout = sample_layout(index, seed, _checked(options))
    asked = questions(layout)
    return caption(layout), asked


def draw_arrays(
    index: int, seed: int, options: SceneOptions | None = None
) -> tuple[
    UInt8[np.ndarray, "height width 3"],
    UInt8[np.ndarray, "height width"],
    UInt8[np.ndarray, "height width"],
]:
    """Pixels, kind label and colour label of a scene, for training.

    The kind label is 0 on the background, 1 + index in `KINDS` on an object and
    1 + len(KINDS) + index in `SIGN_WORDS` on a sign; the colour label is 0 or 1 + index in
    `COLORS`.
    """
    layout = sample_layout(index, seed, _checked(options))
    questions(layout)  # draws from the layout's generator, as for the sample
    drawn = draw(layout)
    kinds = np.zeros((SIZE, SIZE), dtype=np.uint8)
    colors = np.zeros((SIZE, SIZE), dtype=np.uint8)
    for number, placed in enumerate(layout.objects):
        mask = _mask(drawn, drawn.first[number], drawn.first[number + 1])
        kinds[mask] = 1 + placed.kind
        colors[mask] = 1 + placed.color
    if layout.sign is not None:
        x0, y0, x1, y1 = layout.sign.box
        kinds[y0:y1, x0:x1] = 1 + len(KINDS) + layout.sign.word
    return drawn.image, kinds, colors


@dataclass(frozen=True)
class Scenes(Sequence[Sample]):
    """Scenes `start` to `start + n - 1` of `seed`, drawn when asked for."""

    n: int
    seed: int = 0
    options: SceneOptions = SceneOptions()
    start: int = 0

    def __post_init__(self) -> None:
        if self.n < 0:
            raise InputError(f"expected a number of scenes of 0 or more, got {self.n}")
        if self.seed < 0 or self.start < 0:
            raise InputError(
                f"expected seed and start of 0 or more, got {self.seed} and {self.start}"
            )
        _checked(self.options)

    @property
    def fingerprint(self) -> str:
        """Changes whenever a scene would."""
        what = [_VERSION, self.n, self.seed, self.start, asdict(self.options)]
        return sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return self.n

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            chosen = range(self.n)[index]
            if chosen.step == 1:
                return Scenes(len(chosen), self.seed, self.options, self.start + chosen.start)
            return [self[number] for number in chosen]
        return scene(self.start + range(self.n)[index], self.seed, self.options)

    def __iter__(self) -> Iterator[Sample]:
        return (self[number] for number in range(self.n))


def _checked(options: SceneOptions | None) -> SceneOptions:
    options = options or SceneOptions()
    if not 1 <= options.min_objects <= options.max_objects <= 5:
        raise InputError(
            "expected 1 <= min_objects <= max_objects <= 5, got "
            f"{options.min_objects} and {options.max_objects}"
        )
    if not 0 <= options.signs <= 1:
        raise InputError(f"expected a probability of signs within 0..1, got {options.signs}")
    return options


def _mask(drawn: Rendered, first: int, stop: int) -> Bool[np.ndarray, "height width"]:
    ids = np.zeros(256, dtype=bool)
    ids[first:stop] = True
    return covered(drawn.canvas, ids)


def _object(layout: Layout, drawn: Rendered, number: int) -> Object:
    placed = layout.objects[number]
    first, stop = drawn.first[number], drawn.first[number + 1]
    mask = _mask(drawn, first, stop)
    shapes = DRAWINGS[KINDS[placed.kind]]
    parts = []
    for name in dict.fromkeys(shape.part for shape in shapes):
        ids = np.zeros(256, dtype=bool)
        ids[[first + i for i, shape in enumerate(shapes) if shape.part == name]] = True
        parts.append(Part(name, covered(drawn.canvas, ids)))
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (float(cols[0]), float(rows[0]), float(cols[-1] + 1), float(rows[-1] + 1))
    return Object(KINDS[placed.kind], mask, box, COLORS[placed.color], tuple(parts))


def _sign(sign: PlacedSign) -> Sign:
    x0, y0, x1, y1 = sign.box
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return Sign(SIGN_WORDS[sign.word], mask, (float(x0), float(y0), float(x1), float(y1)))
