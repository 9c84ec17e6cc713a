"""From boxes to codes, and back."""

from __future__ import annotations

import numpy as np
import pytest

from retinoscope.errors import InputError
from retinoscope.interfaces.codes import CodedImage, find_region, heat_of, overlap_of

GRID, PATCH = 5, 10


def image(codes: dict[int, int], ground: int = 0, kept: list[int] | None = None) -> CodedImage:
    """Patches with these codes, `ground` elsewhere; only `kept` patches are tokens."""
    home = np.array(sorted(range(GRID**2) if kept is None else kept))
    return CodedImage(np.array([codes.get(patch, ground) for patch in home]), home, GRID, PATCH)


def test_a_patch_belongs_to_a_box_from_a_quarter_on() -> None:
    whole = image({})
    assert whole.tokens_in((10, 10, 30, 20)).tolist() == [6, 7]
    assert whole.tokens_in((12, 10, 23, 20)).tolist() == [6, 7]
    assert whole.tokens_in((12, 10, 22, 20)).tolist() == [6]
    assert whole.tokens_in((0, 0, 50, 50)).tolist() == list(range(25))


def test_a_box_without_a_token_gets_the_nearest_one_in_two_dimensions() -> None:
    """Patch 9 ends the second row: in reading order it is next to 10, on the other side."""
    few = image({}, kept=[9, 15])
    assert few.home[few.tokens_in((1, 21, 9, 29))].tolist() == [15]


def test_codes_that_lie_together_are_found() -> None:
    seen = image({6: 1, 7: 2, 11: 1, 24: 1})
    found = find_region(seen, [1, 2, 1])
    assert seen.home[found.tokens].tolist() == [6, 7, 11]
    assert found.box == (10, 10, 30, 30)
    assert found.naive == (10, 10, 50, 50)


def test_corners_touch_and_ties_go_to_the_smaller() -> None:
    seen = image({0: 1, 6: 1, 12: 1, 24: 1})
    assert seen.home[find_region(seen, [1]).tokens].tolist() == [24]
    assert seen.home[find_region(seen, [1, 1]).tokens].tolist() == [0, 6, 12]


def test_a_border_that_is_hardly_covered_gives_half_a_patch_away() -> None:
    seen = image({6: 1, 7: 1, 11: 1, 12: 1, 13: 1, 16: 1, 17: 1})
    found = find_region(seen, [1] * 7)
    assert found.box == (10, 10, 40, 40)
    assert found.tightened == (10, 10, 35, 40)


def test_perfect_codes_give_the_best_box_that_patches_can() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        x0, y0 = rng.uniform(0, 25, 2)
        box = (x0, y0, x0 + rng.uniform(15, 25), y0 + rng.uniform(15, 25))
        whole = CodedImage(np.arange(25), np.arange(25), GRID, PATCH)
        tokens = whole.tokens_in(box)
        found = find_region(whole, whole.codes[tokens].tolist())
        assert found.tokens.tolist() == tokens.tolist()
        assert overlap_of(found.box, box) > 0.4


def test_heat_is_the_probability_of_each_tokens_code() -> None:
    seen = image({3: 2, 4: 1})
    heat = heat_of(seen, np.array([[0.1, 0.2, 0.7], [0.0, 0.5, 0.5]]))
    assert heat[[0, 3, 4]] == pytest.approx([0.1, 1.2, 0.7])


def test_overlap_is_over_the_union() -> None:
    assert overlap_of((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7)
    assert overlap_of((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert overlap_of((0, 0, 1, 1), (2, 2, 3, 3)) == 0


@pytest.mark.parametrize(
    ("box", "said"),
    [((10, 10, 10, 20), "got 10 10 10 20"), ((0, 0, 60, 20), "50 x 50 pixels, got 0 0 60 20")],
)
def test_boxes_outside_are_refused(box, said: str) -> None:
    with pytest.raises(InputError, match=said):
        image({}).tokens_in(box)


@pytest.mark.parametrize(
    ("codes", "said"), [([], "at least one code, got none"), ([7], "got none of its 2")]
)
def test_codes_of_nothing_are_refused(codes: list[int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        find_region(image({3: 1}), codes)
