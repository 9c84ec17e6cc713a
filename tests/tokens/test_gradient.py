"""Gradients to the visual tokens, against loops that use only transformers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from PIL import Image
from tokenizers.processors import TemplateProcessing
from torch import Tensor

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.errors import IntegrationWarning
from retinoscope.models import Adapter
from retinoscope.saliency import Target
from retinoscope.tokens import LogitGradient, integrated_gradients
from tests.engine.decoders import KINDS, decoder_vlm

# A few steps are enough to compare two ways; they do not add up.
pytestmark = pytest.mark.filterwarnings("ignore::retinoscope.errors.IntegrationWarning")

TEXT = "Describe this image. What is the color of <image> Is there a cat in this image?"
BEFORE = 9
"""Positions before the image: the text's first eight words and the beginning-of-text token."""


@pytest.fixture(scope="module")
def late(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> Run:
    """Words lie before the image."""
    return tiny.run(tiny.prompt(noise_image(50, 70), TEXT, raw=True))


def by_hand(run: Run, target: str, start: Tensor, steps: int, **arguments: Any) -> Tensor:
    """(n, d_model) integrated gradients: one forward and one backward pass a step."""
    goal = run.vlm.tokenizer.convert_tokens_to_ids(f"▁{target}")
    places = list(run.image.positions)
    end = run.embeddings[places]
    total = torch.zeros_like(end)
    for step in range(steps + 1):
        mixed = (start + step / steps * (end - start)).detach().requires_grad_(True)
        embeds = run.embeddings.clone()
        embeds[places] = mixed
        logits = run.vlm.model(inputs_embeds=embeds[None], use_cache=False, **arguments).logits
        (slope,) = torch.autograd.grad(logits[0, -1, goal], mixed)
        total += slope * (0.5 if step in (0, steps) else 1.0)
    return total / steps * (end - start)


def slope_of(function: Callable[[float], float], step: float) -> float:
    """Central differences of the fourth order: the norms compute in float32 in any model."""
    one, two = (function(k * step) - function(-k * step) for k in (1, 2))
    return (8 * one - two) / (12 * step)


@contextmanager
def rows_seen(adapter: Any) -> Iterator[list[tuple[int, int]]]:
    """Batch and positions of every call of a decoder."""
    seen: list[tuple[int, int]] = []
    decode = adapter.decode

    def look(embeds: Tensor, *rest: Any, **arguments: Any) -> Tensor:
        seen.append((embeds.shape[0], embeds.shape[1]))
        return decode(embeds, *rest, **arguments)

    # Not a hook: the run was made without one.
    adapter.decode = look
    try:
        yield seen
    finally:
        del adapter.decode


@pytest.mark.parametrize("kind", KINDS)
def test_the_plain_loop_gives_the_same(kind: str, noise_image: Callable[..., Image.Image]) -> None:
    vlm = decoder_vlm(kind)
    run = vlm.run(vlm.prompt(noise_image(50, 70), TEXT, raw=True))
    start = run.image.embeddings.mean(0).expand_as(run.image.embeddings)
    wanted = by_hand(run, "cat", start, 4)
    with rows_seen(vlm.adapter) as seen:
        found = integrated_gradients(run, "cat", steps=4, batch_size=3)
    torch.testing.assert_close(found.signed, wanted.sum(-1), atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(found.scores, wanted.abs().sum(-1), atol=2e-4, rtol=1e-3)
    # The words before the image once, then the run itself, then the other four steps.
    rest = run.n - BEFORE
    assert seen == [(1, BEFORE), (1, rest), (3, rest), (1, rest)]


def test_a_prefix_that_reads_the_image_is_not_kept(
    tiny_model: Any, tiny_processor: Any, square: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With attention both ways, what lies before the image changes with it."""
    vlm = rs.load(model=tiny_model, processor=tiny_processor, check=False)

    def both_ways(inputs: object, start: int, stop: int) -> dict[str, Tensor]:
        return {"attention_mask": torch.zeros(1, 1, stop - start, stop)}

    monkeypatch.setattr(vlm.adapter, "arguments", both_ways)
    run = vlm.run(vlm.prompt(square, TEXT, raw=True))
    mask = torch.zeros(1, 1, run.n, run.n)
    start = run.image.embeddings.mean(0).expand_as(run.image.embeddings)
    wanted = by_hand(run, "cat", start, 2, attention_mask=mask)
    causal = by_hand(run, "cat", start, 2)
    assert (wanted - causal).abs().max() > 1e-2
    with rows_seen(vlm.adapter) as seen:
        found = integrated_gradients(run, "cat", steps=2)
    torch.testing.assert_close(found.signed, wanted.sum(-1), atol=1e-4, rtol=1e-3)
    assert seen == [(1, BEFORE), (1, run.n), (2, run.n)]


def test_a_decoder_that_needs_the_whole_prompt_gets_it(
    tiny_model: Any, tiny_processor: Any, square: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass over a cache that does not give the run's state is not used."""
    vlm = rs.load(model=tiny_model, processor=tiny_processor, check=False)
    run = vlm.run(vlm.prompt(square, TEXT, raw=True))
    start = run.image.embeddings.mean(0).expand_as(run.image.embeddings)
    wanted = by_hand(run, "cat", start, 2)

    def forgets(inputs: object, first: int, stop: int) -> dict[str, Tensor]:
        # Numbers the positions from 0 behind a cache, as if it were not there.
        return {"position_ids": torch.arange(stop - first)[None]}

    monkeypatch.setattr(vlm.adapter, "arguments", forgets)
    # Rotary angles are relative: a shift of every position by as much would not show.
    with rows_seen(vlm.adapter) as seen:
        found = integrated_gradients(run, "cat", steps=2)
    torch.testing.assert_close(found.signed, wanted.sum(-1), atol=1e-4, rtol=1e-3)
    assert seen == [(1, BEFORE), (1, run.n - BEFORE), (1, run.n), (2, run.n)]


def test_an_image_first_has_no_prefix(build: Any, tiny_model: Any, square: Image.Image) -> None:
    processor = build.processor()
    processor.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A")
    vlm = rs.load(model=tiny_model, processor=processor, check=False)
    run = vlm.run(vlm.prompt(square, "<image> Is there a cat in this image?", raw=True))
    assert run.image.positions[0] == 0
    start = run.image.embeddings.mean(0).expand_as(run.image.embeddings)
    with rows_seen(vlm.adapter) as seen:
        found = integrated_gradients(run, "cat", steps=2)
    wanted = by_hand(run, "cat", start, 2)
    torch.testing.assert_close(found.signed, wanted.sum(-1), atol=1e-4, rtol=1e-3)
    assert seen == [(1, run.n), (2, run.n)]


def test_the_slope_is_the_finite_difference(build: Any, square: Image.Image) -> None:
    """Along random directions, through the model's own forward pass."""
    vlm = rs.load(model=build.model().double(), processor=build.processor())
    run = vlm.run(vlm.prompt(square, TEXT, raw=True))
    places = list(run.image.positions)
    found = LogitGradient(run, "cat", "car")
    ids = [vlm.tokenizer.convert_tokens_to_ids(word) for word in ("▁cat", "▁car")]
    assert (found.target, found.versus) == tuple(ids)

    def difference(embeddings: Tensor) -> float:
        embeds = run.embeddings.clone()
        embeds[places] = embeddings
        with torch.no_grad():
            last = vlm.model(inputs_embeds=embeds[None]).logits[0, -1]
        return float(last[ids[0]] - last[ids[1]])

    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        way = torch.randn(found.embeddings.shape, generator=generator, dtype=torch.float64)
        wanted = slope_of(lambda step, way=way: difference(found.embeddings + step * way), 2e-3)
        slope = float((found.here.gradients[0] * way).sum())
        assert slope == pytest.approx(wanted, rel=5e-3, abs=5e-3)
    assert float(found.here.values[0]) == pytest.approx(difference(found.embeddings), abs=1e-5)


def test_only_the_rows_asked_for_are_read(late: Run) -> None:
    goal = late.vlm.tokenizer.convert_tokens_to_ids("▁red")
    calls: list[Tensor] = []
    handle = late.adapter.unembedding.register_forward_hook(lambda *given: calls.append(given[-1]))
    try:
        hooked = late.vlm.run(late.prompt)
        assert len(calls) == 1
        found = LogitGradient(hooked, goal, "blue")
    finally:
        handle.remove()
    assert len(calls) == 1
    other = late.vlm.tokenizer.convert_tokens_to_ids("▁blue")
    wanted = late.logits[goal] - late.logits[other]
    torch.testing.assert_close(found.here.values[0], wanted, atol=1e-5, rtol=1e-5)


def test_soft_caps_and_heads_of_their_own(late: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = LogitGradient(late, "cat").here
    # Set in the adapter, which finds out by itself that the model caps nothing.
    monkeypatch.setitem(vars(late.adapter), "soft_cap", 1.5)
    capped = LogitGradient(late, "cat").here
    wanted = 1.5 * torch.tanh(plain.values / 1.5)
    torch.testing.assert_close(capped.values, wanted)
    slope = 1 - (wanted / 1.5) ** 2
    torch.testing.assert_close(capped.gradients, plain.gradients * slope, atol=1e-5, rtol=1e-4)
    monkeypatch.undo()

    whole = Adapter.unembed
    own = type("Scaled", (type(late.adapter),), {"unembed": lambda self, x: 3 * whole(self, x)})
    monkeypatch.setattr(late.adapter, "__class__", own)
    tripled = LogitGradient(late, "cat").here
    torch.testing.assert_close(tripled.values, 3 * plain.values)
    torch.testing.assert_close(tripled.gradients, 3 * plain.gradients, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
    ids=["gpu", "cpu"],
)
def test_a_batch_too_large_is_halved(
    late: Run, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = integrated_gradients(late, "cat", steps=9, batch_size=1)
    decode = late.adapter.decode
    sizes: list[int] = []

    def small(embeds: Tensor, *rest: Any, **arguments: Any) -> Tensor:
        sizes.append(len(embeds))
        if len(embeds) > 2:
            raise error
        return decode(embeds, *rest, **arguments)

    monkeypatch.setattr(late.adapter, "decode", small)
    found = integrated_gradients(late, "cat", steps=9)
    assert sizes[2:] == [8, 4, 2, 2, 2, 2, 1]
    torch.testing.assert_close(found.signed, wanted.signed, atol=1e-5, rtol=1e-4)
    assert found.change == pytest.approx(wanted.change, abs=1e-5)

    def nothing(embeds: Tensor, *rest: Any, **arguments: Any) -> Tensor:
        raise error

    monkeypatch.setattr(late.adapter, "decode", nothing)
    with pytest.raises(type(error)):
        integrated_gradients(late, "cat", steps=9)


def test_a_budget_bounds_the_batch(late: Run) -> None:
    one = LogitGradient(late, "cat").cost
    with rows_seen(late.adapter) as seen:
        integrated_gradients(late, "cat", steps=6, memory=2 * one)
    assert [batch for batch, _ in seen[2:]] == [2, 2, 2]


def test_parameters_are_as_they_were(build: Any, square: Image.Image) -> None:
    vlm = rs.load(model=build.model(), processor=build.processor())
    run = vlm.run(vlm.prompt(square, "Is there a cat in this image?"))
    parameters = list(vlm.model.parameters())
    for parameter in parameters[::2]:
        parameter.requires_grad_(False)
    before = [parameter.requires_grad for parameter in parameters]
    asked: list[bool] = []
    handle = vlm.adapter.language_model.register_forward_pre_hook(
        lambda *_: asked.append(
            torch.is_grad_enabled() and any(p.requires_grad for p in parameters)
        )
    )
    run = vlm.run(run.prompt)
    integrated_gradients(run, "cat", steps=2)
    handle.remove()
    assert asked
    assert not any(asked)
    assert [parameter.requires_grad for parameter in parameters] == before

    def fails(*_: object) -> None:
        if torch.is_grad_enabled():
            raise ZeroDivisionError

    handle = vlm.adapter.language_model.register_forward_pre_hook(fails)
    run = vlm.run(run.prompt)
    with pytest.raises(ZeroDivisionError):
        integrated_gradients(run, "cat", steps=2)
    handle.remove()
    assert [parameter.requires_grad for parameter in parameters] == before
    assert all(parameter.grad is None for parameter in parameters)


def test_several_images(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> None:
    images = [noise_image(50, 70), noise_image(56, 56, seed=1)]
    text = "Is there <image> a cat in <image> What is this"
    run = tiny.run(tiny.prompt(images, text, raw=True))
    places = [place for image in run.images for place in image.positions]
    found = LogitGradient(run, "cat")
    embeds = run.embeddings.clone().requires_grad_(True)
    logits = tiny.model(inputs_embeds=embeds[None]).logits[0, -1]
    (wanted,) = torch.autograd.grad(logits[found.target], embeds)
    torch.testing.assert_close(found.here.gradients[0], wanted[places], atol=1e-5, rtol=1e-4)
    assert integrated_gradients(run, "cat", steps=2).scores.shape == (98,)


def test_refusals(
    late: Run, tiny: rs.VLM, square: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(rs.InputError, match="batch_size from 1 up, got 0"):
        integrated_gradients(late, "cat", batch_size=0)
    with pytest.raises(rs.InputError, match="amount of memory"):
        integrated_gradients(late, "cat", memory="lots")
    with pytest.raises(rs.InputError, match="token ids from 0 to 37"):
        integrated_gradients(late, 38)
    with pytest.raises(rs.InputError, match="two different tokens"):
        LogitGradient(late, "cat", " cat")
    with pytest.raises(rs.InputError, match="with an image"):
        LogitGradient(tiny.run(tiny.prompt(None, "Is there a cat?")), "cat")
    told = tiny.adapter.capabilities().refusing("gradients", "its weights are packed")
    monkeypatch.setattr(tiny.adapter, "capabilities", lambda: told)
    with pytest.raises(rs.CapabilityError, match="its weights are packed"):
        LogitGradient(late, "cat")


def test_a_decoder_that_gives_other_states_is_refused(
    late: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = late.adapter.decode
    monkeypatch.setattr(late.adapter, "decode", lambda *a, **k: 1.05 * decode(*a, **k))
    with pytest.raises(rs.CapabilityError, match="does not reproduce the run's states"):
        LogitGradient(late, "cat")


@pytest.mark.parametrize(
    "asked",
    [rs.tokens.integrated_gradients, rs.tokens.attribution, rs.saliency.integrated_gradients],
)
def test_whoever_integrates_is_warned(late: Run, asked: Callable[..., Any]) -> None:
    target = Target.token(5, "logit") if asked.__module__.endswith("_gradient_maps") else 5
    with pytest.warns(IntegrationWarning, match="add up to"):
        asked(late, target, steps=2, baseline="zero")
    with warnings.catch_warnings():
        warnings.simplefilter("error", IntegrationWarning)
        asked(late, target, steps=64)


def test_an_integration_that_does_not_add_up_is_warned_of(late: Run) -> None:
    with pytest.warns(IntegrationWarning, match="baseline"):
        poor = rs.tokens.by_gradient(late, 5, 4, steps=2, baseline="zero")
    assert poor.completeness > 0.1
    assert f"completeness error {poor.completeness:.2g}" in repr(poor)
    with warnings.catch_warnings():
        warnings.simplefilter("error", IntegrationWarning)
        good = rs.tokens.by_gradient(late, 5, 4, steps=64)
    assert good.completeness < 0.1
    assert "indices" in repr(good)
    for wrong in (-1, 1.5, True):
        with pytest.raises(rs.InputError):
            rs.tokens.random(late, 3, seed=wrong)  # type: ignore[arg-type]
        with pytest.raises(rs.InputError):
            rs.tokens.by_gradient(late, 5, n=wrong)  # type: ignore[arg-type]
