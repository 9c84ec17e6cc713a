"""Where visual tokens lie: checked by changing pixels, not by repeating the arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import LlavaImageProcessorPil, LlavaProcessor

import retinoscope as rs
from retinoscope.models import Layout, adapter_for

SIZES = [(28, 28), (56, 56), (50, 83), (97, 41), (64, 480), (20, 17)]


def _patches(vlm: rs.VLM, image: Image.Image) -> torch.Tensor:
    """(n, d) patch embeddings: what one token sees of the image before any token mixes."""
    pixels = vlm.adapter.preprocess(image)["pixel_values"]
    tower = vlm.model.model.vision_tower
    vision = getattr(tower, "vision_model", tower)
    return vision.embeddings.patch_embedding(pixels[None]).flatten(2)[0].T


def _layout(vlm: rs.VLM, image: Image.Image) -> Layout:
    return vlm.adapter.layout(image.size, vlm.adapter.preprocess(image))


def _check_by_pixels(vlm: rs.VLM, image: Image.Image) -> None:
    """Changing one box's pixels moves most the patch that claims it; the far ones do not move."""
    layout = _layout(vlm, image)
    before = _patches(vlm, image)
    rng = np.random.default_rng(0)
    placed = np.flatnonzero(~layout.unplaced)
    sides = layout.boxes[placed, 2:] - layout.boxes[placed, :2]
    # A patch that lies mostly in the padding has too few pixels of its own.
    whole = placed[(sides > 0.6 * sides.max(0)).all(1)]
    for index in rng.choice(whole, 6, replace=False):
        x0, y0, x1, y1 = layout.boxes[index]
        pixels = np.array(image)
        inside = (slice(round(y0), round(y1)), slice(round(x0), round(x1)))
        pixels[inside] = 255 - (pixels[inside] > 127) * 255
        moved = (_patches(vlm, Image.fromarray(pixels)) - before).norm(dim=1)
        assert int(moved.argmax()) == index
        far = (abs(layout.rows - layout.rows[index]) > 1) | (
            abs(layout.columns - layout.columns[index]) > 1
        )
        # Bicubic resampling reaches two pixels of the smaller image beyond a box.
        assert moved[torch.from_numpy(far)].max() == 0


@pytest.mark.parametrize("size", SIZES)
def test_pixels_of_a_box_move_its_token(
    tiny: rs.VLM, noise_image: Callable[..., Image.Image], size: tuple[int, int]
) -> None:
    _check_by_pixels(tiny, noise_image(*size))


@pytest.mark.parametrize(
    "options",
    [
        {"size": {"height": 28, "width": 28}},
        {"size": {"shortest_edge": 36}},
        {"size": {"shortest_edge": 20}},
        {"do_resize": False},
    ],
    ids=["stretched", "cropped", "padded", "unresized"],
)
def test_pixels_move_tokens_under_other_settings(
    options: dict[str, object], build: SimpleNamespace, noise_image: Callable[..., Image.Image]
) -> None:
    vlm = rs.load(model=build.model(), processor=build.processor(**options), check=False)
    for size in ((40, 40), (37, 52)):
        _check_by_pixels(vlm, noise_image(*size))


def test_padding_to_a_square_leaves_tokens_unplaced(
    build: SimpleNamespace,
    noise_image: Callable[..., Image.Image],
) -> None:
    processor = LlavaProcessor(
        image_processor=LlavaImageProcessorPil(
            do_pad=True,
            size={"shortest_edge": 28},
            crop_size={"height": 28, "width": 28},
        ),
        tokenizer=build.tokenizer(),
        patch_size=4,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    vlm = rs.load(model=build.model(), processor=processor, check=False)
    image = noise_image(30, 90)
    _check_by_pixels(vlm, image)
    layout = _layout(vlm, image)
    # A third of the square is image: columns 2 to 4 of 7 and no others have a part of it.
    assert layout.unplaced.sum() == 4 * 7
    assert set(layout.columns[~layout.unplaced]) == {2, 3, 4}
    assert layout.rows.min() == 0


def test_boxes_tile_the_visible_part_exactly(
    tiny: rs.VLM, noise_image: Callable[..., Image.Image]
) -> None:
    image = noise_image(427, 640)
    layout = _layout(tiny, image)
    boxes = layout.boxes.reshape(7, 7, 4)
    np.testing.assert_array_equal(boxes[:, 1:, 0], boxes[:, :-1, 2])
    np.testing.assert_array_equal(boxes[1:, :, 1], boxes[:-1, :, 3])
    # No drift: the last column ends at the right border of the image.
    assert boxes[0, -1, 2] == pytest.approx(427)
    assert boxes[0, 0, 0] == 0
    middle = (boxes[0, 0, 1] + boxes[-1, 0, 3]) / 2
    # The crop is centred up to the half pixel that the processor rounds away.
    assert abs(middle - 320) <= 427 / 28


def test_a_class_token_is_unplaced(
    build: SimpleNamespace, tiny_processor: LlavaProcessor, square: Image.Image
) -> None:
    model = build.model()
    model.config.vision_feature_select_strategy = "full"
    run = (vlm := rs.load(model=model, processor=tiny_processor)).run(vlm.prompt(square, "a cat"))
    assert len(run.image) == 50
    assert run.image.layout.unplaced.tolist() == [True] + [False] * 49
    assert run.image.at([0]).grow(2) == run.image.at([0])
    assert 0 not in {run.image.positions.index(p) for p in run.image.covering((0, 0, 56, 56))}


def test_the_capability_table_prints_reasons(
    build: SimpleNamespace, tiny_processor: LlavaProcessor
) -> None:
    found = adapter_for(build.model(), tiny_processor).capabilities()
    assert "LlavaForConditionalGeneration" in str(found)
    assert "the check failed" not in str(found)
    assert "the check failed" in str(found.refusing("incremental", "the check failed"))


def test_a_model_in_training_is_refused(
    build: SimpleNamespace, tiny_processor: LlavaProcessor
) -> None:
    with pytest.raises(rs.InputError, match=r"model\.eval"):
        adapter_for(build.model().train(), tiny_processor)
