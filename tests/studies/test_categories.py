"""Categories of locations come back as they were kept."""

from __future__ import annotations

import numpy as np
import pytest

from retinoscope.errors import InputError
from retinoscope.store import RunDirectory, new_manifest
from retinoscope.studies import Categories, read_categories, write_categories

BOXES = np.array([[0, 0, 4, 4], [4, 0, 8, 4], [np.nan] * 4])


def _categories(values) -> Categories:
    layers = ("x", "truth")
    return Categories("groups", ("a", "b"), layers, np.array(values), BOXES, (1, 2), "so", "parts")


def test_what_was_kept_comes_back(tmp_path) -> None:
    manifest = new_manifest(
        study="group", parameters={}, model="m", data="d", seeds=0, dtype="float32", device="cpu"
    )
    with RunDirectory.open(tmp_path / "run", manifest, schema=1) as directory:
        write_categories(directory, "a/../b", [_categories([[0, 1, -1], [1, 1, -1]])])
    (found,) = read_categories(tmp_path / "run", "a/../b")
    assert found.values.tolist() == [[0, 1, -1], [1, 1, -1]]
    assert (found.name, found.classes, found.layers) == ("groups", ("a", "b"), ("x", "truth"))
    assert (found.grid, found.note, found.task) == ((1, 2), "so", "parts")
    np.testing.assert_array_equal(found.boxes, BOXES)
    assert read_categories(tmp_path / "run", "another") == ()
    (file,) = (tmp_path / "run" / "categories").iterdir()
    file.write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        read_categories(tmp_path / "run", "a/../b")


def test_categories_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(2, 3\), got \(1, 3\)"):
        _categories([[0, 1, 1]])
    with pytest.raises(InputError, match="-1 to 1, got 0 to 2"):
        _categories([[0, 1, 1], [2, 0, 0]])
