"""The reference path against code that uses only transformers."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch import Tensor

import retinoscope as rs
from retinoscope.engine import Run

TEXT = "What is the color of the car?"


@pytest.fixture(params=["sdpa", "eager"])
def vlm(request: pytest.FixtureRequest, tiny: rs.VLM, tiny_eager: rs.VLM) -> rs.VLM:
    return tiny if request.param == "sdpa" else tiny_eager


@pytest.fixture(params=["square", "portrait"])
def run(request: pytest.FixtureRequest, vlm: rs.VLM) -> Run:
    image = request.getfixturevalue(request.param)
    return vlm.run(vlm.prompt(image, TEXT, prefill="It is a"))


def _processed(run: Run) -> dict[str, Tensor]:
    """The prompt through the Hugging Face processor alone."""
    text = f"USER: <image>\n{TEXT} ASSISTANT: It is a"
    return dict(run.vlm.processor(images=run.prompt.images[0], text=text, return_tensors="pt"))


@torch.no_grad()
def _by_hand(run: Run, masks: dict[int, Tensor], edits: dict[int, tuple[list[int], Tensor]]):
    """Logits of the decoder written out layer by layer with transformers' modules.

    masks: (1 or heads, n, n) True where blocked, by layer; edits: new states, by residual layer.
    """
    model = run.vlm.model
    decoder = model.model.language_model
    eager = decoder.config._attn_implementation == "eager"
    hidden = run.embeddings[None].clone()
    angles = decoder.rotary_emb(hidden, position_ids=torch.arange(run.n)[None])
    causal = torch.ones(run.n, run.n, dtype=torch.bool).tril()[None, None]
    for number, layer in enumerate(decoder.layers):
        if number in edits:
            places, values = edits[number]
            hidden[0, places] = values
        allowed = causal & ~masks[number] if number in masks else causal
        mask = torch.where(allowed, 0.0, torch.finfo(hidden.dtype).min) if eager else allowed
        hidden = layer(hidden, attention_mask=mask, position_embeddings=angles)
    if len(decoder.layers) in edits:
        places, values = edits[len(decoder.layers)]
        hidden[0, places] = values
    return model.lm_head(decoder.norm(hidden))[0, -1]


def _mask(run: Run, rows: list[int], keys: list[int], heads: list[int] | None = None) -> Tensor:
    mask = torch.zeros(1 if heads is None else 4, run.n, run.n, dtype=torch.bool)
    for head in heads or [0]:
        for row in rows:
            mask[head, row, keys] = True
    return mask[None]


def _object(run: Run):
    return run.image.covering((10, 20, 30, 40))


def _close(found: Tensor, wanted: Tensor) -> None:
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_the_clean_run_equals_the_model(run: Run) -> None:
    inputs = _processed(run)
    assert inputs["input_ids"][0].tolist() == run.inputs.input_ids.tolist()
    with torch.no_grad():
        out = run.vlm.model(**inputs, output_hidden_states=True)
    _close(run.logits, out.logits[0, -1])
    for layer in range(run.vlm.n_layers):
        _close(run.hidden(layer), out.hidden_states[layer][0])


def test_no_intervention_equals_the_run(run: Run) -> None:
    effects = run.counterfactuals([[], []])
    _close(effects.logits[0], run.logits)
    assert torch.equal(effects.logits[0], effects.logits[1])


def test_the_by_hand_decoder_is_the_model(run: Run) -> None:
    _close(_by_hand(run, {}, {}), run.logits)


def test_ablation_equals_replaced_inputs(run: Run) -> None:
    obj = _object(run)
    fill = rs.fill.noise(seed=1)
    embeds = run.embeddings[None].clone()
    embeds[0, list(obj.positions)] = fill.values(run, obj.positions)
    with torch.no_grad():
        wanted = run.vlm.model(inputs_embeds=embeds).logits[0, -1]
    logits = run.counterfactuals([rs.Ablate(obj), rs.Ablate(obj, fill)]).logits
    _close(logits[1], wanted)
    assert (logits[1] - run.logits).abs().max() > 0.01
    embeds[0, list(obj.positions)] = 0
    with torch.no_grad():
        _close(logits[0], run.vlm.model(inputs_embeds=embeds).logits[0, -1])


def test_knockout_in_all_layers_equals_a_4d_mask(run: Run) -> None:
    obj = _object(run)
    allowed = torch.ones(run.n, run.n, dtype=torch.bool).tril()[None, None]
    allowed = allowed & ~_mask(run, [run.n - 1], list(obj.positions))
    eager = run.adapter.attention_implementation == "eager"
    mask = torch.where(allowed, 0.0, torch.finfo(torch.float32).min) if eager else allowed
    with torch.no_grad():
        out = run.vlm.model(inputs_embeds=run.embeddings[None], attention_mask=mask)
    _close(run.counterfactuals([rs.Knockout(obj, "last")]).logits[0], out.logits[0, -1])


def test_a_batch_of_all_kinds_equals_the_decoder_by_hand(run: Run) -> None:
    obj, last = _object(run), run.positions["last"]
    question = run.positions["question"] - last
    row = run.image.row(-1)
    other = run.vlm.run(run.vlm.prompt(run.prompt.images[0].rotate(90), TEXT, prefill="It is a"))
    logits = run.counterfactuals(
        [
            rs.Knockout(obj, "last", layers=[1, 2]),
            rs.Knockout(obj, question, layers=[0], heads=[1, 3]),
            [rs.Knockout(obj, "last", [2]), rs.Knockout(question, "last", [2, 3], heads=[0])],
            rs.Knockout(~row, row),
            rs.Patch(obj, [2], other),
            [rs.Patch(last, [4], other), rs.Patch(obj, [0], other)],
            [rs.Ablate(obj), rs.Knockout(question, last, [3]), rs.Patch(row, [1], other)],
        ]
    ).logits
    ends, keys, asked = [run.n - 1], list(obj.positions), list(question.positions)

    def donor(layer: int, places: list[int]) -> tuple[list[int], Tensor]:
        return places, other.hidden(layer)[places]

    one = _mask(run, ends, keys)
    both = one | _mask(run, ends, asked, [0])
    wanted = [
        _by_hand(run, {1: one, 2: one}, {}),
        _by_hand(run, {0: _mask(run, asked, keys, [1, 3])}, {}),
        _by_hand(run, {2: both, 3: _mask(run, ends, asked, [0])}, {}),
        _by_hand(run, dict.fromkeys(range(4), _mask(run, list(row), list(~row))), {}),
        _by_hand(run, {}, {2: donor(2, keys)}),
        _by_hand(run, {}, {0: donor(0, keys), 4: donor(4, ends)}),
        _by_hand(
            run,
            {3: _mask(run, ends, asked)},
            {0: (keys, torch.zeros(len(keys), 32)), 1: donor(1, list(row))},
        ),
    ]
    for found, hand in zip(logits, wanted, strict=True):
        _close(found, hand)
        assert (found - run.logits).abs().max() > 1e-4


def test_batch_size_does_not_matter(run: Run) -> None:
    obj = _object(run)
    conditions = [rs.Ablate(obj), rs.Knockout(obj, "last"), rs.Knockout(obj, "last", heads=[2])]
    together = run.counterfactuals(conditions).logits
    single = run.counterfactuals(conditions, batch_size=1).logits
    _close(together, single)


def _hooks(run: Run) -> list[tuple[int, int]]:
    modules = run.vlm.model.modules()
    return [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in modules]


def test_nothing_is_left_on_the_model(run: Run) -> None:
    obj = _object(run)
    before = run.vlm.model.config.text_config._attn_implementation
    # The library puts hooks of its own on for good.
    hooks = _hooks(run)
    run.counterfactuals([[rs.Knockout(obj, "last"), rs.Patch(obj, [1], run)]]).logits  # noqa: B018
    run.attention(1)
    rs.tokens.by_gradient(run, " red", 3, steps=4)
    assert _hooks(run) == hooks
    assert run.vlm.model.config.text_config._attn_implementation == before
    assert all(parameter.requires_grad for parameter in run.vlm.model.parameters())
    _close(run.vlm.run(run.prompt).logits, run.logits)


def test_a_patch_of_the_own_state_changes_nothing(run: Run) -> None:
    everything = run.positions["image"] | run.positions["text"]
    patched = run.counterfactuals([rs.Patch(everything, range(5), run)]).logits[0]
    _close(patched, run.logits)


def test_an_edit_never_reaches_earlier_positions(run: Run, square: Image.Image) -> None:
    last = run.positions["last"]
    free = run.counterfactuals([rs.Knockout(run.image.row(0), run.image.row(3))])
    clean = run.attention(3, queries=run.image.row(1))
    under = run.attention(3, queries=run.image.row(1), under=free.conditions[0])
    _close(under, clean)
    assert not torch.equal(run.attention(3, last, under=free.conditions[0]), run.attention(3, last))
