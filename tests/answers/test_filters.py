import numpy as np
import pytest
from PIL import Image

from retinoscope.answers.hallucination import HallucinationFilter, replace_pixels
from retinoscope.data import Object, Sample
from retinoscope.errors import InputError
from retinoscope.models import Layout

IMAGE = Image.fromarray(np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3))
MASK = np.zeros((20, 30), bool)
MASK[2:9, 12:14] = True
CAR = Object("car", MASK, (12, 2, 14, 9))


def sample_of(obj):
    return Sample("one", IMAGE, (obj,))


SAMPLE = sample_of(CAR)
BOXES = [(0.0, 0.0, 5.0, 5.0), (5.0, 0.0, 10.0, 5.0), (float("nan"),) * 4]


def grid(n, left=5.0, side=20.0, size=(30, 20)):
    """n x n tokens over a square."""
    rows, columns = (axis.ravel() for axis in np.mgrid[:n, :n])
    boxes = np.stack([columns, rows, columns + 1, rows + 1], 1) * side / n + [left, 0, left, 0]
    return Layout(size, boxes, rows, columns, rows * 0, (n, n))


def test_only_the_boxes_change_and_all_get_the_same_tile():
    before, after = np.asarray(IMAGE), np.asarray(replace_pixels(IMAGE, BOXES, "noise", seed=3))
    changed = (before != after).any(-1)
    assert changed[:5, :10].mean() > 0.9
    assert not changed[5:].any()
    assert not changed[:, 10:].any()
    assert (after[:5, :5] == after[:5, 5:10]).all()
    assert np.asarray(replace_pixels(IMAGE, BOXES, "noise", seed=3)).tobytes() == after.tobytes()
    assert np.asarray(replace_pixels(IMAGE, BOXES, "noise", seed=4)).tobytes() != after.tobytes()


def test_grey_is_128_and_the_original_is_left_alone():
    before = np.asarray(IMAGE).copy()
    after = np.asarray(replace_pixels(IMAGE, BOXES, "grey"))
    assert (after[:5, :10] == 128).all()
    assert (np.asarray(IMAGE) == before).all()


def test_fractional_boxes_cover_every_pixel_they_touch_and_are_cut_at_the_border():
    after = np.asarray(replace_pixels(IMAGE, [(27.5, 18.5, 33.0, 22.0)], "grey"))
    assert (after[18:, 27:] == 128).all()


def test_nothing_to_replace_is_refused():
    with pytest.raises(InputError, match="nothing to replace"):
        replace_pixels(IMAGE, [(float("nan"),) * 4])


@pytest.mark.parametrize(
    ("captions", "kept"),
    [
        (("a red car.", "a road."), True),
        (("a red car.", "a red car."), False),
        (("a road.", "a road."), False),
        (("a road.", "a car."), False),
    ],
)
def test_kept_if_right_before_and_wrong_after(captions, kept):
    said = iter(captions)
    outcome = HallucinationFilter().outcome(lambda _: next(said), SAMPLE, 0, grid(4))
    assert outcome.kept is kept
    assert outcome.captions == captions[: 1 + outcome.before]


def test_paper_mode_takes_substrings_and_a_known_caption_is_not_asked_again():
    def describe(image):
        assert image is not IMAGE
        return "nothing"

    paper = HallucinationFilter(mode="paper").outcome
    assert paper(describe, SAMPLE, 0, grid(4), original="carrying").kept
    corrected = HallucinationFilter().outcome
    assert not corrected(describe, SAMPLE, 0, grid(4), original="carrying").kept


def test_paper_mode_replaces_its_patches_in_the_centre_square():
    shown, boxes = HallucinationFilter(mode="paper").seen(IMAGE, CAR, grid(3))
    # The square is columns 5 to 25; three patches of floor(20 / 3) = 6 pixels, so that the object
    # (columns 7 to 9, rows 2 to 9 of the square) lies in the middle one of the first two rows.
    assert shown.tobytes() == IMAGE.crop((5, 0, 25, 20)).tobytes()
    assert boxes == [(6, 0, 12, 6), (6, 6, 12, 12)]
    whole, exact = HallucinationFilter().seen(IMAGE, CAR, grid(3))
    assert whole is IMAGE
    # Tokens of 20 / 3 pixels from column 5: the object lies in 11.7 to 18.3.
    assert np.allclose(exact, [(35 / 3, 0, 55 / 3, 20 / 3), (35 / 3, 20 / 3, 55 / 3, 40 / 3)])


def test_where_the_tokens_are_no_square_grid_paper_mode_replaces_the_exact_boxes():
    one = Layout(
        (30, 20), np.array([[0.0, 0, 30, 20]]), np.zeros(1), np.zeros(1), np.zeros(1), None
    )
    assert HallucinationFilter(mode="paper").seen(IMAGE, CAR, one) == (IMAGE, [(0, 0, 30, 20)])


def test_an_object_without_a_patch_is_dropped_in_paper_mode_as_nothing_is_replaced():
    # The last of three patches ends at pixel 18 of 20: the object beyond it is in none of them.
    mask = np.zeros((20, 30), bool)
    mask[2:9, 23:25] = True
    beyond = Object("car", mask, (23, 2, 25, 9))
    shown = []
    outcome = HallucinationFilter(mode="paper").outcome(
        lambda image: shown.append(image) or "a car", sample_of(beyond), 0, grid(3), "a car"
    )
    assert not outcome.kept
    assert shown[0].tobytes() == IMAGE.crop((5, 0, 25, 20)).tobytes()


def test_unknown_settings_are_refused():
    with pytest.raises(InputError, match="fill"):
        HallucinationFilter(fill="blur")
    with pytest.raises(InputError, match="mode"):
        HallucinationFilter(mode="strict")
