"""SmolVLM: as Idefics3, in classes of its own."""

from __future__ import annotations

import pytest
from checks import (
    SIZES,
    check_forward,
    check_generate,
    check_layout,
    check_paths,
    check_rows,
    picture,
)
from test_idefics3 import folded
from tiny_tiles import smolvlm, smolvlm_processor

import retinoscope as rs

LARGE, LONG = picture((60, 40)), picture((20, 70), seed=1)


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=smolvlm(), processor=smolvlm_processor())


def test_family(vlm):
    assert vlm.capabilities.family == "SmolVLM"


@pytest.mark.parametrize("images", [[LARGE], [LONG, LARGE]], ids=["one", "two"])
def test_equals_the_library(vlm, images):
    check_forward(vlm, images)
    check_generate(vlm, images)


def test_paths_agree(vlm):
    assert vlm.capabilities.supports("incremental")
    check_paths(vlm, [LARGE])
    check_rows(vlm, [LARGE])


def test_eager_attention():
    vlm = rs.load(model=smolvlm("eager"), processor=smolvlm_processor())
    check_forward(vlm, [LARGE])
    check_rows(vlm, [LONG])


def test_layout(vlm):
    module = vlm.model.model.vision_model.embeddings.patch_embedding
    check_layout(vlm, module, folded, list(SIZES.values()))
