import numpy as np
import pytest
from PIL import Image

from retinoscope.errors import InputError
from retinoscope.studies import HallucinationFilter, replace_pixels

IMAGE = Image.fromarray(np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3))
BOXES = [(0.0, 0.0, 5.0, 5.0), (5.0, 0.0, 10.0, 5.0), (float("nan"),) * 4]


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
    outcome = HallucinationFilter().keep(lambda _: next(said), IMAGE, BOXES, "car", "one")
    assert outcome.kept is kept


def test_paper_mode_takes_substrings_and_a_known_caption_is_not_asked_again():
    def describe(image):
        assert image is not IMAGE
        return "nothing"

    keep = HallucinationFilter(mode="paper").keep
    assert keep(describe, IMAGE, BOXES, "car", "one", original="carrying").kept
    corrected = HallucinationFilter().keep
    assert not corrected(describe, IMAGE, BOXES, "car", "one", original="carrying").kept


def test_unknown_settings_are_refused():
    with pytest.raises(InputError, match="fill"):
        HallucinationFilter(fill="blur")
    with pytest.raises(InputError, match="mode"):
        HallucinationFilter(mode="strict")
