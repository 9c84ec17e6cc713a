"""The Jacobian lens against derivatives of the library's decoder, computed by torch alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import LlavaForConditionalGeneration, LlavaProcessor

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.lens import Jacobian, JacobianFit, _jacobian

LAYER = 2
QUESTION = "Is there a cat in this image?"


@pytest.fixture(scope="module")
def runs(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> list[Run]:
    sizes = ((50, 70), (28, 28), (30, 90))
    return [tiny.run(tiny.prompt(noise_image(*size), QUESTION)) for size in sizes]


@pytest.fixture(scope="module")
def fit(tiny: rs.VLM, runs: list[Run]) -> JacobianFit:
    return fitted(tiny, runs)


def fitted(vlm: rs.VLM, runs: Sequence[Run], **options: object) -> JacobianFit:
    fit = JacobianFit(vlm.adapter, **{"skip_first": 1, **options})  # type: ignore[arg-type]
    for run in runs:
        fit.add(run)
    return fit


def library_jacobian(vlm: rs.VLM, run: Run, layer: int) -> Tensor:
    """(n, d, n, d) of the last block's output by the states after `layer`, in float64."""
    decoder = copy.deepcopy(vlm.model).double().model.language_model
    seen: list[Tensor] = []
    decoder.norm.register_forward_pre_hook(lambda _, args: seen.append(args[0]))

    def final(states: Tensor) -> Tensor:
        block = decoder.layers[layer]
        hook = block.register_forward_pre_hook(lambda _, args: (states[None], *args[1:]))
        decoder(inputs_embeds=run.embeddings[None].double(), use_cache=False)
        hook.remove()
        return seen[-1][0]

    found = torch.autograd.functional.jacobian(final, run.hidden(layer).double())
    assert isinstance(found, Tensor)
    return found


@pytest.mark.parametrize("at", ["text", "visual"])
def test_equals_the_definition(tiny: rs.VLM, runs: list[Run], at: str) -> None:
    run = runs[0]
    everything = library_jacobian(tiny, run, LAYER)
    valid = range(3, run.n - 1)
    visual = set(run.positions["image"].positions)
    sources = [place for place in valid if (place in visual) == (at == "visual")]
    wanted = sum(
        everything[target, :, source] for source in sources for target in valid if target >= source
    ) / len(sources)
    found = fitted(tiny, [run], at=at, skip_first=3).lens()
    assert found.card.at == at
    torch.testing.assert_close(found.matrices[LAYER].double(), wanted, atol=1e-5, rtol=1e-4)


def test_a_decoder_that_only_multiplies_gives_its_matrix(
    tiny_model: LlavaForConditionalGeneration, tiny_processor: LlavaProcessor
) -> None:
    """Blocks whose own parts add next to nothing leave h + 1e-9 (...): the identity."""
    model = copy.deepcopy(tiny_model)
    for block in model.model.language_model.layers:
        block.mlp.down_proj.weight.data.zero_()
        block.self_attn.o_proj.weight.data *= 1e-9
    vlm = rs.load(model=model, processor=tiny_processor)
    run = vlm.run(vlm.prompt(None, QUESTION))
    lens = fitted(vlm, [run], skip_first=2).lens()
    for matrix in lens.matrices.values():
        torch.testing.assert_close(matrix, torch.eye(vlm.d_model), atol=1e-6, rtol=0)
    torch.testing.assert_close(run.lens(kind=lens).probs, run.lens().probs)


def test_the_readout_is_the_products_and_the_head(fit: JacobianFit, runs: list[Run]) -> None:
    run, lens = runs[1], fit.lens()
    read = run.lens(top_k=3, positions=run.positions["image"], kind=lens)
    assert (read.kind, read.layers) == ("jacobian", (0, 1, 2, 3, 4))
    model = run.vlm.model
    for layer in range(4):
        states = run.hidden(layer, run.positions["image"]) @ (fit.sums[layer] / 3).T
        logits = model.lm_head(model.model.language_model.norm(states))
        torch.testing.assert_close(read.probs[layer], logits.softmax(-1).topk(3).values)
    logit = run.lens(top_k=3, positions=run.positions["image"])
    assert torch.equal(read.ids[4], logit.ids[4])
    assert torch.equal(read.probs[4], logit.probs[4])


def test_what_precedes_the_sources_takes_no_part_in_the_pass(
    tiny: rs.VLM, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, lengths = torch.autograd.grad, set()

    def grad(output: Tensor, *args: object, **options: object) -> object:
        lengths.add(output.shape[1])
        return real(output, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.autograd, "grad", grad)
    run, skipped = runs[0], runs[0].positions["image"].positions[-1] + 1
    again = fitted(tiny, [run], skip_first=skipped)
    assert lengths == {run.n - skipped}
    monkeypatch.setattr(_jacobian, "fixed_prefix", lambda run, stop: None)
    whole = fitted(tiny, [run], skip_first=skipped)
    assert lengths == {run.n - skipped, run.n}
    for layer, sums in whole.sums.items():
        torch.testing.assert_close(again.sums[layer], sums)


def test_the_number_of_rows_does_not_matter(
    tiny: rs.VLM, runs: list[Run], fit: JacobianFit
) -> None:
    odd = fitted(tiny, runs, dim_batch=7)
    for layer, sums in fit.sums.items():
        torch.testing.assert_close(odd.sums[layer], sums)


def test_a_pass_that_is_too_large_is_halved(
    tiny: rs.VLM, runs: list[Run], fit: JacobianFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, rows = torch.autograd.grad, []

    def grad(output: Tensor, *args: object, **options: object) -> object:
        rows.append(len(output))
        if len(output) > 3:
            raise torch.OutOfMemoryError
        return real(output, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.autograd, "grad", grad)
    found = fitted(tiny, runs[:1])
    assert (max(rows), rows[-1]) == (8, 2)
    one = fitted(tiny, runs[:1], dim_batch=2)
    assert all(torch.equal(found.sums[layer], one.sums[layer]) for layer in fit.sums)


def test_parts_merge_to_the_whole(tiny: rs.VLM, runs: list[Run], fit: JacobianFit) -> None:
    whole = fit.lens(corpus="three", settings={"prompt": "p"})
    parts = [
        fitted(tiny, some).lens(corpus="three", settings={"prompt": "p", "shard": shard})
        for some, shard in ((runs[::2], "1/2"), (runs[1::2], "2/2"))
    ]
    merged = Jacobian.merge(parts)
    assert merged.card == whole.card
    for layer, matrix in whole.matrices.items():
        torch.testing.assert_close(merged.matrices[layer], matrix)
    with pytest.raises(rs.InputError, match="all shards"):
        Jacobian.merge([parts[0], parts[0]])
    with pytest.raises(rs.InputError, match="all shards"):
        Jacobian.merge(parts[:1])
    other = fitted(tiny, runs[:1], skip_first=2).lens()
    with pytest.raises(rs.InputError, match="different settings"):
        Jacobian.merge([parts[0], other])
    same = [fit.lens(corpus=name, corpus_hash="a") for name in ("one", "two")]
    with pytest.raises(rs.InputError, match="twice"):
        Jacobian.merge(same)
    apart = Jacobian.merge([same[0], fit.lens(corpus="two", corpus_hash="b")])
    assert (apart.card.n_prompts, apart.card.corpus) == (6, "one + two")


def test_a_fit_goes_on_from_its_sums(tiny: rs.VLM, runs: list[Run], fit: JacobianFit) -> None:
    first = fitted(tiny, runs[:1])
    again = JacobianFit(tiny.adapter, skip_first=1)
    again.restore(first.sums, first.n_prompts)
    for run in runs[1:]:
        again.add(run)
    assert again.n_prompts == 3
    assert all(torch.equal(again.sums[layer], fit.sums[layer]) for layer in fit.sums)


def test_refusals(
    tiny: rs.VLM,
    tiny_model: LlavaForConditionalGeneration,
    tiny_processor: LlavaProcessor,
    runs: list[Run],
    fit: JacobianFit,
) -> None:
    with pytest.raises(rs.InputError, match="got none"):
        JacobianFit(tiny.adapter).lens()
    short = tiny.run(tiny.prompt(None, "a cat"))
    with pytest.raises(rs.InputError, match="longer prompts"):
        JacobianFit(tiny.adapter).add(short)
    with pytest.raises(rs.InputError, match="visual tokens"):
        JacobianFit(tiny.adapter, at="visual", skip_first=0).add(short)
    lens = fit.lens()
    model = copy.deepcopy(tiny_model)
    model.model.language_model.layers[1].mlp.up_proj.weight.data[0, 0] += 1
    other = rs.load(model=model, processor=tiny_processor)
    run = other.run(other.prompt(None, QUESTION))
    with pytest.raises(rs.InputError, match="other weights"):
        run.lens(kind=lens)
    with pytest.raises(rs.InputError, match="another"):
        fit.add(run)
    shorter = Jacobian({0: lens.matrices[0]}, replace(lens.card, layers=(0,), n_layers=9))
    with pytest.raises(rs.InputError, match="with n_layers 9, got one with 4"):
        runs[0].lens(kind=shorter)
    with pytest.raises(rs.InputError, match="each of the card's layers"):
        Jacobian({0: lens.matrices[0]}, lens.card)
    wrong = {**lens.matrices, 1: lens.matrices[1] * float("nan")}
    with pytest.raises(rs.InputError, match="layer 1"):
        Jacobian(wrong, lens.card)
    part = Jacobian({1: lens.matrices[1]}, replace(lens.card, layers=(1,)))
    assert runs[0].lens(kind=part).layers == (1, 4)
    with pytest.raises(rs.InputError, match="jacobian lens reads"):
        runs[0].lens(kind=part, layers=2)


def test_a_copy_of_the_weights_is_the_same_model(
    tiny_model: LlavaForConditionalGeneration,
    tiny_processor: LlavaProcessor,
    runs: list[Run],
    fit: JacobianFit,
) -> None:
    vlm = rs.load(model=copy.deepcopy(tiny_model), processor=tiny_processor)
    run = vlm.run(vlm.prompt(runs[0].prompt.images[0], QUESTION))
    lens = fit.lens()
    assert torch.equal(run.lens(kind=lens).ids, runs[0].lens(kind=lens).ids)
