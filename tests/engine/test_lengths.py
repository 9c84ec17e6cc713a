"""Decoders whose rotary angles depend on how long the text is, against the library itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import (
    Gemma3TextConfig,
    Llama4TextConfig,
    LlamaConfig,
    LlavaForConditionalGeneration,
    Ministral3Config,
    Phi3Config,
    PreTrainedConfig,
)

import retinoscope as rs
from retinoscope.engine import compact_context
from tests.conftest import make_processor
from tests.engine import decoders

ORIGINAL = 64
"""Positions of the original context."""
SHORT = "Is there a cat"
LONG = "What is the color of the cat " * 12


def _scaled(kind: str, **options: Any) -> Callable[[int], PreTrainedConfig]:
    grouped = {**decoders._GROUPED, "max_position_embeddings": options.pop("longest", ORIGINAL)}
    rope = {"rope_type": kind, "rope_theta": 1e4, "factor": 4.0, **options}
    return lambda v: LlamaConfig(vocab_size=v, rope_parameters=rope, **grouped)


_FACTORS: dict[str, Any] = {
    "short_factor": [1.0, 1.1, 1.3, 1.7],
    "long_factor": [1.0, 2.0, 4.0, 8.0],
}
LENGTHS: dict[str, Callable[[int], PreTrainedConfig]] = {
    "dynamic": _scaled("dynamic"),
    "longrope": _scaled(
        "longrope", longest=4 * ORIGINAL, original_max_position_embeddings=ORIGINAL, **_FACTORS
    ),
    "longrope, sliding window": lambda v: Phi3Config(
        vocab_size=v,
        sliding_window=20,
        original_max_position_embeddings=ORIGINAL,
        rope_parameters={"rope_type": "longrope", "rope_theta": 1e4, **_FACTORS},
        **{**decoders._GROUPED, "max_position_embeddings": 4 * ORIGINAL},
    ),
    "dynamic in some layers": lambda v: Gemma3TextConfig(
        vocab_size=v,
        head_dim=8,
        query_pre_attn_scalar=8,
        sliding_window=20,
        layer_types=["sliding_attention", "full_attention"] * 2,
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            "full_attention": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0},
        },
        **{**decoders._GROUPED, "max_position_embeddings": ORIGINAL},
    ),
    # Angles and temperatures that depend on the position alone.
    "yarn": _scaled("yarn", longest=4 * ORIGINAL, original_max_position_embeddings=ORIGINAL),
    "temperature": lambda v: Ministral3Config(
        vocab_size=v,
        head_dim=8,
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": 1e4,
            "factor": 4.0,
            "original_max_position_embeddings": 16,
            "llama_4_scaling_beta": 0.5,
        },
        **decoders._GROUPED,
    ),
}

BY_ROW: dict[str, Callable[[int], PreTrainedConfig]] = {
    "temperature by row": lambda v: Llama4TextConfig(
        vocab_size=v,
        head_dim=8,
        attn_temperature_tuning=True,
        floor_scale=20,
        attn_scale=0.5,
        num_local_experts=2,
        intermediate_size_mlp=48,
        no_rope_layers=[1, 1, 0, 1],
        **decoders._GROUPED,
    )
}


def _vlm(kind: str) -> rs.VLM:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(decoders.KINDS, kind, {**LENGTHS, **BY_ROW}[kind])
        return rs.load(model=decoders.decoder_model(kind), processor=make_processor())


@pytest.fixture(params=LENGTHS)
def vlm(request: pytest.FixtureRequest) -> rs.VLM:
    return _vlm(request.param)


@pytest.fixture
def image(noise_image: Callable[..., Image.Image]) -> Image.Image:
    return noise_image(40, 30)


def of_length(vlm: rs.VLM, image: Image.Image, n: int) -> rs.engine.Prompt:
    """A prompt of `n` positions."""
    words = LONG.split()
    for count in range(1, len(words)):
        prompt = vlm.prompt(image, " ".join(words[:count]))
        if len(prompt.inputs.input_ids) == n:
            return prompt
    raise AssertionError(f"no prompt of {n} positions")


def library(vlm: rs.VLM) -> LlavaForConditionalGeneration:
    """The same model as if it had just been loaded, with nothing of retinoscope."""
    again: Any = type(vlm.model)._from_config(vlm.model.config).eval()
    again.load_state_dict(vlm.model.state_dict())
    return again


def given(vlm: rs.VLM, image: Image.Image, prompt: Any) -> dict[str, torch.Tensor]:
    call: Any = vlm.processor
    return dict(call(text=[prompt.formatted], images=[image], return_tensors="pt"))


def logits(vlm: rs.VLM, image: Image.Image, prompt: Any) -> torch.Tensor:
    with torch.no_grad():
        return library(vlm)(**given(vlm, image, prompt)).logits[0, -1].float()


def near(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    return float((found - wanted).abs().max()) <= 1e-4 * float(wanted.abs().max())


def test_runs_do_not_depend_on_what_was_run_before(vlm: rs.VLM, image: Image.Image) -> None:
    """Near and past the original context, whatever came before."""
    lengths = (100, ORIGINAL - 1, 80, ORIGINAL, ORIGINAL + 1, 120, 80)
    for n in lengths:
        prompt = of_length(vlm, image, n)
        run = vlm.run(prompt)
        assert near(run.logits, logits(vlm, image, prompt)), n
        for exact in ("incremental", "reference"):
            assert near(run.counterfactuals([()], exact=exact).logits[0], run.logits), n


def test_prompts_of_other_lengths_share_no_keys(vlm: rs.VLM, image: Image.Image) -> None:
    prompts = [of_length(vlm, image, n) for n in (60, 62, 120)]
    for chosen in (prompts, prompts[::-1]):
        runs = vlm.run_many(image, chosen)
        tokens = runs[0].image.at([3, 4, 20])
        effects = runs.counterfactuals([rs.Ablate(tokens), ()]) if runs.shared else None
        for number, (run, prompt) in enumerate(zip(runs, chosen, strict=True)):
            assert near(run.logits, logits(vlm, image, prompt))
            if effects is not None:
                assert near(effects[number].logits[1], run.logits)
    kept = vlm.run_many(image, prompts[:2])
    assert kept.shared > 50, "on one side of the boundary they share as before"


@pytest.mark.parametrize("n", [57, 63, 64, 65, 90])
def test_greedy_text_is_the_library_s(vlm: rs.VLM, image: Image.Image, n: int) -> None:
    """Across the boundary the library keeps old keys as they are; and so does every path here."""
    prompt = of_length(vlm, image, n)
    run = vlm.run(prompt)
    inputs = given(vlm, image, prompt)
    made = library(vlm).generate(
        **inputs,
        max_new_tokens=24,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    ids = made.sequences[0, n:].tolist()
    wanted = torch.cat(made.logits).float()
    few = rs.tokens.random(run, n=5, seed=0)
    conditions = [(), rs.Ablate(few), rs.Knockout(few, "last+generated")]
    fast = run.counterfactuals(conditions).generate(24, keep_logits=True)
    plain = run.counterfactuals(conditions, exact="reference").generate(24, keep_logits=True)
    for one in (fast[0], plain[0], run.generate(24)):
        assert one.token_ids.tolist() == ids
        assert one.logits is not None
        assert near(one.logits, wanted)
    for one, other in zip(fast, plain, strict=True):
        assert one.token_ids.tolist() == other.token_ids.tolist()
    # What was generated leaves nothing behind for later counterfactuals of the prompt.
    again = run.counterfactuals(conditions).logits
    assert near(again, run.counterfactuals(conditions, exact="reference").logits)


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_a_context_is_kept_up_to_the_boundary(kind: str, image: Image.Image) -> None:
    vlm = _vlm(kind)
    first = vlm.run(vlm.prompt(image, "Is there", raw=False))
    context = compact_context(first, [range(first.n)] * vlm.n_layers)
    for words, fits in ((SHORT, True), (LONG, False)):
        question = vlm.run(vlm.prompt(image, f"{first.prompt.formatted} {words}", raw=True))
        assert (question.n <= ORIGINAL) == fits
        if fits:
            found = context.answer(question, 1, keep_logits=True).logits
            assert near(found[0], question.logits)
        else:
            with pytest.raises(rs.errors.CapabilityError, match=f"past {ORIGINAL}"):
                context.answer(question)


@pytest.mark.filterwarnings("ignore::retinoscope.errors.IntegrationWarning")
@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_gradients_past_the_boundary(kind: str, image: Image.Image) -> None:
    """What stands before the image is read with the angles of the whole text."""
    vlm = _vlm(kind)
    prompt = of_length(vlm, image, 100)
    run = vlm.run(prompt)
    found = rs.tokens.integrated_gradients(run, 7, baseline="zero", steps=2)
    embeds = run.embeddings.clone()
    embeds[list(run.image.positions)] = 0
    with torch.no_grad():
        empty = library(vlm)(inputs_embeds=embeds[None]).logits[0, -1, 7]
    assert found.change == pytest.approx(float(run.logits[7] - empty), abs=1e-4)


def test_queries_scaled_by_their_place_in_the_call(image: Image.Image) -> None:
    """Llama 4's temperature: no block can be called for some rows, so none is."""
    vlm = _vlm("temperature by row")
    assert not vlm.capabilities.supports("incremental")
    run = vlm.run(of_length(vlm, image, 80))
    assert near(run.logits, logits(vlm, image, run.prompt))
    few = rs.tokens.random(run, n=4, seed=0)
    effects = run.counterfactuals([rs.Ablate(few), rs.Knockout(few, "last")])
    assert set(effects.path) == {"reference"}
    with pytest.raises(rs.errors.CapabilityError, match="attn_temperature_tuning"):
        run.attention(2)


def test_the_user_s_model_is_as_it_was(vlm: rs.VLM, image: Image.Image) -> None:
    state = _state(vlm)
    run = vlm.run(of_length(vlm, image, 100))
    run.generate(4)
    few = rs.tokens.random(run, n=2, seed=0)
    run.counterfactuals([rs.Ablate(few)]).generate(3)
    rs.tokens.by_gradient(run, 7, n=3, steps=4)
    for name, value in _state(vlm).items():
        assert torch.equal(value, state[name]), name


def _state(vlm: rs.VLM) -> dict[str, torch.Tensor]:
    rotary = vlm.model.model.language_model.rotary_emb
    kept = {**dict(rotary.named_buffers()), **vars(rotary)}
    return {
        name: torch.as_tensor(value).clone()
        for name, value in kept.items()
        if name.endswith(("inv_freq", "max_seq_len_cached")) and "long" not in name
    }
