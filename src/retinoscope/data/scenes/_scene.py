"""Finished scenes: pixels, label maps, `Sample`s, and lazy sequences of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from ...arguments import nth, whole
from .._box import outer_box
from .._sample import Object, Part, Question, Sample, Sign
from . import _text
from ._background import background
from ._draws import PIXELS, VERSION, Draws
from ._font import SIGN_WORDS, ink
from ._kinds import ALL_KINDS, COLORS, KINDS, MORE_KINDS
from ._layout import check_key, layout
from ._paint import Painted, paint, palette, part_masks
from ._questions import questions
from ._raster import SUPER, pool
from ._world import SIZE, Board, SceneLayout, SceneOptions

SIGN_LABEL = 1 + len(KINDS)
"""Label of the first sign word; 0 is the background, 1 + kind index an object."""

_DEFAULT = SceneOptions()


def _label(kind: int) -> int:
    """The label of a kind; those of the optional kinds come after the sign words."""
    return 1 + kind if kind < len(KINDS) else 1 + len(SIGN_WORDS) + kind


def draw(
    content: SceneLayout, draws: Draws
) -> tuple[UInt8[np.ndarray, "size size 3"], list[Painted]]:
    """The image, and the objects in painting order."""
    canvas = background(draws, content.ground)
    if content.board is not None:
        _draw_board(canvas, content.board, draws)
    objects = [paint(item) for item in sorted(content.items, key=lambda item: item.depth)]
    for painted in objects:
        _blend(canvas, painted)
    noise = (draws.bytes(canvas.size) >> 4).reshape(canvas.shape).astype(np.int16) - 8
    return np.clip(canvas + noise, 0, 255).astype(np.uint8), objects


def _draw_board(canvas: np.ndarray, board: Board, draws: Draws) -> None:
    x0, y0, x1, y1 = board.box
    light = [draws.between(216, 240)] * 3
    dark = [draws.between(28, 56) for _ in range(3)]
    inked = ink(SIGN_WORDS[board.word])[..., None]
    paper, letters = (dark, light) if board.dark else (light, dark)
    canvas[y0:y1, x0:x1] = np.where(inked, np.array(letters), np.array(paper))


def _blend(canvas: np.ndarray, painted: Painted) -> None:
    rows, cols = painted.window
    total = SUPER * SUPER
    # The palette is black outside the object, so the sum is already weighted by coverage.
    inside = pool(palette(painted.item)[painted.cells]).astype(np.int32)
    outside = (total - painted.cover.astype(np.int32))[..., None] * canvas[rows, cols]
    canvas[rows, cols] = (inside + outside + total // 2) // total


def draw_arrays(
    index: int, seed: int = 0, options: SceneOptions = _DEFAULT
) -> tuple[
    UInt8[np.ndarray, "size size 3"], UInt8[np.ndarray, "size size"], UInt8[np.ndarray, "size size"]
]:
    """Scene `index` as arrays only, for training.

    Returns:
        The RGB image; the label map (0 background, 1 + index in `KINDS` on an object, 25 + index
        in `SIGN_WORDS` on a sign, 33 + index in `MORE_KINDS`); the colour map (0 none, 1 + index
        in `COLORS` on an object).

    Raises:
        InputError: `index` or `seed` is negative or needs more than 32 bits.
    """
    content = layout(index, seed, options)
    image, objects = draw(content, Draws(seed, index, PIXELS))
    label = np.zeros((SIZE, SIZE), dtype=np.uint8)
    color = np.zeros((SIZE, SIZE), dtype=np.uint8)
    if content.board is not None:
        x0, y0, x1, y1 = content.board.box
        label[y0:y1, x0:x1] = SIGN_LABEL + content.board.word
    for painted in objects:
        rows, cols = painted.window
        mask = painted.mask
        label[rows, cols][mask] = _label(painted.item.kind)
        color[rows, cols][mask] = 1 + painted.item.color
    return image, label, color


def scene_texts(
    index: int, seed: int = 0, options: SceneOptions = _DEFAULT
) -> tuple[str, tuple[Question, ...]]:
    """The caption and the questions of scene `index`, without drawing it."""
    content = layout(index, seed, options)
    return _text.caption(content), questions(content, index, seed, options)


def scene(index: int, seed: int = 0, options: SceneOptions = _DEFAULT) -> Sample:
    """Scene `index` of `seed` with complete ground truth; objects from left to right.

    An object's pixels are divided among its parts: each goes to the part that fills most of it.

    Raises:
        InputError: `index` or `seed` is negative or needs more than 32 bits.
    """
    content = layout(index, seed, options)
    image, painted = draw(content, Draws(seed, index, PIXELS))
    meta = {"source": "scenes", "seed": seed, "index": index, "version": VERSION}
    if content.ground is not None:
        meta |= {"ground": content.ground, "target": content.target}
    return put_together(content, image, painted, f"scene-{seed}-{index:06d}", meta, options)


def scene_without(
    index: int, item: int, seed: int = 0, options: SceneOptions = _DEFAULT
) -> UInt8[np.ndarray, "size size 3"]:
    """The image of scene `index` without its object `item`; all else is drawn as before.

    The pixels that differ from the whole scene's are those of the object, and of what it covered.

    Raises:
        InputError: as `scene`.
        IndexError: there is no such object.
    """
    content = layout(index, seed, options)
    left_out = nth(item, len(content.items), "object")
    rest = content.items[:left_out] + content.items[left_out + 1 :]
    image, _ = draw(replace(content, items=rest), Draws(seed, index, PIXELS))
    return image


def put_together(
    content: SceneLayout,
    image: np.ndarray,
    painted: Sequence[Painted],
    name: str,
    meta: Mapping[str, Any],
    options: SceneOptions = _DEFAULT,
) -> Sample:
    """The sample of a drawn scene; `meta` has the "index" and the "seed" of its texts."""
    covered = np.zeros((SIZE, SIZE), dtype=bool)
    objects = []
    for shape in reversed(painted):
        visible = ~covered
        objects.append((shape.item.x, _object(shape, visible)))
        covered |= _whole(shape, shape.mask)
    objects.sort(key=lambda pair: pair[0])
    return Sample(
        id=name,
        image=Image.fromarray(image),
        objects=tuple(obj for _, obj in objects),
        captions=(_text.caption(content),),
        questions=questions(content, meta["index"], meta["seed"], options),
        relations=_text.relations(content),
        signs=() if content.board is None else (_sign(content.board),),
        meta=meta,
    )


def _whole(painted: Painted, window: np.ndarray) -> Bool[np.ndarray, "size size"]:
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[painted.window] = window
    return mask


def _object(painted: Painted, visible: Bool[np.ndarray, "size size"]) -> Object:
    mask = _whole(painted, painted.mask) & visible
    parts = [(name, _whole(painted, part) & visible) for name, part in part_masks(painted)]
    return Object(
        name=ALL_KINDS[painted.item.kind],
        mask=mask,
        box=outer_box(mask),
        color=COLORS[painted.item.color],
        # Parts thinner than half a pixel or wholly covered are invisible.
        parts=tuple(Part(name, part) for name, part in parts if part.any()),
    )


def _sign(board: Board) -> Sign:
    x0, y0, x1, y1 = board.box
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return Sign(SIGN_WORDS[board.word], mask, (float(x0), float(y0), float(x1), float(y1)))


class Scenes(Sequence[Sample]):
    """Scenes start..start+n-1 of `seed`, drawn on access."""

    def __init__(
        self, n: int, seed: int = 0, options: SceneOptions = _DEFAULT, start: int = 0
    ) -> None:
        """Raises InputError for a negative `n`, or an index or seed outside 32 bits."""
        n, start = whole(n, "a number of scenes", 0), whole(start, "start", 0)
        check_key(start + max(n - 1, 0), seed)
        check_key(start, seed)
        self.n, self.seed, self.options, self.start = n, seed, options, start

    @property
    def fingerprint(self) -> str:
        """The same for the same scenes, different for different ones; a SHA-256 in hexadecimal."""
        text = f"scenes v{VERSION} seed={self.seed} start={self.start} n={self.n} {self.options}"
        if self.options.more_kinds:
            text += " more kinds"
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names that objects can have."""
        return KINDS + MORE_KINDS if self.options.more_kinds else KINDS

    def __len__(self) -> int:
        return self.n

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            places = range(self.n)[index]
            if places.step == 1:
                return Scenes(len(places), self.seed, self.options, self.start + places.start)
            return [self[place] for place in places]
        return scene(self.start + nth(index, self.n, "scene"), self.seed, self.options)

    def __iter__(self) -> Iterator[Sample]:
        return (self[place] for place in range(self.n))

    def without(self, index: int, item: int) -> Image.Image:
        """The image of one of these scenes without its object `item`; see `scene_without`."""
        number = self.start + nth(index, self.n, "scene")
        return Image.fromarray(scene_without(number, item, self.seed, self.options))

    def __repr__(self) -> str:
        return f"Scenes(n={self.n}, seed={self.seed}, start={self.start}, options={self.options})"


def scenes(
    n: int,
    seed: int = 0,
    *,
    start: int = 0,
    min_objects: int = 1,
    max_objects: int = 5,
    occlusion: bool = False,
    signs: float = 0.15,
    small: float = 0.0,
    repeats: float = 0.0,
    grounds: float = 0.0,
) -> Scenes:
    """Drawn scenes `start` to `start + n - 1` of `seed`, each drawn on access.

    Scene k of a seed is the same on every machine and does not depend on n.

    Args:
        n: the number of scenes.
        seed: of the whole world.
        start: number of the first scene.
        min_objects, max_objects: per scene, 1 to 5.
        occlusion: let objects cover up to 35% of the visible pixels of others.
        signs: share of scenes with a sign that carries a word.
        small: share of objects with a radius of 6 to 12 pixels; see `SceneOptions`.
        repeats: share of scenes with two objects of one kind, among those with two or more.
        grounds: share of scenes on water or land.

    Raises:
        InputError: a number out of range.
    """
    options = SceneOptions(
        min_objects=min_objects,
        max_objects=max_objects,
        occlusion=occlusion,
        signs=signs,
        small=small,
        repeats=repeats,
        grounds=grounds,
    )
    return Scenes(n, seed, options, start)
