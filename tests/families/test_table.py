"""docs/models.md is what the tiny models of all families say."""

from __future__ import annotations

import numpy as np
import pytest
from checks import picture
from table import GRID, NONE, OUTSIDE, PAGE, ROWS, TILES, page

from retinoscope.models import ADAPTERS
from retinoscope.models._attributes import lasting_settings


def test_the_page_is_up_to_date():
    assert page() == PAGE.read_text("utf-8"), (
        "run `python -m tests.families.table > docs/models.md`"
    )


def test_every_family_has_a_row():
    configs = [row.model().config for row in ROWS]
    found = [next((one for one in ADAPTERS if one.takes(config)), None) for config in configs]
    assert found[-1] is None  # the generic adapter's row
    assert sorted(one.family for one in found[:-1] if one) == sorted(one.family for one in ADAPTERS)


@pytest.mark.parametrize("row", [row for row in ROWS if row.own], ids=lambda row: row.test)
def test_visual_tokens_lie_where_the_page_says(row):
    layouts = row.load().prompt(picture((70, 40)), "What is the color").inputs.layouts
    if row.places == OUTSIDE:
        assert layouts == ()
        return
    (layout,) = layouts
    placed = layout.tiles[~layout.unplaced]
    kind = NONE if not len(placed) else GRID if len(np.unique(placed)) == 1 else TILES
    assert kind == row.places
    assert (layout.grid is not None) == (kind == GRID)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.test)
def test_the_named_test_is_there(row):
    assert (PAGE.parents[1] / "tests" / row.test).is_file()


@pytest.mark.parametrize("row", [row for row in ROWS if row.own], ids=lambda row: row.test)
def test_settings_are_as_the_configuration_says(row):
    """A library's own modules then add nothing to a fingerprint, also after a run."""
    vlm = row.load()
    before = vlm.fingerprint
    assert lasting_settings(vlm.model) == {}
    vlm.run(vlm.prompt(picture((70, 40)), "What is the color")).generate(2)
    assert lasting_settings(vlm.model) == {}
    assert vlm.fingerprint == before
