"""Gemma 3: bidirectional attention inside an image, sliding windows, averaged patches."""

from __future__ import annotations

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
    oracle,
    picture,
)
from tiny_prefix import gemma3, gemma3_processor

import retinoscope as rs

PAIR = [picture((30, 70)), picture((64, 20), seed=1)]


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=gemma3(), processor=gemma3_processor())


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
def test_equals_the_library(vlm, images):
    check_forward(vlm, images)
    check_generate(vlm, images)


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
def test_paths_agree(vlm, images):
    assert vlm.capabilities.supports("incremental")
    check_paths(vlm, images, windows=True)


def test_paths_agree_without_windows():
    model = gemma3(layer_types=["full_attention"] * 4)
    vlm = rs.load(model=model, processor=gemma3_processor())
    check_forward(vlm, PAIR)
    check_paths(vlm, PAIR)
    check_rows(vlm, PAIR)


def test_eager_attention():
    vlm = rs.load(model=gemma3("eager"), processor=gemma3_processor())
    check_forward(vlm, [picture()])
    check_paths(vlm, [picture()], windows=True)


def test_layout(vlm):
    def pooled(output):
        squares = output[0].unfold(1, 2, 2).unfold(2, 2, 2)
        return squares.permute(1, 2, 0, 3, 4).flatten(2).flatten(0, 1)

    module = vlm.model.model.vision_tower.embeddings.patch_embedding
    check_layout(vlm, module, pooled, list(SIZES.values()))


def test_images_are_read_both_ways_but_not_by_each_other(vlm):
    run = vlm.run(vlm.prompt(PAIR, QUESTION))
    first, second = (image.positions for image in run.images)
    last = vlm.n_layers - 1
    rows = run.attention(last, queries=[first[0], second[0]])[0]
    assert rows[0, first[-1]] > 0
    assert rows[1, second[-1]] > 0
    assert rows[1, first[0]] > 0
    assert rows[0, second[0]] == 0


def test_all_attention_rows_are_the_library_s():
    """Windows included: they meet images differently in different versions of the library."""
    vlm = rs.load(model=gemma3("eager"), processor=gemma3_processor())
    run = vlm.run(vlm.prompt(PAIR, QUESTION))
    with torch.no_grad():
        done = vlm.model(**oracle(vlm, PAIR), output_attentions=True)
    for layer, wanted in enumerate(done.attentions):
        found = run.attention(layer, queries=range(run.n))
        assert torch.allclose(found, wanted[0], atol=1e-5)
    # The windows are shorter than the prompt.
    assert (done.attentions[0][0, 0, -1] == 0).any()


def test_prompts_about_one_image_share_it(vlm):
    runs = vlm.run_many([picture()], [QUESTION, "Is there a dog in this image?"])
    alone = vlm.run(vlm.prompt([picture()], "Is there a dog in this image?"))
    assert torch.allclose(runs[1].logits, alone.logits, atol=1e-4)


def test_text_only(vlm):
    run = vlm.run(vlm.prompt(None, QUESTION))
    with torch.no_grad():
        wanted = vlm.model(input_ids=run.inputs.input_ids[None]).logits[0, -1]
    assert torch.allclose(run.logits, wanted, atol=1e-5)


def test_pan_and_scan_is_refused():
    with pytest.raises(rs.errors.CapabilityError, match="pan and scan"):
        rs.load(model=gemma3(), processor=gemma3_processor(do_pan_and_scan=True))


def test_pan_and_scan_switched_on_later_is_refused():
    vlm = rs.load(model=gemma3(), processor=gemma3_processor())
    vlm.processor.image_processor.do_pan_and_scan = True
    for ask in (lambda: vlm.prompt(picture((96, 32)), QUESTION), lambda: vlm.encode([picture()])):
        with pytest.raises(rs.errors.CapabilityError, match="pan and scan"):
            ask()


def test_gradients(vlm):
    run = vlm.run(vlm.prompt([picture((32, 32))], QUESTION))
    found = rs.tokens.by_gradient(run, 5, n=3, steps=30)
    assert found.completeness < 0.2
