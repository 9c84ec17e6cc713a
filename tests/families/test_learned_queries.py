"""Learned queries: visual tokens without a place, and where in the image they looked."""

from __future__ import annotations

import pytest
import torch
from checks import OTHER_QUESTION, QUESTION, close, output_of, picture, run_of
from row import NONE, loaded, over
from table import FAMILY, ROWS
from tiny_more import ARIA_QUERIES
from tiny_query import N_QUERIES

import retinoscope as rs

PLACES = {
    "BLIP-2": range(N_QUERIES),
    "InstructBLIP": range(N_QUERIES),
    "Visual interface": range(N_QUERIES),
    # <s>, <image>, the queries, </image>
    "Kosmos-2": range(2, 2 + N_QUERIES),
    "Aria": range(1, 1 + ARIA_QUERIES),
}


@over([row for row in ROWS if row.places == NONE])
def test_where_they_stand(row):
    run = run_of(loaded(row), [picture()])
    assert run.image.positions == tuple(PLACES[row.family])
    if row.family == "Kosmos-2":
        assert run.tokens[1] == "<image>"
        assert run.tokens[2 + N_QUERIES] == "</image>"
    assert not len(run.image.covering((0, 0, 60, 40)))
    with pytest.raises(rs.InputError, match="rows are not known"):
        run.image.row(0)


def last_cross_attention(vlm):
    """Of a Q-Former: blocks 0 and 2 of four read the image."""
    layers = vlm.model.qformer.encoder.layer
    assert [layer.has_cross_attention for layer in layers] == [True, False, True, False]
    return layers[2].crossattention.attention


def resampler(vlm):
    return vlm.model.image_to_text_projection.x_attn


@pytest.mark.parametrize(
    ("family", "module"),
    [
        ("BLIP-2", last_cross_attention),
        ("InstructBLIP", last_cross_attention),
        ("Kosmos-2", resampler),
    ],
)
def test_soft_origin_is_the_attention_to_the_patches(family, module):
    vlm = loaded(FAMILY[family], "eager")
    origins = []
    for text in (QUESTION, OTHER_QUESTION):
        run = run_of(vlm, [picture()], text)
        found = run.soft_origin()
        _, weights = output_of(module(vlm), lambda run=run: vlm.adapter.encode(run.inputs.pixels))
        # Keys: the class token, 49 patches, and Kosmos-2's queries themselves.
        wanted = weights[0].mean(0)
        assert found.weights.shape == (N_QUERIES, 49) == (N_QUERIES, len(found.layout))
        assert wanted.shape[1] == 1 + 49 + N_QUERIES * (family == "Kosmos-2")
        assert torch.allclose(found.weights, wanted[:, 1:50], atol=1e-6)
        assert torch.allclose(found.elsewhere, wanted[:, 0] + wanted[:, 50:].sum(-1), atol=1e-6)
        assert not found.layout.unplaced.any()
        origins.append(found.weights)
    assert torch.allclose(*origins, atol=1e-4) == (family != "InstructBLIP")


def test_soft_origin_of_padded_images():
    vlm = loaded(FAMILY["Aria"])
    run = run_of(vlm, [picture((70, 44))])
    found = run.soft_origin()
    reader = vlm.model.model.multi_modal_projector.cross_attn.multihead_attn
    plain = reader.forward
    reader.forward = lambda *args, **options: plain(*args, **{**options, "need_weights": True})
    try:
        _, weights = output_of(reader, lambda: vlm.adapter.encode(run.inputs.pixels))
    finally:
        del reader.forward
    assert found.weights.shape == (ARIA_QUERIES, 49) == (ARIA_QUERIES, len(found.layout))
    assert torch.allclose(found.weights, weights[0], atol=1e-6)
    # Nobody looks at the padding.
    assert found.layout.unplaced.any()
    assert found.weights[:, torch.from_numpy(found.layout.unplaced)].abs().max() == 0
    assert found.elsewhere.abs().max() < 1e-5


def test_queries_that_read_the_question():
    vlm = loaded(FAMILY["InstructBLIP"])
    here, there = (run_of(vlm, [picture()], text) for text in (QUESTION, OTHER_QUESTION))
    moved = (here.image.embeddings - there.image.embeddings).norm(dim=-1)
    assert (moved > 1e-3 * here.image.embeddings.norm(dim=-1)).all()


@pytest.mark.parametrize(
    ("family", "text"),
    [("BLIP-2", "<image>Describe this image."), ("Kosmos-2", "<image><grounding> Describe this")],
)
def test_raw_prompts(family, text):
    row = FAMILY[family]
    vlm = loaded(row)
    run = vlm.run(vlm.prompt(picture(), text, raw=True))
    asked = "".join(run.tokens[place] for place in run.positions["question"].positions)
    assert asked.replace(">", "> ").split() == text[len("<image>") :].replace(">", "> ").split()
    with torch.no_grad():
        wanted = vlm.model(**row.library(vlm, [[picture()]], [text])).logits[0, -1]
    assert close(run.logits, wanted, 1e-5)


def test_a_prefill_stands_behind_the_question():
    vlm = loaded(FAMILY["BLIP-2"])
    run = vlm.run(vlm.prompt(None, QUESTION, prefill="It is"))
    assert "".join(run.tokens).endswith("Answer: It is")
    with torch.no_grad():
        wanted = vlm.model.language_model(input_ids=run.inputs.input_ids[None]).logits[0, -1]
    assert close(run.logits, wanted, 1e-5)


def test_images_are_encoded_alone():
    vlm = loaded(FAMILY["BLIP-2"])
    encoded = vlm.encode([picture(), picture(seed=1)])
    assert [part.shape for part in encoded] == [(N_QUERIES, vlm.d_model)] * 2
