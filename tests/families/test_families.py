"""Every family, as the library computes it: the forward pass, both paths, attention, layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checks import (
    OTHER_QUESTION,
    QUESTION,
    check_forward,
    check_generate,
    check_layout,
    check_patchscope,
    check_paths,
    check_rows,
    close,
    picture,
    pictures,
    run_of,
)
from row import OUTSIDE, Row, loaded, over
from table import ROWS
from variants import VARIANTS

import retinoscope as rs

ALL = (*ROWS, *VARIANTS)


def images_of(row: Row) -> dict[str, list]:
    return {name: pictures(sizes) for name, sizes in row.images.items()}


def first(row: Row) -> dict[str, list]:
    return dict(list(images_of(row).items())[:1])


def last(row: Row) -> dict[str, list]:
    return dict(list(images_of(row).items())[-1:])


def sizes(row: Row) -> dict[str, tuple[int, int]]:
    return {f"{width}x{height}": (width, height) for width, height in row.sizes}


@over(ALL)
def test_what_is_offered(row):
    offered = loaded(row).capabilities
    assert offered.family == row.family
    assert offered.supports("incremental") == row.incremental
    assert offered.supports("gradients") == row.gradients
    assert offered.supports("attention") == row.weights


@over(ALL, images=images_of)
def test_equals_the_library(row, images):
    vlm = loaded(row)
    check_forward(row, vlm, images)
    check_generate(row, vlm, images)


@over(ROWS, size=lambda row: {k: v for k, v in sizes(row).items() if v not in row.fails})
def test_equals_the_library_at_any_size(row, size):
    check_forward(row, loaded(row), [picture(size)])


@over(ALL, images=images_of)
def test_paths_agree(row, images):
    check_paths(row, loaded(row), images, seeds=[0] if row.variant else [0, 1])


@over([row for row in ALL if row.weights], images=images_of)
def test_attention_rows(row, images):
    check_rows(row, loaded(row), images)


@over(ROWS, images=last)
def test_eager_attention(row, images):
    vlm = loaded(row, "eager")
    check_forward(row, vlm, images)
    check_generate(row, vlm, images)
    check_paths(row, vlm, images, seeds=[0])
    if row.weights:
        check_rows(row, vlm, images)


@over([row for row in ALL if row.embedding], size=sizes)
def test_layout(row, size):
    check_layout(row, loaded(row), size)


@over([row for row in ALL if row.places != OUTSIDE], images=first)
def test_visual_tokens(row, images):
    image = run_of(loaded(row), images).image
    assert (len(image), image.layout.unplaced.sum(), image.grid) == row.shape
    assert np.isnan(image.boxes[image.layout.unplaced]).all()


@over([row for row in ALL if row.text_only is not None])
def test_text_only(row):
    vlm = loaded(row)
    run = run_of(vlm, [])
    # The library keeps the positions of the last prompt with an image.
    vars(vlm.model.base_model)["rope_deltas"] = None
    with torch.no_grad():
        reader = vlm.model.get_submodule(row.text_only)
        wanted = reader(input_ids=run.inputs.input_ids[None]).logits[0, -1]
    assert close(run.logits, wanted, 1e-5)


@over([row for row in ALL if row.text_only is None])
def test_a_prompt_without_an_image_is_refused(row):
    with pytest.raises(rs.CapabilityError, match="without an image"):
        run_of(loaded(row), [])


@over([row for row in ROWS if row.text_only is not None], images=first)
def test_patchscope(row, images):
    check_patchscope(row, loaded(row), images)


@over([row for row in ROWS if row.text_only is None], images=first)
def test_a_patchscope_without_an_image_is_refused(row, images):
    with pytest.raises(rs.CapabilityError, match="without an image"):
        run_of(loaded(row), images).lens(kind="patchscope")


@over(ALL, images=first)
def test_prompts_about_one_image_share_it(row, images):
    vlm = loaded(row)
    runs = vlm.run_many(images, [QUESTION, OTHER_QUESTION])
    if row.incremental and row.shares:
        assert runs.shared > max(runs[0].positions["image"].positions)
    else:
        assert not runs.shared
    assert close(runs[1].logits, run_of(vlm, images, OTHER_QUESTION).logits, 1e-4)


@over([row for row in ROWS if row.gradients])
def test_gradients(row):
    run = run_of(loaded(row), [picture((32, 32))])
    assert rs.tokens.by_gradient(run, 5, n=3, steps=30).completeness < 0.2
