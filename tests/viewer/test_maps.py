"""Maps of categories on the page's tokens."""

from __future__ import annotations

import numpy as np
import pytest

from retinoscope.data import squares
from retinoscope.studies import Categories, Probe, read_categories
from retinoscope.studies.runs import collect
from retinoscope.viewer._categories import category_maps, visual_of_categories
from retinoscope.viewer._json import plain
from retinoscope.viewer._library import Library
from retinoscope.viewer._reopen import Reopened

BOXES = np.array([[0, 0, 4, 4], [4, 0, 8, 4], [0, 4, 4, 8], [4, 4, 8, 8]], float)


def _map(boxes: np.ndarray, values: list[list[int]], grid=None) -> Categories:
    return Categories("m", ("a", "b", "c"), ("x",), np.array(values), boxes, grid)


def test_tokens_have_the_class_of_the_nearest_location() -> None:
    whole = _map(BOXES, [[0, 1, 2, -1]], (2, 2))
    visual = visual_of_categories([whole])
    assert visual is not None
    assert visual.grid == [2, 2]
    (same,) = category_maps([whole], visual)
    assert same.values.tolist() == [[0, 1, 2, -1]]
    halves = np.array([[0, 0, 8, 4], [np.nan] * 4, [0, 4, 8, 8]])
    (other,) = category_maps([_map(halves, [[2, 1, 0]])], visual)
    assert other.values.tolist() == [[2, 2, 0, 0]]
    (none,) = category_maps([_map(np.full((2, 4), np.nan), [[0, 1]])], visual)
    assert none.values.tolist() == [[-1] * 4]
    assert category_maps([whole], None) == []
    assert visual_of_categories([]) is None


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    path = tmp_path_factory.mktemp("probed") / "probe"
    Probe(
        "planted:one-hot-patch",
        squares(30),
        tasks=("semantic", "instances"),
        layers=("projector",),
        seeds=1,
        controls=False,
    ).run(path)
    return path


def test_the_microscope_shows_what_probes_say(probed) -> None:
    library = Library(collect(probed), Reopened(no_model="none", no_data="none"))
    manifest = library.manifest()
    assert [study.name for study in manifest.studies] == ["probe"]
    assert len(manifest.samples) == 6, "those that were scored"
    document = library.shown(0).document
    assert document.rows == []
    names = [one.name for one in document.categories]
    assert names == ["semantic, planted:one-hot-patch", "instances, planted:one-hot-patch"]
    semantic = document.categories[0]
    assert semantic.layers == ("projector", "truth")
    assert semantic.values.shape == (2, 36)
    assert (semantic.values[0] == semantic.values[1]).all(), "the patches hold their labels"
    assert document.visual is not None
    assert document.visual.grid == [6, 6]
    assert plain(document), "goes to the page"
    kept = read_categories(probed, document.id)
    assert (kept[1].values[1] >= 0).sum() in (8, 12), "two or three squares of four patches"
    table = library.document("table-probe")
    assert plain(table)
