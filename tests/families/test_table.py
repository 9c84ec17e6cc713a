"""Every family is in the table, and docs/models.md is what the tiny models say."""

from __future__ import annotations

import numpy as np
from checks import picture, run_of
from models_page import PAGE, page
from row import GRID, NONE, OUTSIDE, SOME, TILES, loaded, over
from table import ROWS

from retinoscope.models import ADAPTERS
from retinoscope.models._attributes import lasting_settings


def test_the_page_is_up_to_date():
    assert page() == PAGE.read_text("utf-8"), (
        "run `python -m tests.families.models_page > docs/models.md`"
    )


def test_every_family_has_a_row():
    configs = [row.model().config for row in ROWS]
    found = [next((one for one in ADAPTERS if one.takes(config)), None) for config in configs]
    assert found[-1] is None  # the generic adapter's row
    assert {one.family for one in found[:-1] if one} == {one.family for one in ADAPTERS}


@over(ROWS)
def test_visual_tokens_lie_where_the_page_says(row):
    layouts = loaded(row).prompt(picture((70, 40)), "What is the color").inputs.layouts
    if row.places == OUTSIDE:
        assert layouts == ()
        return
    (layout,) = layouts
    placed = layout.tiles[~layout.unplaced]
    one = SOME if layout.grid is None else GRID
    kind = NONE if not len(placed) else one if len(np.unique(placed)) == 1 else TILES
    assert kind == row.places
    assert (layout.grid is not None) == (kind == GRID)


def test_the_named_tests_are_there():
    for row in ROWS:
        for file in row.tests:
            assert (PAGE.parents[1] / "tests" / file).is_file()


@over(ROWS)
def test_settings_are_as_the_configuration_says(row):
    """A library's own modules then add nothing to a fingerprint, also after a run."""
    vlm = row.fresh()
    before = vlm.fingerprint
    assert lasting_settings(vlm.model) == {}
    run_of(vlm, [picture((70, 40))]).generate(2)
    assert lasting_settings(vlm.model) == {}
    assert vlm.fingerprint == before
