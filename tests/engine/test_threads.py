"""Several threads on one model: every one gets its own result, and the model stays what it was."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

import retinoscope as rs
from retinoscope.engine._hooks import skipping
from retinoscope.models import attending
from tests.conftest import make_model, make_processor
from tests.engine.decoders import decoder_model

_THREADS, _ROUNDS = 8, 6


def _picture(seed: int) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((56, 56), Image.Resampling.BICUBIC)


def _conditions(run) -> list[rs.engine.Intervention]:
    tokens = run.image.at(range(10))
    return [rs.Knockout(tokens, "last"), rs.Ablate(tokens, rs.fill.zero())]


def _all_of_it(vlm: rs.VLM, seed: int) -> torch.Tensor:
    """Everything that one thread does with a model, as one row of numbers."""
    run = vlm.run(vlm.prompt(_picture(seed), "Is there a cat in this image?"))
    parts = [run.logits]
    for exact in ("reference", "incremental"):
        effects = run.counterfactuals(_conditions(run), exact=exact)
        parts += [
            *effects.logits,
            *(one.logits[-1] for one in effects.generate(3, keep_logits=True)),
        ]
    goal = rs.saliency.resolve(run, run.logits.argmax().item())
    parts += [
        run.attention(1, "last").flatten(),
        run.lens(top_k=2).probs.flatten(),
        goal.weights.gradients[0].flatten(),
        goal.states.gradients[0].flatten(),
    ]
    return torch.cat(parts)


def _at_once(work: Callable[[int], torch.Tensor], n: int) -> list[torch.Tensor]:
    gate = threading.Barrier(n)

    def started(number: int) -> list[torch.Tensor]:
        gate.wait()
        return [work(number) for _ in range(_ROUNDS)]

    with ThreadPoolExecutor(n) as pool:
        return [torch.stack(rows) for rows in pool.map(started, range(n))]


def _given(model, vlm: rs.VLM) -> dict[str, torch.Tensor]:
    """What a user calls the model with."""
    text = "USER: <image> Describe this image. ASSISTANT:"
    return dict(vlm.processor(text=text, images=_picture(99), return_tensors="pt"))


def _forwards(model) -> list[str]:
    return [name for name, module in model.named_modules() if "forward" in vars(module)]


def _hooks(model) -> int:
    """The library puts some on for good: those that collect hidden states."""
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()
    )


@pytest.fixture(params=["sdpa", "eager"])
def model(request):
    return make_model(attention=request.param)


def test_threads_on_one_model(model):
    """Two `VLM`s over one model, and the user's own calls of it in between."""
    vlms = [rs.load(model=model, processor=make_processor()) for _ in range(2)]
    wanted = [_all_of_it(vlms[0], seed) for seed in range(_THREADS)]
    given = _given(model, vlms[0])
    with torch.no_grad():
        own = model(**given).logits
    hooks = _hooks(model)

    def work(number: int) -> torch.Tensor:
        if number < _THREADS:
            return _all_of_it(vlms[number % 2], number)
        with torch.no_grad():
            return torch.stack([model(**given).logits for _ in range(20)])

    *found, called, also = _at_once(work, _THREADS + 2)
    for rows, one in zip(found, wanted, strict=True):
        assert torch.allclose(rows, one.expand_as(rows), atol=1e-5)
    for rows in (called, also):
        assert torch.equal(rows, own.expand_as(rows))
    with torch.no_grad():
        assert torch.equal(model(**given).logits, own)
    assert not _forwards(model)
    assert _hooks(model) == hooks
    assert model.config.text_config._attn_implementation in ("sdpa", "eager")


def test_another_thread_passes_while_one_is_inside(model):
    """At every place where hooks, functions or the attention's name are replaced."""
    vlm = rs.load(model=model, processor=make_processor())
    given = _given(model, vlm)
    with torch.no_grad():
        own = model(**given).logits
    for inside in (
        skipping(vlm.adapter.decoder.layers),
        attending(vlm.adapter.text_config, None),
        attending(vlm.adapter.text_config, lambda *_, **__: pytest.fail("another thread's")),
    ):
        with inside, ThreadPoolExecutor(1) as pool, torch.no_grad():
            assert torch.equal(pool.submit(lambda: model(**given).logits).result(), own)


def test_skipping_interleaved():
    """The first to enter leaves first: what it put on is still taken off, and only by the last."""
    layers = decoder_model("qwen2").model.language_model.layers
    first = skipping(layers)
    first.__enter__()
    entered, leave = threading.Event(), threading.Event()

    def second() -> None:
        with skipping(layers):
            entered.set()
            leave.wait(5)

    thread = threading.Thread(target=second)
    thread.start()
    entered.wait(5)
    first.__exit__(None, None, None)
    assert all("forward" in vars(layer) for layer in layers)
    leave.set()
    thread.join()
    assert not any("forward" in vars(layer) for layer in layers)


def test_skipping_gives_back_what_was_there():
    """A forward that somebody else put on the module, before or meanwhile, stays on it."""
    layer = torch.nn.Linear(2, 2)
    plain = layer.forward
    layer.forward = before = lambda hidden: plain(hidden) + 1
    with skipping([layer]) as seen:
        assert torch.equal(layer(torch.ones(1, 2)), torch.ones(1, 2))
        assert len(seen) == 1
    assert layer.forward is before
    with pytest.raises(KeyboardInterrupt), skipping([layer]):
        raise KeyboardInterrupt
    assert layer.forward is before
    with skipping([layer]):
        ours = layer.forward
        layer.forward = meanwhile = lambda hidden: ours(hidden) * 2
    assert layer.forward is meanwhile
    assert torch.equal(layer(torch.ones(1, 2)), (plain(torch.ones(1, 2)) + 1) * 2)
