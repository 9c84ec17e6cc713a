"""Fitted lenses in every family: Jacobians against differences of the library's own pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from checks import OTHER_QUESTION, QUESTION, oracle, pictures, run_of, without_spare
from row import OUTSIDE, Row, loaded, over
from table import ROWS
from torch import Tensor
from variants import VARIANTS

import retinoscope as rs
from retinoscope.lens import At, JacobianFit, TunedFit

SOURCES: tuple[At, ...] = ("text", "visual")
STEP = 5e-3
"""Of the states' size: float32 rounds at smaller steps, and slopes change at larger ones."""


def library_sum(
    row: Row, vlm: rs.VLM, images: list, layer: int, change: Tensor, targets: list[int]
) -> Tensor:
    """Sum of the last block's output at `targets`, with `change` added to a block's input."""
    blocks = vlm.adapter.decoder.layers
    seen: list[Tensor] = []

    def before(_: Any, args: tuple, kwargs: dict) -> Any:
        if args:
            return (args[0] + change, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": kwargs["hidden_states"] + change}

    def after(_: Any, __: tuple, output: Any) -> None:
        seen.append(output[0] if isinstance(output, tuple) else output)

    hooks = [
        blocks[layer].register_forward_pre_hook(before, with_kwargs=True),
        blocks[-1].register_forward_hook(after),
    ]
    try:
        with torch.no_grad():
            vlm.model(**without_spare(oracle(row, vlm, images), len(change)))
    finally:
        for hook in hooks:
            hook.remove()
    return seen[0][0][targets].double().sum(0)


@over([*ROWS, *VARIANTS])
def test_the_jacobian_is_the_slope_of_the_library(row: Row) -> None:
    vlm = loaded(row)
    images = pictures(next(iter(row.images.values())))
    run = run_of(vlm, images)
    if row.places == OUTSIDE:
        with pytest.raises(rs.InputError, match="visual tokens"):
            JacobianFit(vlm.adapter, at="visual", skip_first=1).add(run)
    for at in SOURCES[: 1 if row.places == OUTSIDE else 2]:
        fit = JacobianFit(vlm.adapter, at=at, skip_first=1)
        fit.add(run)
        layer = 1
        sources, targets = list(fit.sources(run)), list(range(1, run.n - 1))
        errors = []
        for seed in range(3):
            step = torch.randn(vlm.d_model, generator=torch.manual_seed(seed))
            step *= STEP * run.hidden(layer).norm(dim=-1).mean() / step.norm()
            change = torch.zeros(run.n, vlm.d_model)
            change[sources] = step
            up, down = (
                library_sum(row, vlm, images, layer, sign * change, targets) for sign in (1, -1)
            )
            wanted = (up - down) / (2 * len(sources))
            found = fit.sums[layer].double() @ step.double()
            errors.append(float((found - wanted).norm() / wanted.norm()))
        # A router of experts that switches within a step has no slope there.
        assert sorted(errors)[1] <= 3e-2
        lens = run.lens(kind=fit.lens(), positions="last")
        assert torch.equal(lens.ids[-1], run.lens(positions="last").ids[-1])


@over(ROWS)
def test_a_tuned_lens_comes_nearer_to_the_model(row: Row) -> None:
    vlm = loaded(row)
    images = pictures(next(iter(row.images.values())))
    fit = TunedFit(vlm.adapter, steps=20, batch=64, rate=1e-2)
    for text in (QUESTION, OTHER_QUESTION):
        fit.add(run_of(vlm, images, text))
    lens = fit.train()
    losses = (sum(lens.card.settings[f"held_out_kl_{when}"]) for when in ("after", "before"))
    assert next(losses) < next(losses)
    run = run_of(vlm, images)
    read, logit = run.lens(kind=lens, positions="last"), run.lens(positions="last")
    assert torch.equal(read.ids[-1], logit.ids[-1])


@over([*ROWS, *VARIANTS])
def test_the_embedding_lens_is_the_cosine_with_the_librarys_embeddings(row: Row) -> None:
    vlm = loaded(row)
    run = run_of(vlm, pictures(next(iter(row.images.values()))))
    table = vlm.model.get_input_embeddings().weight.detach().float()[: vlm.vocab_size]
    lens = run.lens(top_k=2, kind="embedding")
    for layer in (0, vlm.n_layers):
        states = torch.nn.functional.normalize(run.hidden(layer).float(), dim=-1)
        cosines = states @ torch.nn.functional.normalize(table, dim=-1).T
        best = cosines.topk(2, dim=-1).values
        torch.testing.assert_close(lens.similarities[layer], best, atol=1e-5, rtol=1e-4)
