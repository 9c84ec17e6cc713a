"""Llama 3.2 Vision: the image is in the keys of cross-attention blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from checks import (
    OTHER_QUESTION,
    QUESTION,
    check_forward,
    layout_of,
    oracle,
    output_of,
    picture,
    pictures,
    run_of,
)
from row import SIZES, loaded
from table import FAMILY
from tiny_query import TILE

import retinoscope as rs

ROW = FAMILY["Llama 3.2 Vision"]
PAIR = pictures([(30, 70), (64, 20)])
# A class token and the patches.
PER_TILE = 1 + (TILE // 4) ** 2


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return loaded(ROW)


def test_without_an_image_the_blocks_hand_on_what_they_get(vlm):
    run = check_forward(ROW, vlm, [])
    assert not vlm.adapter.patches(run.inputs)
    for layer in vlm.adapter.decoder.reading:
        assert torch.equal(run.hidden(layer), run.hidden(layer + 1))


def test_hiding_a_tile_is_the_library_s_mask(vlm):
    run = run_of(vlm, [picture()])
    (layout,) = vlm.adapter.patches(run.inputs)
    assert sorted(set(layout.tiles[~layout.unplaced])) == [0, 1, 2, 3]
    inputs = vlm.adapter.hide_patches(run.inputs, layout.tiles == 1)
    found = vlm.run(replace(run.prompt, inputs=inputs))
    given = oracle(ROW, vlm, run.prompt.images)
    given["cross_attention_mask"][..., 1] = 0
    with torch.no_grad():
        wanted = vlm.model(**given).logits[0, -1]
    scale = float(wanted.abs().max())
    assert torch.allclose(found.logits, wanted, atol=1e-5 * scale)
    assert (found.logits - run.logits).abs().max() > 1e-3 * scale
    made = vlm.model.generate(**given, max_new_tokens=5, do_sample=False)[0, run.n :].tolist()
    assert found.generate(5).token_ids.tolist() == made


def test_hiding_patches_from_one_position(vlm):
    run = run_of(vlm, [picture()])
    (layout,) = vlm.adapter.patches(run.inputs)
    hide = np.zeros(len(layout), dtype=bool)
    hide[[3, 5]] = True
    last = run.n - 1
    inputs = vlm.adapter.hide_patches(run.inputs, hide, positions=[last])
    found = vlm.run(replace(run.prompt, inputs=inputs))
    assert (found.logits - run.logits).abs().max() > 1e-4
    for layer in range(vlm.n_layers + 1):
        assert torch.equal(found.hidden(layer)[:last], run.hidden(layer)[:last])
    first = vlm.adapter.decoder.reading[0]
    rows = [
        vlm.adapter.cross_attention(one.inputs, first, one.hidden(first, [last]), [last])[:, 0]
        for one in (run, found)
    ]
    assert rows[1][:, hide].abs().max() == 0
    kept = rows[0][:, ~hide]
    assert torch.allclose(rows[1][:, ~hide], kept / kept.sum(-1, keepdim=True), atol=1e-6)


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
def test_cross_attention_is_the_library_s(images):
    eager = loaded(ROW, "eager")
    run = run_of(eager, images)
    given = oracle(ROW, eager, images)
    n_keys = sum(map(len, eager.adapter.patches(run.inputs)))
    for layer in eager.adapter.decoder.reading:
        _, wanted = output_of(
            eager.adapter.decoder.layers[layer].cross_attn, lambda: eager.model(**given)
        )
        found = eager.adapter.cross_attention(
            run.inputs, layer, run.hidden(layer), list(range(run.n))
        )
        assert found.shape == (eager.n_heads, run.n, n_keys)
        assert torch.allclose(found, wanted[0].float(), atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_keys_are_the_tiles_with_a_class_token_each(vlm, size):
    layout = layout_of(ROW, vlm, picture(size))
    assert len(layout) == 4 * PER_TILE
    assert layout.unplaced[::PER_TILE].all()
    area = np.nansum(np.prod(layout.boxes[:, 2:] - layout.boxes[:, :2], axis=1))
    assert np.isclose(area, size[0] * size[1])


def test_the_vision_tower_runs_once_per_image(vlm):
    runs = vlm.run_many(picture(seed=7), [QUESTION, OTHER_QUESTION])
    calls = []
    handle = vlm.model.model.vision_model.register_forward_hook(lambda *_: calls.append(1))
    try:
        runs[0].generate(3)
    finally:
        handle.remove()
    assert not calls
    (image,) = runs[1].inputs.encoded
    assert image is runs[0].inputs.encoded[0]
    assert len(image.read) == 4 * PER_TILE


def test_refusals(vlm):
    run = run_of(vlm, [picture()])
    adapter, refused = vlm.adapter, rs.errors.CapabilityError
    assert run.images == ()
    for ask in (lambda: run.image, lambda: rs.tokens.random(run, n=1, seed=0)):
        with pytest.raises(refused, match="keys of the cross-attention blocks"):
            ask()
    with pytest.raises(refused, match=r"cross_attention reads the weights"):
        run.attention(2)
    with pytest.raises(refused, match=r"layers among 0, 2, 3, 5.*hide_patches"):
        run.counterfactuals([rs.Knockout(run.positions["question"], "last")]).logits  # noqa: B018
    with pytest.raises(refused, match="encode_whole"):
        vlm.encode([picture()])
    with pytest.raises(refused, match="hide_patches"):
        vlm.capabilities.require("gradients")
    for name in rs.saliency.METHODS:
        with pytest.raises(refused, match="hide_patches"):
            rs.saliency.METHODS[name](run, 5)
    with pytest.raises(refused, match="hide_patches"):
        run.soft_origin()
    assert not vlm.capabilities.supports("incremental")
    with pytest.raises(rs.errors.InputError, match="one of 1, 4"):
        adapter.cross_attention(run.inputs, 2, run.hidden(2), range(run.n))
    n = len(adapter.patches(run.inputs)[0])
    with pytest.raises(rs.errors.InputError, match="at least one patch left"):
        adapter.hide_patches(run.inputs, np.ones(n, dtype=bool))
    with pytest.raises(rs.errors.InputError, match="no change"):
        adapter.hide_patches(run.inputs, np.zeros(n, dtype=bool))
    with pytest.raises(rs.errors.InputError, match=f"each of {n} patches"):
        adapter.hide_patches(run.inputs, np.ones(3, dtype=bool))
    with pytest.raises(rs.errors.InputError, match="expected an image from 0 to 0"):
        adapter.hide_patches(run.inputs, np.ones(n, dtype=bool), image=1)
    with pytest.raises(rs.errors.InputError, match=r"expected one <\|image\|>"):
        vlm.prompt(picture(), "Describe this image.", raw=True)
