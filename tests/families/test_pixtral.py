"""Pixtral: images of any size, a token of its own behind each row of visual tokens."""

from __future__ import annotations

import pytest
from checks import (
    QUESTION,
    SIZES,
    check_forward,
    check_generate,
    check_layout,
    check_paths,
    check_rows,
    picture,
)
from tiny_tiles import pixtral, pixtral_processor
from transformers import LlavaConfig

import retinoscope as rs
from retinoscope.models import ADAPTERS
from retinoscope.models._llava import LlavaAdapter
from retinoscope.models._pixtral import PixtralAdapter

WIDE, HIGH = picture((40, 24)), picture((20, 37), seed=1)


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=pixtral(), processor=pixtral_processor())


def test_family(vlm):
    assert vlm.model.config.model_type == "llava"
    assert vlm.capabilities.family == "Pixtral"


@pytest.mark.parametrize("images", [[WIDE], [WIDE, HIGH]], ids=["one", "two"])
def test_equals_the_library(vlm, images):
    check_forward(vlm, images)
    check_generate(vlm, images)


@pytest.mark.parametrize("images", [[WIDE], [HIGH, WIDE]], ids=["one", "two"])
def test_paths_agree(vlm, images):
    assert vlm.capabilities.supports("incremental")
    check_paths(vlm, images)


def test_attention_rows(vlm):
    check_rows(vlm, [WIDE])


def test_eager_attention():
    vlm = rs.load(model=pixtral("eager"), processor=pixtral_processor())
    check_forward(vlm, [WIDE])
    check_paths(vlm, [HIGH])


def test_sliding_windows():
    vlm = rs.load(model=pixtral(sliding_window=24), processor=pixtral_processor())
    run = check_forward(vlm, [WIDE])
    assert run.n > 48
    check_generate(vlm, [WIDE])
    check_paths(vlm, [WIDE], windows=True)


def test_other_vision_towers_are_not_taken():
    config = LlavaConfig(vision_config={"model_type": "clip_vision_model"})
    assert not PixtralAdapter.takes(config)
    assert PixtralAdapter.takes(LlavaConfig(vision_config={"model_type": "pixtral"}))
    (first, *_) = [adapter for adapter in ADAPTERS if adapter.takes(config)]
    assert first is LlavaAdapter


@pytest.mark.parametrize("name", list(SIZES))
def test_layout(vlm, name):
    def patches(output):
        return output[0].flatten(1).T

    check_layout(vlm, vlm.model.model.vision_tower.patch_conv, patches, [SIZES[name]])


def test_row_ends_are_text(vlm):
    run = vlm.run(vlm.prompt([WIDE], QUESTION))
    (layout,) = run.inputs.layouts
    assert layout.grid == (6, 10)
    assert not layout.unplaced.any()
    places = run.inputs.image_positions[0]
    ends = [place for place in range(places[0], places[-1] + 2) if place not in places]
    assert [run.tokens[place] for place in ends] == ["[IMG_BREAK]"] * 5 + ["[IMG_END]"]
    assert all(place in run.positions["text"].positions for place in ends)
    # Each row's end stands directly behind its last visual token.
    assert [places.index(place - 1) for place in ends] == [9, 19, 29, 39, 49, 59]


def test_an_image_of_which_nothing_is_left_is_refused(vlm):
    with pytest.raises(rs.errors.InputError, match="crop it"):
        vlm.prompt([picture((600, 2))], QUESTION)


def test_a_processor_with_other_patches_is_refused(vlm):
    vlm = rs.load(model=pixtral(), processor=pixtral_processor(merge=2))
    with pytest.raises(rs.errors.CapabilityError, match="another model"):
        vlm.prompt([WIDE], QUESTION)
