"""Ovis2: a visual vocabulary, tiles behind the whole image, learned indicators among them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checks import (
    QUESTION,
    SIZES,
    check_forward,
    check_generate,
    check_paths,
    check_rows,
    picture,
)
from checks_query import output_of
from PIL import Image
from tiny_more import ovis2, ovis2_processor

import retinoscope as rs

ONE = [picture((20, 20))]
TILES = [picture((70, 40))]
PAIR = [picture((30, 70)), picture((24, 20), seed=1)]


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=ovis2(), processor=ovis2_processor())


@pytest.mark.parametrize("images", [ONE, TILES, PAIR], ids=["one", "tiles", "two"])
def test_equals_the_library(vlm, images):
    check_forward(vlm, images)
    check_generate(vlm, images)


@pytest.mark.parametrize("images", [ONE, PAIR], ids=["one", "two"])
def test_paths_agree(vlm, images):
    assert vlm.capabilities.supports("incremental")
    check_paths(vlm, images)


def test_eager_attention():
    vlm = rs.load(model=ovis2("eager"), processor=ovis2_processor())
    check_forward(vlm, TILES)
    check_rows(vlm, ONE)
    check_paths(vlm, ONE)


def test_attention_rows(vlm):
    check_rows(vlm, ONE)


def test_indicators_are_visual_tokens_without_a_place(vlm):
    run = vlm.run(vlm.prompt(TILES, QUESTION))
    layout = run.image.layout
    marks = [
        place for place, tile in zip(run.image.positions, layout.tiles, strict=True) if tile < 0
    ]
    words = [run.tokens[place] for place in marks]
    assert words[:2] == ["<IMG_START>", "<IMG_GRID>"]
    assert words[-1] == "<IMG_END>"
    assert set(words[2:-1]) <= {"<IMG_COL>", "<IMG_ROW>"}
    assert len(words) == 3 + layout.tiles.max() - 1
    assert layout.unplaced.sum() == len(marks)
    # They are vectors of the visual vocabulary, not of the decoder's.
    table = vlm.model.model.visual_embeddings_table.weight
    assert torch.equal(run.hidden(0)[marks[0]], table[-5])
    assert torch.equal(run.hidden(0)[marks[-1]], table[-1])


@pytest.mark.parametrize("size", SIZES.values(), ids=list(SIZES))
def test_layout(vlm, size):
    """In every frame, changing pixels changes the patches of the token that claims them most."""
    image = picture(size)
    (layout,) = vlm.prompt([image], QUESTION).inputs.layouts
    embeddings = vlm.model.model.vision_tower.transformer.embeddings.patch_embedding

    def patches(image):
        pixels = vlm.adapter.preprocess(image)
        output = output_of(embeddings, lambda: vlm.adapter.encode_images([pixels]))
        squares = output.unfold(2, 2, 2).unfold(3, 2, 2)
        return squares.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)

    before = patches(image)
    assert len(before) == layout.tiles.max() + 1
    for frames in (layout.tiles == 0, layout.tiles > 0):
        boxes = layout.boxes[frames]
        area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).sum()
        assert not len(boxes) or np.isclose(area, size[0] * size[1])
    rng = np.random.default_rng(0)
    for frame in range(len(before)):
        boxes = layout.boxes[layout.tiles == frame]
        for token in rng.choice(len(boxes), 4, replace=False):
            x0, y0 = np.floor(boxes[token, :2] + 1e-6).astype(int)
            x1, y1 = np.ceil(boxes[token, 2:] - 1e-6).astype(int)
            array = np.array(image)
            array[y0:y1, x0:x1] = np.where(array[y0:y1, x0:x1] < 128, 255, 0)
            change = (patches(Image.fromarray(array)) - before)[frame].norm(dim=-1)
            most = int(change.argmax())
            x, y = (boxes[most, :2] + boxes[most, 2:]) / 2
            # Where a token is not much larger than a pixel, its neighbours change as well.
            assert x0 - 1 <= x <= x1 + 1, (frame, token, most)
            assert y0 - 1 <= y <= y1 + 1, (frame, token, most)
            if min(boxes[token, 2:] - boxes[token, :2]) >= 2:
                assert most == token, (frame, token, most)


def test_text_only(vlm):
    run = vlm.run(vlm.prompt(None, QUESTION))
    with torch.no_grad():
        wanted = vlm.model(input_ids=run.inputs.input_ids[None]).logits[0, -1]
    assert torch.allclose(run.logits, wanted, atol=1e-5)


def test_refusals():
    with pytest.raises(rs.CapabilityError, match="at random"):
        rs.load(
            model=ovis2(vision={"tokenize_function": "gumbel_argmax"}), processor=ovis2_processor()
        )
    with pytest.raises(rs.CapabilityError, match="do_center_crop"):
        rs.load(model=ovis2(), processor=ovis2_processor(do_center_crop=True))
    model = ovis2()
    model.config.visual_indicator_token_ids = [1, 2, 3, 4, 5]
    other = rs.load(model=model, processor=ovis2_processor())
    with pytest.raises(rs.CapabilityError, match="belongs to another model"):
        other.run(other.prompt(ONE, QUESTION))
    few = rs.load(model=ovis2(), processor=ovis2_processor(tokens=9))
    with pytest.raises(rs.CapabilityError, match="belongs to another model"):
        few.prompt(ONE, QUESTION)


def test_gradients(vlm):
    run = vlm.run(vlm.prompt(ONE, QUESTION))
    assert rs.tokens.by_gradient(run, 5, n=3, steps=50).completeness < 0.2
