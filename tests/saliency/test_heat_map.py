"""Heat maps: pixels through boxes, tables, pictures, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet
from scipy.ndimage import map_coordinates

import retinoscope as rs
from retinoscope.saliency import HeatMap


def grid(rows: int, columns: int, width: float, height: float, left: float = 0) -> np.ndarray:
    """Boxes of a row-major grid that fills a rectangle."""
    x, y = np.meshgrid(np.arange(columns) * width / columns, np.arange(rows) * height / rows)
    edges = [x + left, y, x + left + width / columns, y + height / rows]
    return np.stack([edge.ravel() for edge in edges], 1)


def make(
    boxes: np.ndarray, values: np.ndarray, size: tuple[int, int] = (12, 9), **settings: object
) -> HeatMap:
    return HeatMap(Image.new("RGB", size, "gray"), boxes, values, "method", "'cat'", settings)


def test_nearest_gives_each_pixel_its_token() -> None:
    values = np.arange(12.0)
    found = make(grid(3, 4, 12, 9), values).pixels("nearest")
    np.testing.assert_array_equal(found, np.kron(values.reshape(3, 4), np.ones((3, 3))))


def test_bilinear_on_a_grid_is_bilinear_interpolation() -> None:
    values = np.random.default_rng(0).normal(size=(3, 4))
    found = make(grid(3, 4, 12, 9), values.ravel()).pixels()
    rows, columns = np.mgrid[:9, :12]
    places = [(rows + 0.5) / 3 - 0.5, (columns + 0.5) / 3 - 0.5]
    wanted = map_coordinates(values, places, order=1, mode="nearest")
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_a_constant_map_is_constant_where_the_model_sees_and_0_elsewhere() -> None:
    # A crop: the outer columns of the image are not seen; a token without a place is left out.
    boxes = np.concatenate([np.full((1, 4), np.nan), grid(3, 2, 6, 9, left=3)])
    found = make(boxes, np.full(7, 2.5))
    for mode in ("bilinear", "nearest"):
        pixels = found.pixels(mode)  # type: ignore[arg-type]
        assert pixels.shape == (9, 12)
        np.testing.assert_allclose(pixels[:, 3:9], 2.5)
        assert not pixels[:, :3].any()
        assert not pixels[:, 9:].any()
    np.testing.assert_array_equal(found.covered.any(0), [False] * 3 + [True] * 6 + [False] * 3)


def test_tiles_that_lie_on_each_other_are_averaged() -> None:
    boxes = np.concatenate([grid(1, 1, 12, 9), grid(1, 2, 12, 9)])
    found = make(boxes, np.array([1.0, 3.0, 5.0])).pixels("nearest")
    np.testing.assert_array_equal(found[:, :6], 2.0)
    np.testing.assert_array_equal(found[:, 6:], 3.0)


def test_boxes_cut_at_the_border_leave_no_gap() -> None:
    boxes = np.clip(grid(3, 3, 14, 9, left=-1), 0, 12)
    found = make(boxes, np.ones(9)).pixels()
    np.testing.assert_allclose(found, 1.0)


def test_the_table_has_all_of_it(tmp_path: Path) -> None:
    boxes = np.concatenate([np.full((1, 4), np.nan), grid(1, 2, 12, 9)])
    found = make(boxes, np.array([0.5, 1.0, -2.0]), layer=3)
    table = parquet.read_table(found.save(tmp_path / "map.parquet"))
    columns = table.to_pydict()
    assert columns["index"] == [0, 1, 2]
    assert columns["x0"] == [None, 0.0, 6.0]
    assert columns["value"] == [0.5, 1.0, -2.0]
    facts = json.loads(table.schema.metadata[b"retinoscope"])
    assert facts == {
        "method": "method",
        "target": "'cat'",
        "settings": {"layer": 3},
        "size": [12, 9],
    }


def test_the_picture_lies_over_the_image(tmp_path: Path) -> None:
    found = make(grid(3, 4, 12, 9), np.arange(12.0) - 4)
    figure = found.plot()
    (tiles,) = figure.axes[0].collections
    np.testing.assert_array_equal(tiles.get_array(), found.values)
    assert tiles.get_clim() == (-7.0, 7.0)
    assert figure.axes[0].get_title() == "'cat'"
    assert found.save(tmp_path / "map.png").stat().st_size > 1000


def test_refusals(tmp_path: Path) -> None:
    boxes = grid(1, 2, 12, 9)
    with pytest.raises(rs.InputError, match="one box of four numbers per value"):
        make(boxes, np.zeros(3))
    with pytest.raises(rs.InputError, match="finite values, got nan at token 1"):
        make(boxes, np.array([0.0, np.nan]))
    whole = make(boxes, np.zeros(2))
    with pytest.raises(rs.InputError, match="'bilinear' or 'nearest', got 'cubic'"):
        whole.pixels("cubic")  # type: ignore[arg-type]
    with pytest.raises(rs.InputError, match=r"ends in \.parquet"):
        whole.save(tmp_path / "map.csv")
    with pytest.raises(rs.InputError, match="cannot be written"):
        whole.save(tmp_path / "nowhere" / "map.parquet")
    nowhere = make(np.full((2, 4), np.nan), np.zeros(2))
    for draw in (nowhere.pixels, nowhere.plot):
        with pytest.raises(rs.InputError, match="with a place in the image"):
            draw()
    with pytest.raises(ValueError, match="read-only"):
        whole.values[0] = 1.0


def test_the_arrays_that_were_given_stay_writable() -> None:
    values = np.zeros(2)
    make(grid(1, 2, 12, 9), values)
    values[0] = 1.0
