"""Masks from COCO segmentations."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retinoscope.data import decode_segmentation, run_lengths
from retinoscope.errors import InputError, MissingExtraError

coordinate = st.floats(-5, 25, allow_nan=False).map(lambda value: round(value, 2))
masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda size: st.lists(
        st.booleans(), min_size=size[0] * size[1], max_size=size[0] * size[1]
    ).map(lambda bits: np.array(bits).reshape(size))
)


def _inside(points: list[tuple[float, float]], x: float, y: float) -> bool:
    """Even-odd by a ray to the left, one point at a time."""
    inside = False
    for (xa, ya), (xb, yb) in zip(points, points[1:] + points[:1], strict=True):
        if (ya <= y) != (yb <= y):
            inside ^= xa + (y - ya) / (yb - ya) * (xb - xa) <= x
    return inside


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=8))
def test_a_polygon_covers_the_pixels_whose_centre_is_inside(
    points: list[tuple[float, float]],
) -> None:
    mask = decode_segmentation([[value for point in points for value in point]], 16, 20)
    for row in range(16):
        for column in range(20):
            expected = _inside(points, column + 0.5, row + 0.5)
            near = any(
                (ya <= row + 0.5) != (yb <= row + 0.5)
                and abs(xa + (row + 0.5 - ya) / (yb - ya) * (xb - xa) - column - 0.5) < 1e-6
                for (xa, ya), (xb, yb) in zip(points, points[1:] + points[:1], strict=True)
            )
            # On an edge itself, rounding decides.
            assert near or mask[row, column] == expected


def test_a_box_as_polygon_is_exact() -> None:
    mask = decode_segmentation([[2, 1, 5, 1, 5, 4, 2, 4]], 6, 8)
    expected = np.zeros((6, 8), dtype=bool)
    expected[1:4, 2:5] = True
    assert (mask == expected).all()


def test_several_polygons_are_united() -> None:
    one, two = [0, 0, 4, 0, 4, 4, 0, 4], [2, 2, 6, 2, 6, 6, 2, 6]
    both = decode_segmentation([one, two], 8, 8)
    assert (both == decode_segmentation([one], 8, 8) | decode_segmentation([two], 8, 8)).all()
    assert both.sum() == 16 + 16 - 4


def test_neighbours_share_an_edge_and_no_pixel() -> None:
    left = decode_segmentation([[0, 0, 3.5, 0, 6.5, 8, 0, 8]], 8, 10)
    right = decode_segmentation([[3.5, 0, 10, 0, 10, 8, 6.5, 8]], 8, 10)
    assert not (left & right).any()
    assert (left | right).all()


@settings(deadline=None, max_examples=40)
@given(masks)
def test_uncompressed_run_lengths_come_back(mask: np.ndarray) -> None:
    assert (decode_segmentation(run_lengths(mask), *mask.shape) == mask).all()


@settings(deadline=None, max_examples=40)
@given(masks)
def test_compressed_run_lengths_come_back(mask: np.ndarray) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert (decode_segmentation(packed, *mask.shape) == mask).all()
    text = {"size": packed["size"], "counts": packed["counts"].decode()}
    assert (decode_segmentation(text, *mask.shape) == mask).all()


def test_the_outline_is_close_to_pycocotools() -> None:
    coco = pytest.importorskip("pycocotools.mask")
    polygon = [12.3, 8.1, 60.7, 10.2, 70.4, 44.9, 40.0, 66.6, 15.5, 50.2]
    theirs = coco.decode(coco.frPyObjects([polygon], 80, 90))[..., 0].astype(bool)
    ours = decode_segmentation([polygon], 80, 90)
    assert (theirs ^ ours).sum() < 0.05 * ours.sum()


@pytest.mark.parametrize("counts", ["", "9", "00000", "zzzz", "o9999", "é", b"\xff\xfe", "P"])
def test_damaged_compressed_run_lengths_are_refused(counts: str | bytes) -> None:
    pytest.importorskip("pycocotools.mask")
    with pytest.raises(InputError, match="run lengths"):
        decode_segmentation({"size": [4, 5], "counts": counts}, 4, 5)


def test_compressed_run_lengths_without_pycocotools_name_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.startswith("pycocotools"):
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"retinoscope\[coco\]"):
        decode_segmentation({"size": [4, 5], "counts": "d0"}, 4, 5)


@pytest.mark.parametrize(
    "bad",
    [
        "polygon",
        7,
        [[0, 0, 1, 1]],
        [[0, 0, 1, 1, 2]],
        [[0, 0, 1, 1, float("nan"), 2]],
        [["a", "b", "c", "d", "e", "f"]],
        [0, 0, 4, 0, 4, 4],
        {"size": [4, 5]},
        {"counts": [20]},
        {"size": [5, 4], "counts": [20]},
        {"size": [4, 5], "counts": [19]},
        {"size": [4, 5], "counts": [25, -5]},
        {"size": [4, 5], "counts": ["x"]},
    ],
)
def test_what_is_no_segmentation_is_refused(bad: object) -> None:
    with pytest.raises(InputError) as caught:
        decode_segmentation(bad, 4, 5)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_no_polygon_is_an_empty_mask() -> None:
    assert not decode_segmentation([], 4, 5).any()
