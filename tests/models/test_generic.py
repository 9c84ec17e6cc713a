"""Families without an adapter: taken where the check on the model passes, else refused, and why."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from checks import QUESTION, check_paths, picture, pictures, run_of
from row import SIZES, loaded
from table import FAMILY
from tiny_generic import aya, aya_processor
from tiny_rotary import qwen2_vl, qwen_processor
from variants import VARIANTS

import retinoscope as rs
from retinoscope.models import adapter_for

PAIR = pictures([(30, 70), (64, 20)])
loading = sys.modules[adapter_for.__module__]


@pytest.fixture
def hidden(monkeypatch):
    """No family has an adapter of its own."""
    monkeypatch.setattr(loading, "ADAPTERS", ())


def reason(vlm: rs.VLM, name: str) -> str:
    (why,) = (method.why for method in vlm.capabilities.methods if method.name == name)
    return why


def test_a_factor_that_the_model_applies_is_found():
    model = aya()
    model.lm_head.register_forward_hook(lambda _, __, out: out * (0.25 if out.ndim == 3 else 1.0))
    with torch.no_grad():
        embeds = model.get_input_embeddings().weight[None, :4]
        wanted = model(inputs_embeds=embeds).logits[0, -1]
    adapter = loading.GenericAdapter(model, aya_processor())
    assert adapter._factor == 0.25
    assert torch.allclose(adapter.plain_logits(embeds), wanted)


@pytest.mark.parametrize(
    ("variant", "size", "why", "refused"),
    [
        (
            "DeepSeek-VL",
            (60, 40),
            "would have changes token",
            r"layout .* is not known .*by gradient",
        ),
        ("Aya Vision in tiles", (70, 30), "an image becomes several frames", "several frames"),
    ],
    ids=["DeepSeek-VL", "Aya Vision in tiles"],
)
def test_a_new_family_whose_tokens_cannot_be_placed(variant, size, why, refused):
    (row,) = (row for row in VARIANTS if row.variant == variant)
    vlm = loaded(row)
    assert not vlm.capabilities.supports("layout")
    assert why in reason(vlm, "layout")
    run = run_of(vlm, [picture(size)])
    with pytest.raises(rs.CapabilityError, match=refused):
        run.image.covering((0, 0, 10, 10))
    assert len(run.image.at([0, 3])) == 2


def test_a_known_family_loads_without_its_adapter(hidden, build):
    vlm = rs.load(model=build.model(), processor=build.processor())
    own = vlm.run(vlm.prompt([picture()], QUESTION))
    assert vlm.capabilities.family == "generic"
    assert vlm.capabilities.supports("layout")
    check_paths(FAMILY["LLaVA-1.5"], vlm, PAIR)
    assert own.image.grid == (7, 7)


def test_its_places_are_those_of_its_adapter(hidden, build, monkeypatch):
    generic = rs.load(model=build.model(), processor=build.processor())
    monkeypatch.undo()
    known = rs.load(model=build.model(), processor=build.processor())
    assert known.capabilities.family == "LLaVA-1.5"
    for size in SIZES:
        pair = [vlm.run(vlm.prompt(picture(size), QUESTION)) for vlm in (generic, known)]
        assert np.array_equal(pair[0].image.boxes, pair[1].image.boxes, equal_nan=True)
        assert torch.allclose(pair[0].logits, pair[1].logits, atol=1e-5)


REFUSED = {
    "Qwen2-VL": "rotary positions have several axes",
    "Qwen3-VL": "logits of a prompt with 1 image differ from the model's own",
    "PaliGemma": "attention is not causal",
    # Its text has another placeholder in some versions of the library.
    "Gemma 3": "differ from the model's own|in the prompt for each",
    "BLIP-2": "6 features .* 7 placeholders",
    "Kosmos-2": "no image_token_id",
    "Llama 3.2 Vision": "no get_image_features",
}


@pytest.mark.parametrize("family", REFUSED)
@pytest.mark.parametrize("check", [True, False])
def test_families_that_do_not_fit_are_refused_with_the_reason(hidden, family, check):
    row, expected = FAMILY[family], f"no adapter .*({REFUSED[family]}).*; supported families"
    with pytest.raises(rs.CapabilityError, match=expected):
        rs.load(model=row.model(), processor=row.processor(), check=check)


def test_the_refusal_names_what_is_supported():
    model = aya()
    model.lm_head.register_forward_hook(lambda _, __, out: out * (1.5 if out.ndim == 3 else 1.0))
    with pytest.raises(rs.CapabilityError, match=r"supported families: .*LLaVA-1.5 \(llava\), "):
        rs.load(model=model, processor=aya_processor())


def test_half_precision():
    vlm = rs.load(model=aya().to(torch.bfloat16), processor=aya_processor())
    assert vlm.capabilities.supports("layout")
    with pytest.raises(rs.CapabilityError, match="the model's own"):
        loading.GenericAdapter(qwen2_vl().to(torch.bfloat16), qwen_processor()).verify()


def test_a_processor_that_is_set_otherwise_than_it_was_checked():
    vlm = rs.load(model=aya(), processor=aya_processor())
    images = vlm.processor.image_processor
    before = images.image_mean
    images.image_mean = [0.1, 0.2, 0.3]
    with pytest.raises(rs.CapabilityError, match="settings"):
        vlm.prompt([picture()], QUESTION)
    images.image_mean = before
    vlm.prompt([picture()], QUESTION)


def _off(model, by: float, only: torch.dtype | None = None):
    """The same model with logits that are off by a part of the largest one."""

    def change(_, __, output):
        logits = output.logits
        if only is None or logits.dtype == only:
            wave = torch.arange(logits.shape[-1]).sin() * logits.abs().max() * by
            output.logits = logits + wave.to(logits)
        return output

    model.register_forward_hook(change)
    return model


def test_half_precision_hides_no_error():
    """An error of the size of rounding is told from it in float32."""
    model = _off(aya().to(torch.bfloat16), 8e-3)
    with pytest.raises(rs.CapabilityError, match="the model's own"):
        rs.load(model=model, processor=aya_processor())
    rounded = _off(aya().to(torch.bfloat16), 8e-3, only=torch.bfloat16)
    assert rs.load(model=rounded, processor=aya_processor()).dtype == torch.bfloat16


def test_a_tokenizer_without_padding():
    processor = aya_processor()
    processor.tokenizer.pad_token = None
    model = aya()
    vlm = rs.load(model=model, processor=processor)
    whole = rs.load(model=model, processor=aya_processor())
    found, wanted = (one.run(one.prompt(picture(), QUESTION)).logits for one in (vlm, whole))
    assert torch.equal(found, wanted)
