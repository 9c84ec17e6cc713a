"""The tuned lens: its loss and its words by torch alone, and how it is fitted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from PIL import Image
from torch import Tensor

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.lens import Tuned, TunedFit

QUESTION = "Is there a cat in this image?"


@pytest.fixture(scope="module")
def runs(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> list[Run]:
    sizes = ((50, 70), (28, 28), (30, 90))
    return [tiny.run(tiny.prompt(noise_image(*size), QUESTION)) for size in sizes]


def fitted(vlm: rs.VLM, runs: list[Run], **options: object) -> TunedFit:
    fit = TunedFit(vlm.adapter, **{"steps": 30, "batch": 64, **options})  # type: ignore[arg-type]
    for run in runs:
        fit.add(run)
    return fit


@pytest.fixture(scope="module")
def lens(tiny: rs.VLM, runs: list[Run]) -> Tuned:
    return fitted(tiny, runs, rate=1e-2).train(model="tiny", corpus="three")


def log_probs(run: Run, states: Tensor) -> Tensor:
    model = run.vlm.model
    with torch.no_grad():
        return model.lm_head(model.model.language_model.norm(states)).log_softmax(-1)


def test_the_losses_are_those_of_the_held_out_run(lens: Tuned, runs: list[Run]) -> None:
    run, settings = runs[1], lens.card.settings
    wanted = log_probs(run, run.hidden(4))
    for layer in range(4):
        states = run.hidden(layer)
        carried = states @ lens.matrices[layer].T + lens.biases[layer]
        for name, given in (("before", states), ("after", carried)):
            found = log_probs(run, given)
            loss = float((wanted.exp() * (wanted - found)).sum(-1).mean())
            assert settings[f"held_out_kl_{name}"][layer] == pytest.approx(loss, abs=1e-5)
    assert sum(settings["held_out_kl_after"]) < 0.8 * sum(settings["held_out_kl_before"])


def test_the_readout_is_the_map_and_the_head(lens: Tuned, runs: list[Run]) -> None:
    run = runs[0]
    read = run.lens(top_k=3, kind=lens)
    assert (read.kind, read.layers) == ("tuned", (0, 1, 2, 3, 4))
    carried = run.hidden(2) @ lens.matrices[2].T + lens.biases[2]
    wanted = log_probs(run, carried).exp().topk(3).values
    torch.testing.assert_close(read.probs[2], wanted)
    assert torch.equal(read.probs[4], run.lens(top_k=3).probs[4])


def test_the_same_again_and_from_a_checkpoint(tiny: rs.VLM, runs: list[Run], lens: Tuned) -> None:
    kept: dict[int, dict[str, Tensor]] = {}

    def keep(step: int, state: Callable[[], dict[str, Tensor]]) -> None:
        if step == 11:
            kept[step] = state()

    seen: list[tuple[int, int]] = []
    again = fitted(tiny, runs, rate=1e-2)
    whole = again.train(checkpoint=keep, progress=lambda done, of, _: seen.append((done, of)))
    assert (seen[0], seen[-1], len(seen)) == ((1, 30), (30, 30), 30)
    resumed = again.train(begin=(11, kept[11]))
    for layer, matrix in lens.matrices.items():
        assert torch.equal(whole.matrices[layer], matrix)
        assert torch.equal(resumed.matrices[layer], matrix)
        assert torch.equal(resumed.biases[layer], lens.biases[layer])
    other = fitted(tiny, runs, rate=1e-2, seed=1).train()
    assert not torch.equal(other.matrices[0], lens.matrices[0])


def test_positions(tiny: rs.VLM, runs: list[Run]) -> None:
    run = runs[0]
    for at, wanted in (("visual", "image"), ("text", "text")):
        fit = TunedFit(tiny.adapter, at=at)  # type: ignore[arg-type]
        assert fit.sources(run) == run.positions[wanted].positions
    assert fitted(tiny, runs, at="visual", steps=1).train().card.at == "visual"


def test_weights_are_as_they_were(tiny: rs.VLM, runs: list[Run]) -> None:
    weights = list(tiny.model.parameters())
    state = tiny.adapter.state()
    before = [(weight.requires_grad, weight.grad) for weight in weights]
    fitted(tiny, runs, steps=1).train()
    assert [(weight.requires_grad, weight.grad) for weight in weights] == before
    assert tiny.adapter.state() == state


def test_refusals(tiny: rs.VLM, runs: list[Run], lens: Tuned) -> None:
    with pytest.raises(rs.CapabilityError, match="do not add up"):
        Tuned.merge([lens, lens])
    with pytest.raises(rs.InputError, match="at least 2"):
        fitted(tiny, runs[:1]).train()
    with pytest.raises(rs.InputError, match="more memory"):
        fitted(tiny, runs, memory=1000)
    with pytest.raises(rs.InputError, match="visual tokens"):
        TunedFit(tiny.adapter, at="visual").add(tiny.run(tiny.prompt(None, "a cat")))
