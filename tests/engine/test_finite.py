"""NaN and infinity are said, with the place where they began, and never become an answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

import retinoscope as rs
from retinoscope.cli._doctor import doctor
from retinoscope.errors import StudyError
from retinoscope.tokens import EmbeddingGradient
from tests.conftest import make_model, make_processor

QUESTION = "Is there a cat in this image?"


@pytest.fixture
def vlm() -> rs.VLM:
    return rs.load(model=make_model(), processor=make_processor())


@contextmanager
def _broken(parameter: nn.Parameter, value: float = float("nan")) -> Iterator[None]:
    before = parameter.detach().clone()
    with torch.no_grad():
        parameter.view(-1)[0] = value
    try:
        yield
    finally:
        with torch.no_grad():
            parameter.copy_(before)


PLACES = {
    "vision tower": "model.vision_tower.encoder.layers.0.mlp.fc2",
    "projector": "model.multi_modal_projector.linear_1",
    "decoder layer": "model.language_model.layers.2.mlp.down_proj",
}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", PLACES.values(), ids=PLACES)
def test_the_first_place_is_named(vlm, square, name, value):
    names = [one for one, _ in vlm.model.named_modules()]
    (name,) = [one for one in names if one.endswith(name.split(".", 1)[1].split("encoder.")[-1])]
    with (
        _broken(next(vlm.model.get_submodule(name).parameters()), value),
        pytest.raises(rs.NonFiniteError, match=rf"{name} .*float32.*weights") as error,
    ):
        vlm.run(vlm.prompt(square, QUESTION))
    assert "\n" not in str(error.value)
    assert vlm.run(vlm.prompt(square, QUESTION)).logits.isfinite().all()


def test_overflow_in_half_precision(square):
    """The usual cause: an activation that float16 cannot hold; finite weights, and what to do."""
    model = make_model().half()
    vlm = rs.load(model=model, processor=make_processor())
    with torch.no_grad():
        model.model.multi_modal_projector.linear_1.weight.fill_(3e3)
        model.model.multi_modal_projector.linear_1.bias.fill_(6e4)
    with pytest.raises(rs.NonFiniteError, match=r"projector.*float16.*bfloat16 or float32"):
        vlm.run(vlm.prompt(square, QUESTION))
    for encode in (vlm.encode, vlm.encode_whole, lambda images: rs.fill.mean(vlm, images)):
        with pytest.raises(rs.NonFiniteError, match="projector"):
            encode([square])


@pytest.mark.parametrize("exact", ["incremental", "reference"])
def test_what_an_intervention_puts_in(vlm, square, exact):
    """A donor with a NaN; the clean condition beside it shows which one it was."""
    run = vlm.run(vlm.prompt(square, QUESTION))
    donor = vlm.run(vlm.prompt(square, QUESTION))
    donor.embeddings[donor.image.positions[3]] = float("nan")
    donor.hidden(2)[donor.image.positions[3]] = float("nan")
    tokens = run.image.at(range(2, 6))
    for bad, place in (
        (rs.Ablate(tokens, rs.fill.donor(donor)), "position"),
        (rs.Patch(tokens, [2], donor), r"layers\.2"),
    ):
        effects = run.counterfactuals([(), bad], exact=exact)
        with pytest.raises(rs.NonFiniteError, match=place):
            _ = effects.logits
        with pytest.raises(rs.NonFiniteError, match=place):
            effects.generate(2)


@pytest.mark.parametrize("exact", ["incremental", "reference"])
def test_a_token_that_the_model_writes(vlm, square, exact):
    """The embedding of the first answer is broken: the prompt is fine, what follows is not."""
    prompts = [vlm.prompt(square, text) for text in (QUESTION, "a red car", "two", "fish tree")]
    firsts = [int(vlm.run(prompt).logits.argmax()) for prompt in prompts]
    # An answer that does not stand in its own prompt.
    prompt, first = next(
        (prompt, first)
        for prompt, first in zip(prompts, firsts, strict=True)
        if first not in prompt.inputs.input_ids
    )
    with torch.no_grad():
        vlm.adapter.embedding.weight[first, 0] = float("inf")
    run = vlm.run(prompt)
    with pytest.raises(rs.NonFiniteError, match="finite"):
        run.counterfactuals([()], exact=exact).generate(3)


def test_a_state_that_the_last_position_does_not_read(vlm, square):
    """Finite logits beside a state that has no readout: lens and attention say so."""
    run = vlm.run(vlm.prompt(square, QUESTION))
    run.hidden(4)[7] = float("inf")
    with pytest.raises(rs.NonFiniteError, match=r"layer 4 at position 7.*norm"):
        run.lens()
    run.hidden(2)[7] = float("nan")
    with pytest.raises(rs.NonFiniteError, match="block 2"):
        run.attention(2, 7)


def test_gradients(vlm, square):
    """A score with a value and without a slope: the square root at 0."""
    run = vlm.run(vlm.prompt(square, QUESTION))
    with pytest.raises(rs.NonFiniteError, match="gradients"):
        EmbeddingGradient(run, (run.n - 1,), lambda normed: (normed * 0).sum((1, 2)).sqrt())


def test_a_head_that_rules_tokens_out(square):
    """A logit of -inf is meant: such a model runs, generates, and has a lens."""
    model = make_model()

    class Ruled(nn.Linear):
        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            logits = super().forward(hidden)
            logits[..., 5:9] = -torch.inf
            return logits

    head = Ruled(32, model.lm_head.out_features, bias=False)
    head.load_state_dict(model.lm_head.state_dict())
    model.lm_head = head.eval()
    vlm = rs.load(model=model, processor=make_processor())
    run = vlm.run(vlm.prompt(square, QUESTION))
    assert run.logits[5:9].isneginf().all()
    assert not {5, 6, 7, 8} & set(run.generate(4).token_ids.tolist())
    assert run.lens(positions="last").prob(5).max() == 0


def test_a_study_and_the_doctor_say_so(tmp_path, monkeypatch):
    """A study has rows with the error, and ends with it; `doctor` ends in one line."""
    vlm = rs.load("pocket")
    samples = rs.data.scenes(2, seed=0)
    monkeypatch.setattr("retinoscope.cli._doctor.load_model", lambda *_: vlm)
    with _broken(vlm.model.model.multi_modal_projector.linear_2.bias):
        study = rs.studies.LogitLens(vlm, samples, max_failures=1.0)
        with pytest.raises(StudyError, match=r"linear_2.*float32"):
            study.run(tmp_path / "run")
        with pytest.raises(rs.NonFiniteError, match="linear_2"):
            doctor("pocket", out=tmp_path / "doctor.png")
