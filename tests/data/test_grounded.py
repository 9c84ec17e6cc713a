"""Scenes on water and land: what goes with what is as it was asked for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import retinoscope as rs
from retinoscope.data.scenes import AT_HOME, GROUNDS, KINDS, grounded_arrays
from retinoscope.data.scenes._grounds import _content
from retinoscope.errors import InputError


def test_a_balanced_set_has_four_equal_groups() -> None:
    samples = rs.data.grounded(16, seed=3, correlation=None)
    groups = Counter((sample.meta["side"], sample.meta["ground"]) for sample in samples)
    assert groups == {(side, ground): 4 for side in GROUNDS for ground in GROUNDS}


def test_the_target_and_nothing_else_goes_with_the_ground() -> None:
    for sample in rs.data.grounded(20, seed=5):
        target = sample.meta["target"]
        for number, found in enumerate(sample.objects):
            home = [side for side, kinds in AT_HOME.items() if found.name in kinds]
            assert home == ([sample.meta["side"]] if number == target else [])
            assert found.name in sample.captions[0]
        assert "water" not in sample.captions[0]
        assert "land" not in sample.captions[0]


@pytest.mark.parametrize(("correlation", "low", "high"), [(0.95, 0.93, 0.97), (0.5, 0.46, 0.54)])
def test_the_share_is_the_one_asked_for(correlation, low, high) -> None:
    drawn = [_content(index, 1, correlation) for index in range(2000)]
    assert low < np.mean([side == ground for _, _, side, ground in drawn]) < high
    sides = Counter(side for _, _, side, _ in drawn)
    assert 0.45 < sides["water"] / 2000 < 0.55
    assert all(len({item.kind for item in content.items}) == len(content.items)
               for content, *_ in drawn)  # fmt: skip


def test_on_the_other_ground_only_the_ground_changes() -> None:
    samples = rs.data.grounded(6, seed=2, correlation=None)
    swapped = samples.on_other_ground()
    for one, two in zip(samples, swapped, strict=True):
        assert {one.meta["ground"], two.meta["ground"]} == set(GROUNDS)
        assert one.id != two.id
        assert one.captions == two.captions
        pixels = np.abs(np.asarray(one.image).astype(int) - np.asarray(two.image))
        whole = np.zeros(pixels.shape[:2], bool)
        for a, b in zip(one.objects, two.objects, strict=True):
            assert a.box == b.box
            np.testing.assert_array_equal(a.mask, b.mask)
            whole |= a.mask
        inner = whole & np.roll(whole, 1, 0) & np.roll(whole, -1, 0)
        inner &= np.roll(whole, 1, 1) & np.roll(whole, -1, 1)
        # A pixel that an object fills only in part is a blend with what is behind it.
        assert (pixels[inner].max(-1) == 0).mean() > 0.98
        assert (pixels[~whole].sum(-1) > 0).mean() > 0.95
    assert samples.fingerprint != swapped.fingerprint
    again = swapped.on_other_ground()
    np.testing.assert_array_equal(np.asarray(again[0].image), np.asarray(samples[0].image))


def test_grounds_are_told_apart_by_their_colour() -> None:
    for sample in rs.data.grounded(12, seed=9, correlation=None):
        whole = np.any([found.mask for found in sample.objects], axis=0)
        red, _, blue = np.asarray(sample.image)[~whole].mean(0)
        assert (blue > red) == (sample.meta["ground"] == "water")


def test_arrays_are_those_of_the_samples() -> None:
    samples = rs.data.grounded(3, seed=4)
    for index, sample in enumerate(samples):
        image, caption = grounded_arrays(index, 4, 0.95)
        np.testing.assert_array_equal(image, np.asarray(sample.image))
        assert caption == sample.captions[0]
    assert samples[1:][0].id == samples[1].id
    assert set(AT_HOME["water"] + AT_HOME["land"]) <= set(KINDS)


@pytest.mark.parametrize("wrong", [{"n": -1}, {"n": 3, "correlation": 1.5}, {"n": 3, "seed": -1}])
def test_numbers_outside_their_range_are_refused(wrong) -> None:
    with pytest.raises(InputError, match="expected"):
        rs.data.grounded(**wrong)
