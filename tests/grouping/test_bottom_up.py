"""Groups without text: planted classes are found, signs do not matter, nulls are not 0."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from retinoscope.errors import InputError
from retinoscope.grouping import (
    GROUPINGS,
    centres,
    group,
    instance_cells,
    jaccard,
    overlap_bound,
    random_groups,
    superpixel_groups,
    voronoi_groups,
)
from retinoscope.tokens import token_map


def _planted(classes: np.ndarray, width: int = 16, noise: float = 0.05, seed: int = 0):
    """Features that point where their class says, and nearly nowhere else."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(width, width)))[0][: classes.max() + 1]
    return directions[classes] + noise * rng.normal(size=(len(classes), width))


def _boxes(side: int, pixels: float = 4.0) -> np.ndarray:
    rows, columns = (axis.ravel() * pixels for axis in np.mgrid[:side, :side])
    return np.stack([columns, rows, columns + pixels, rows + pixels], 1)


CLASSES = np.repeat([0, 1, 2, 3], [40, 30, 20, 10])


@pytest.mark.parametrize("method", ["pc-both-signs", "kmeans", "spectral"])
def test_planted_classes_are_found(method: str) -> None:
    found = group(_planted(CLASSES), method, 4)
    inside = np.stack([k == CLASSES for k in range(4)]).astype(int)
    overlap = jaccard(inside, np.ones(100, int), found)
    floor = 0.8 if method.startswith("pc") else 0.99
    assert overlap.best.mean() >= floor


@pytest.mark.parametrize("method", GROUPINGS)
def test_groups_do_not_depend_on_the_sign_of_components(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = _planted(CLASSES)
    before = group(features, method, 4)
    from sklearn.decomposition import PCA

    fit = PCA.fit

    def flipped(self, values):
        fit(self, values)
        self.components_ = self.components_ * np.array([-1, 1, -1, -1])[:, None]
        return self

    monkeypatch.setattr(PCA, "fit", flipped)
    assert (group(features, method, 4) == before).all()
    largest = np.abs(centres(features, 4)).argmax(1)
    assert (centres(features, 4)[np.arange(4), largest] > 0).all()


def test_without_the_sign_rule_the_sign_does_matter() -> None:
    features = _planted(CLASSES)
    middle = centres(features, 4)
    flips = np.array([-1, 1, -1, 1])[:, None]
    assert ((features @ middle.T).argmax(1) != (features @ (middle * flips).T).argmax(1)).any()


@pytest.mark.parametrize("method", GROUPINGS)
def test_locations_that_do_not_differ_are_one_group(method: str) -> None:
    same = np.tile(np.linspace(1, 2, 8), (12, 1))
    assert set(group(same, method, 4)) == {0}
    rounded = same * (1 + 1e-9 * np.random.default_rng(0).normal(size=same.shape))
    assert set(group(rounded, method, 4)) == {0}


def test_there_are_no_more_groups_than_different_features() -> None:
    features = _planted(CLASSES, noise=0.0)
    assert len(set(group(features, "kmeans", 8))) == 4
    assert len(set(group(features, "spectral", 8))) == 4


@pytest.mark.parametrize(
    ("features", "method", "n_groups", "said"),
    [
        (np.ones((4, 9)), "kmeans", 5, r"1 to 4 groups of 4 locations, got 5"),
        (np.ones((9, 4)), "pc", 5, r"1 to 4 groups of 4 dimensions, got 5"),
        (np.ones((4, 9)), "kmeans", 0, r"got 0"),
        (np.ones((4, 9)), "dbscan", 2, r"as method, got .dbscan"),
        (np.eye(4)[:, :3], "kmeans", 2, r"1 of 4 locations with length 0 \(the first is 3\)"),
        (np.full((4, 3), np.nan), "kmeans", 2, r"finite"),
        (np.ones(4), "kmeans", 2, r"location, d"),
    ],
)
def test_what_cannot_be_grouped_is_refused(features, method, n_groups, said) -> None:
    with pytest.raises(InputError, match=said):
        group(features, method, n_groups)


def test_nulls_are_far_from_zero() -> None:
    boxes = _boxes(14)
    tokens = token_map(boxes, (56, 56))
    rng = np.random.default_rng(0)
    best = {"random": [], "voronoi": []}
    for seed in range(40):
        mask = np.zeros((56, 56), bool)
        y, x = rng.integers(0, 28, 2)
        mask[y : y + 28, x : x + 20] = True
        inside = instance_cells([mask], tokens, 196)
        whole = np.full(196, 16)
        best["random"].append(jaccard(inside, whole, random_groups(196, 8, seed)).best[0])
        best["voronoi"].append(jaccard(inside, whole, voronoi_groups(boxes, 8, seed)).best[0])
    # Both by a computation apart from this one: about 0.1 and about 0.35 for blobs this large.
    assert 0.08 < np.mean(best["random"]) < 0.16
    assert 0.25 < np.mean(best["voronoi"]) < 0.5


def test_superpixels_follow_colour() -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, 16:] = (255, 0, 0)
    found = superpixel_groups(Image.fromarray(pixels), _boxes(8), 2)
    assert (found.reshape(8, 8) == found.reshape(8, 8)[0]).all()
    assert found[0] != found[7]
    grey = superpixel_groups(Image.new("RGB", (32, 32)), _boxes(8), 4)
    assert len(set(grey)) == 4, "without colour, by place"
    for make in (random_groups, lambda n, k: voronoi_groups(_boxes(2)[:n], k)):
        with pytest.raises(InputError, match="fewer groups"):
            make(4, 5)


def test_overlap_by_hand() -> None:
    inside = np.array([[4, 4, 0, 0], [4, 4, 2, 0], [0, 0, 0, 0]])
    whole = np.array([4, 4, 4, 4])
    overlap = jaccard(inside, whole, np.array([0, 0, 1, 1]))
    assert overlap.best[:2].tolist() == [1, 8 / 10]
    # One to one: the second instance is left with the other group.
    assert overlap.matched[:2].tolist() == [1, 2 / 16]
    assert np.isnan(overlap.best[2])
    assert np.isnan(overlap.matched[2])
    bound = overlap_bound(inside, whole)
    assert bound[:2].tolist() == [1, 10 / 12]
    assert np.isnan(bound[2])
    alone = jaccard(inside[:2], whole, np.zeros(4, int))
    assert alone.matched.tolist() == [0, 10 / 16], "no group is left for the other"
    with pytest.raises(InputError, match="one group per location"):
        jaccard(inside, whole, np.array([0, 1]))
    with pytest.raises(InputError, match="pixels of instances"):
        jaccard(inside, whole[:3], np.zeros(3, int))
