"""Idefics3: tiles with row and column tokens between them, and a global image."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch
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
from tiny_tiles import idefics3, idefics3_processor
from transformers import AutoProcessor

import retinoscope as rs

LARGE, LONG = picture((60, 40)), picture((20, 70), seed=1)


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=idefics3(), processor=idefics3_processor())


def folded(output):
    """Squares of 2 x 2 patches of each tile, tile by tile."""
    squares = output.unfold(2, 2, 2).unfold(3, 2, 2)
    return squares.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)


@pytest.mark.parametrize("images", [[LARGE], [LARGE, LONG]], ids=["one", "two"])
def test_equals_the_library(vlm, images):
    check_forward(vlm, images)
    check_generate(vlm, images)


def test_paths_agree(vlm):
    assert vlm.capabilities.supports("incremental")
    check_paths(vlm, [LARGE])


def test_paths_agree_for_two_images(vlm):
    check_paths(vlm, [LONG, LARGE])


def test_attention_rows(vlm):
    check_rows(vlm, [LARGE])


def test_eager_attention():
    vlm = rs.load(model=idefics3("eager"), processor=idefics3_processor())
    check_forward(vlm, [LARGE])
    check_paths(vlm, [LARGE])


@pytest.mark.parametrize("name", list(SIZES))
def test_layout(vlm, name):
    module = vlm.model.model.vision_model.embeddings.patch_embedding
    check_layout(vlm, module, folded, [SIZES[name]])


def test_an_image_without_splitting_is_one_tile():
    vlm = rs.load(model=idefics3(), processor=idefics3_processor(do_image_splitting=False))
    run = check_forward(vlm, [LARGE])
    assert run.inputs.layouts[0].grid == (2, 2)
    module = vlm.model.model.vision_model.embeddings.patch_embedding
    check_layout(vlm, module, folded, list(SIZES.values()))


def test_an_image_no_larger_than_a_tile_stays_whole():
    processor = idefics3_processor(size={"longest_edge": 16})
    vlm = rs.load(model=idefics3(), processor=processor)
    run = check_forward(vlm, [LARGE])
    assert run.inputs.layouts[0].grid == (2, 2)


def test_tiles_and_global_image(vlm):
    (layout,) = vlm.prompt([LARGE], QUESTION).inputs.layouts
    assert layout.grid is None
    whole = layout.tiles.max()
    assert whole == 6
    for tiles in (layout.tiles < whole, layout.tiles == whole):
        boxes = layout.boxes[tiles]
        assert np.isclose(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).sum(), 60 * 40)
    # Rows of tiles lie below each other, tiles of a row beside each other.
    assert np.allclose(layout.boxes[layout.tiles == 1].min(0)[:2], [20, 0])
    assert np.allclose(layout.boxes[layout.tiles == 3].min(0)[:2], [0, 20])


def test_markers_between_tiles_are_text(vlm):
    run = vlm.run(vlm.prompt([LARGE], QUESTION))
    tokens = [run.tokens[place] for place in run.positions["text"].positions]
    assert "<row_2_col_3>" in tokens
    assert "<global-img>" in tokens
    assert "<image>" not in tokens
    assert len(run.positions["image"]) == 7 * 4


def test_text_only(vlm):
    run = vlm.run(vlm.prompt(None, QUESTION))
    with torch.no_grad():
        wanted = vlm.model(input_ids=run.inputs.input_ids[None]).logits[0, -1]
    assert float((run.logits - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())


def test_prompts_about_one_image_share_it(vlm):
    runs = vlm.run_many([LARGE], [QUESTION, "Is there a dog in this image?"])
    assert runs.shared > 7 * 4
    alone = vlm.run(vlm.prompt([LARGE], "Is there a dog in this image?"))
    assert float((runs[1].logits - alone.logits).abs().max()) <= 1e-4 * float(
        alone.logits.abs().max()
    )


def test_loads_from_a_folder(vlm, tmp_path):
    vlm.model.save_pretrained(tmp_path)
    vlm.processor.save_pretrained(tmp_path)
    try:
        AutoProcessor.from_pretrained(tmp_path, backend="pil")
    except ValueError as error:
        # Without torchvision 5.10.1 does not find the family's PIL image processor, 5.23 does.
        if "Unrecognized image processor" not in str(error) or find_spec("torchvision"):
            raise
        with pytest.raises(rs.errors.InputError, match="expected a processor beside the model"):
            rs.load(tmp_path)
        pytest.skip("this version of the library opens no saved Idefics3 without torchvision")
    again = rs.load(tmp_path)
    assert again.capabilities.family == "Idefics3"
    mine, theirs = (one.run(one.prompt([LARGE], QUESTION)) for one in (vlm, again))
    assert torch.equal(mine.inputs.input_ids, theirs.inputs.input_ids)
    pixels = [run.inputs.pixels[0]["pixel_values"] for run in (mine, theirs)]
    assert torch.equal(*pixels)
    # Weights at other addresses in memory round otherwise.
    scale = float(mine.logits.abs().max())
    assert float((mine.logits - theirs.logits).abs().max()) <= 1e-5 * scale
