"""Products in 8-bit integers: near the exact ones, forth and back, and gone afterwards."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import nn
from transformers import LlamaModel

from retinoscope.errors import CapabilityError
from retinoscope.recipes.smol._int8 import Int8Linear, in_int8, require_compiler, require_cpu
from tests.pocket import tiny_smol


@pytest.fixture
def language() -> LlamaModel:
    return tiny_smol.language(8, spread=0.02).model.requires_grad_(False)


def test_a_product_and_its_gradient_are_near_the_exact_ones() -> None:
    torch.manual_seed(0)
    exact = nn.Linear(64, 48, bias=False).requires_grad_(False)
    rounded = Int8Linear(exact.weight)
    # Rows of very different sizes: each has a scale of its own.
    x = torch.randn(3, 5, 64) * torch.logspace(-3, 3, 15).view(3, 5, 1)
    g = torch.randn(3, 5, 48)
    found = []
    for layer in (exact, rounded):
        into = x.clone().requires_grad_(True)
        out = layer(into)
        (gradient,) = torch.autograd.grad(out, into, g)
        found.append((out.detach(), gradient))
    for true, other in zip(*found, strict=True):
        off = (true - other).norm(dim=-1) / true.norm(dim=-1)
        assert 0 < off.max() < 0.02


def test_a_row_of_zeros_stays_zero() -> None:
    layer = Int8Linear(torch.randn(8, 8))
    assert layer(torch.zeros(2, 8)).eq(0).all()


@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling needs a C++ compiler")
def test_a_whole_decoder_is_near_and_is_itself_again_afterwards(language) -> None:
    torch.manual_seed(1)
    x = torch.randn(2, 6, 32)
    names = [name for name, _ in language.named_modules()]

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        into = x.clone().requires_grad_(True)
        out = language(inputs_embeds=into, use_cache=False).last_hidden_state
        (gradient,) = torch.autograd.grad(out.square().sum(), into)
        return out.detach(), gradient

    before = run()
    with in_int8(language):
        within = run()
    after = run()
    assert [name for name, _ in language.named_modules()] == names
    for exact, rounded, again in zip(before, within, after, strict=True):
        assert torch.equal(exact, again)
        off = (exact - rounded).norm() / exact.norm()
        assert 0 < off < 0.2


def test_what_is_trained_or_has_biases_is_refused_and_left_alone(language) -> None:
    linear = language.layers[1].mlp.up_proj
    linear.weight.requires_grad_(True)
    with pytest.raises(CapabilityError, match="frozen matrices without biases"), in_int8(language):
        pass
    assert language.layers[1].mlp.up_proj is linear
    linear.weight.requires_grad_(False)
    language.layers[0].mlp.up_proj = nn.Linear(32, 64).requires_grad_(False)
    with pytest.raises(CapabilityError, match="without biases"), in_int8(language):
        pass


def test_other_devices_are_refused() -> None:
    require_cpu(torch.device("cpu"))
    with pytest.raises(CapabilityError, match="CPUs only, got a model on cuda"):
        require_cpu(torch.device("cuda"))


def test_a_machine_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(CapabilityError, match="got no no-such-compiler here: install it"):
        require_compiler()
