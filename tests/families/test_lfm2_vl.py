"""LFM2-VL: convolutions between attention layers, tiles with a thumbnail."""

from __future__ import annotations

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
from tiny_prefix import lfm2_vl, lfm2_vl_processor

import retinoscope as rs

pytest.importorskip("torchvision", reason="LFM2-VL's image processor has no form without it")

SMALL, LARGE = picture((24, 14)), picture((60, 40))


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=lfm2_vl(), processor=lfm2_vl_processor())


@pytest.mark.parametrize("images", [[SMALL], [LARGE], [LARGE, SMALL]], ids=["one", "tiles", "two"])
def test_equals_the_library(vlm, images):
    check_forward(vlm, images)
    check_generate(vlm, images)


def test_paths_agree(vlm):
    assert not vlm.capabilities.supports("incremental")
    check_paths(vlm, [LARGE])


def test_eager_attention():
    vlm = rs.load(model=lfm2_vl("eager"), processor=lfm2_vl_processor())
    check_forward(vlm, [SMALL])
    check_rows(vlm, [SMALL])


def test_attention_rows(vlm):
    check_rows(vlm, [LARGE])


def test_convolutions_are_refused(vlm):
    run = vlm.run(vlm.prompt([SMALL], QUESTION))
    with pytest.raises(rs.errors.CapabilityError, match="choose"):
        run.attention(1)
    cut = rs.Knockout(run.positions["image"], "last", layers=[1])
    with pytest.raises(rs.errors.CapabilityError, match="choose among the layers 2, 4"):
        run.counterfactuals([cut]).logits  # noqa: B018
    everywhere = rs.Knockout(run.positions["image"], "last")
    with pytest.raises(rs.errors.CapabilityError, match="choose among the layers 2, 4"):
        run.counterfactuals([everywhere]).logits  # noqa: B018


@pytest.mark.parametrize("name", ["square", "landscape", "portrait", "tiny"])
def test_layout(vlm, name):
    shapes = vlm.adapter.preprocess(picture(SIZES[name]))["spatial_shapes"].tolist()
    # A tiny image stays whole, the others become tiles.
    assert (len(shapes) == 1) == (name == "tiny")

    def merged(output: torch.Tensor) -> torch.Tensor:
        found = []
        for tile, (rows, columns) in zip(output, shapes, strict=True):
            grid = tile[: rows * columns].view(rows // 2, 2, columns // 2, 2, -1)
            found.append(grid.permute(0, 2, 1, 3, 4).flatten(2).flatten(0, 1))
        return torch.cat(found)

    module = vlm.model.model.vision_tower.embeddings.patch_embedding
    check_layout(vlm, module, merged, [SIZES[name]])


def test_an_image_that_the_processor_fails_on_is_refused(vlm):
    with pytest.raises(rs.errors.InputError, match="crop it"):
        vlm.prompt([picture(SIZES["very long"])], QUESTION)


def test_tiles_and_thumbnail(vlm):
    (layout,) = vlm.prompt([LARGE], QUESTION).inputs.layouts
    assert layout.grid is None
    thumbnail = layout.tiles.max()
    for tiles in (layout.tiles < thumbnail, layout.tiles == thumbnail):
        boxes = layout.boxes[tiles]
        area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).sum()
        assert np.isclose(area, 60 * 40)
