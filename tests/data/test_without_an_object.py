"""Scenes drawn again without one of their objects."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import retinoscope as rs
from retinoscope.data.scenes import VARIED, SceneOptions, Scenes, scene_without
from retinoscope.data.scenes._layout import layout
from retinoscope.data.scenes._paint import paint
from retinoscope.errors import InputError

OPTIONS = {
    "plain": SceneOptions(),
    "varied": VARIED,
    "occluded": SceneOptions(min_objects=3, occlusion=True, signs=1.0),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_only_the_objects_own_pixels_differ(name: str) -> None:
    options = OPTIONS[name]
    for sample in (scenes := Scenes(8, seed=6, options=options)):
        whole = np.asarray(sample.image)
        for item, found in enumerate(sample.objects):
            bare = np.asarray(scenes.without(sample.meta["index"], item))
            differs = (bare != whole).any(-1)
            # Its colour may be that of what is behind it, at single pixels.
            assert (differs & found.mask).sum() > 0.98 * found.mask.sum()
            painted = paint(layout(sample.meta["index"], 6, options).items[item])
            touched = np.zeros_like(found.mask)
            touched[painted.window] = painted.cover > 0
            assert not (differs & ~touched).any()
            others = [one.mask for one in sample.objects if one is not found]
            if not options.occlusion and others:
                assert not (differs & np.logical_or.reduce(others)).any()


def test_what_was_covered_is_shown() -> None:
    options = OPTIONS["occluded"]
    scenes, revealed = Scenes(12, seed=6, options=options), 0
    for index, sample in enumerate(scenes):
        for item, found in enumerate(sample.objects):
            bare = np.asarray(scenes.without(index, item)).astype(int)
            inside = bare[found.mask]
            for other in sample.objects:
                if other is not found:
                    colour = np.median(np.asarray(sample.image)[other.mask], axis=0)
                    revealed += bool((np.abs(inside - colour).max(-1) < 24).sum() > 20)
    assert revealed


def test_bytes_are_the_same_as_ever() -> None:
    told = hashlib.sha256()
    for index in (0, 8):
        told.update(scene_without(index, 0, 3, VARIED).tobytes())
        told.update(scene_without(index, 0, 3).tobytes())
    assert told.hexdigest()[:16] == "708e5dfba8a13c35"


def test_scenes_are_counted_from_their_start() -> None:
    scenes = Scenes(6, seed=2, options=VARIED)
    there = scenes[3:].without(1, 0)
    assert np.array_equal(there, scenes.without(4, 0))
    assert np.array_equal(there, scene_without(4, 0, 2, VARIED))


@pytest.mark.parametrize(("index", "item"), [(9, 0), (0, 7), (0, "car"), (0, 1.5)])
def test_what_is_not_there_is_one_clear_line(index: int, item: object) -> None:
    with pytest.raises((InputError, IndexError)) as caught:
        rs.data.scenes(3).without(index, item)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)
