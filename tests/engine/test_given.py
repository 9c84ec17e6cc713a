"""Models and processors that a user hands over: exact, or one line that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import retinoscope as rs
from retinoscope.tokens import LogitGradient
from tests.conftest import make_model, make_processor, make_tokenizer

peft = pytest.importorskip("peft")

DECODER = "model.language_model"
QUESTION = "Is there a cat in this image?"


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


def _changed(change: Callable[[Any], object]) -> Any:
    model = make_model()
    change(model)
    return model


def _lora(**options: Any) -> Any:
    torch.manual_seed(1)
    settings = peft.LoraConfig(init_lora_weights=False, **options)
    return peft.get_peft_model(make_model(), settings).eval()


def _hooked(name: str) -> Any:
    def put_on(model: Any) -> None:
        model.get_submodule(name).register_forward_hook(
            lambda _, __, output: (output if torch.is_tensor(output) else output[0],)
        )

    return _changed(put_on)


def _prefix() -> Any:
    settings = peft.PrefixTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=3,
        num_layers=4,
        num_attention_heads=4,
        token_dim=32,
    )
    return peft.get_peft_model(make_model(), settings).eval()


MODELS: dict[str, tuple[Callable[[], Any], str]] = {
    "wrapped head": (
        lambda: _changed(lambda m: setattr(m, "lm_head", Wrapped(m.lm_head))),
        r"nn\.Linear.*as its head.*Wrapped",
    ),
    "wrapped embedding": (
        lambda: _changed(lambda m: m.set_input_embeddings(Wrapped(m.get_input_embeddings()))),
        r"nn\.Embedding.*as its token embedding.*Wrapped",
    ),
    "adapter on the head": (lambda: _lora(target_modules=["lm_head"]), r"peft.*merge_and_unload"),
    "adapter on the embedding": (lambda: _lora(target_modules=["embed_tokens"]), r"peft.*merge"),
    "learned prompt": (_prefix, r"learned prompts.*LoRA"),
    "DataParallel": (lambda: nn.DataParallel(make_model()), r"DataParallel.*model\.module"),
    "without a head": (lambda: make_model().model, r"LlavaModel.*AutoModelForImageTextToText"),
    "a name": (lambda: "pocket", r"retinoscope\.load\('pocket'\)"),
    "another module": (lambda: nn.Linear(2, 2), r"PreTrainedModel.*Linear"),
    "tuples of a block": (
        lambda: _hooked("model.language_model.layers.1"),
        r"hooks on .*layers\.1",
    ),
    "tuples of the decoder": (
        lambda: _hooked("model.language_model"),
        r"hooks on .*language_model",
    ),
    "tuples of the model": (lambda: _hooked(""), r"hooks on LlavaForConditionalGeneration"),
    "tuples of the head": (lambda: _hooked("lm_head"), r"hooks on lm_head"),
    "no dictionaries": (
        lambda: _changed(lambda m: setattr(m.config, "return_dict", False)),
        r"return_dict = True",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_that_are_refused(name):
    make, told = MODELS[name]
    with pytest.raises(rs.RetinoscopeError, match=told) as error:
        rs.load(model=make(), processor=make_processor())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "make", [make_tokenizer, lambda: make_processor().image_processor, lambda: "pocket"]
)
def test_processors_that_are_refused(make):
    with pytest.raises(rs.InputError, match=r"images and text.*AutoProcessor"):
        rs.load(model=make_model(), processor=make())


def test_a_model_in_the_place_of_a_name():
    with pytest.raises(rs.InputError, match=r"model=.*processor="):
        rs.load(make_model())


def test_a_processor_of_another_size(square):
    vlm = rs.load(model=make_model(), processor=make_processor(side=24))
    with pytest.raises(rs.InputError, match=r"24\*24.*another model"):
        vlm.run(vlm.prompt(square, QUESTION))


def _library(vlm: rs.VLM, run: rs.engine.Run, image) -> torch.Tensor:
    call: Any = vlm.processor
    given = call(text=[run.prompt.formatted], images=[image], return_tensors="pt")
    with torch.no_grad():
        return vlm.model(**given).logits[0, -1].float()


def _both(run) -> tuple[rs.engine.Effects, torch.Tensor]:
    tokens = run.image.at(range(9))
    asked = [rs.Ablate(tokens, rs.fill.zero()), rs.Knockout(tokens, "last", layers=[1, 2])]
    found = run.counterfactuals(asked)
    return found, run.counterfactuals(asked, exact="reference").logits


def _compiled() -> Any:
    # A wrapper only: what is in it never runs compiled here.
    return torch.compile(make_model(), backend="eager")


@pytest.mark.parametrize(
    "make",
    [lambda: _lora(target_modules=["q_proj", "down_proj"]), _compiled],
    ids=["lora", "compiled"],
)
def test_wrappers_that_are_taken_off(make, square):
    """Adapters in the layers count; the plain model without them answers something else."""
    given = make()
    vlm = rs.load(model=given, processor=make_processor())
    assert type(vlm.model).__name__ == "LlavaForConditionalGeneration"
    run = vlm.run(vlm.prompt(square, QUESTION))
    assert torch.allclose(run.logits, _library(vlm, run, square), atol=1e-5)
    found, wanted = _both(run)
    assert found.path[0] == "incremental"
    assert torch.allclose(found.logits, wanted, atol=1e-4)
    if hasattr(given, "disable_adapter"):
        with given.disable_adapter():
            assert float((_library(vlm, run, square) - run.logits).abs().max()) > 0.1


def test_under_autocast(square):
    """What the library gives under the same autocast, on the reference path; outside as before."""
    outside = rs.load(model=make_model(), processor=make_processor())
    before = _both(outside.run(outside.prompt(square, QUESTION)))[0].logits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vlm = rs.load(model=outside.model, processor=make_processor())
        assert vlm.capabilities.supports("incremental")
        run = vlm.run(vlm.prompt(square, QUESTION))
        plain = _library(vlm, run, square)
        assert torch.equal(run.logits, plain)
        assert not torch.allclose(plain, before[0], atol=1e-4)
        found, wanted = _both(run)
        assert set(found.path) == {"reference"}
        assert torch.equal(found.logits, wanted)
        assert len(found.generate(3)) == 2
        runs = vlm.run_many(square, [QUESTION, "Is there a dog in this image?"])
        assert torch.equal(runs[0].logits, run.logits)
        lens = run.lens(positions="last", top_k=3)
        assert torch.allclose(lens.probs[-1, 0], run.logits.softmax(-1).topk(3).values, atol=2e-2)
        rows = run.attention(1, "last")
        assert torch.allclose(rows.float().sum(-1), torch.ones(len(rows), 1), atol=2e-2)
        assert LogitGradient(run, 7).here.gradients.isfinite().all()
    vlm = outside
    assert torch.equal(_both(vlm.run(vlm.prompt(square, QUESTION)))[0].logits, before)
