"""A cache without some positions against the same positions hidden, and against the plain pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import retinoscope as rs
from retinoscope.data import scenes
from retinoscope.engine import Run, compact_context, context_bytes
from retinoscope.errors import InputError
from retinoscope.studies.reprompt.study import next_turn, without_dropped


@pytest.fixture(scope="module")
def turns() -> tuple[Run, Run]:
    vlm = rs.load("pocket")
    first = vlm.run(vlm.prompt(scenes(1)[0].image, "Describe this image."))
    return first, next_turn(first, "What color is the car?")


def _kept(first: Run, size: int) -> tuple[tuple[int, ...], ...]:
    rng = np.random.default_rng(size)
    n = len(first.image.positions)
    return tuple(
        tuple(sorted(rng.choice(n, size, replace=False))) for _ in range(first.vlm.n_layers)
    )


def _positions(first: Run, kept: tuple[tuple[int, ...], ...]) -> list[list[int]]:
    visual = first.image.positions
    text = list(first.positions["text"].positions)
    return [[*text, *(visual[i] for i in tokens)] for tokens in kept]


def test_the_whole_context_is_the_plain_pass(turns: tuple[Run, Run]) -> None:
    first, second = turns
    context = compact_context(first, [range(first.n)] * first.vlm.n_layers)
    found = context.answer(second, 6, keep_logits=True)
    plain = second.generate(6)
    assert found.token_ids.tolist() == plain.token_ids.tolist()
    assert found.logits is not None
    assert plain.logits is not None
    assert (found.logits - plain.logits).abs().max() <= 1e-4 * plain.logits.abs().max()
    assert context.n_bytes == first.n * 2 * 8 * 4 * 32 * 4, "keys and values, 8 blocks of 4 x 32"


@pytest.mark.parametrize("size", [0, 7, 72])
def test_a_short_cache_equals_hidden_tokens(turns: tuple[Run, Run], size: int) -> None:
    first, second = turns
    kept = _kept(first, size)
    context = compact_context(first, _positions(first, kept))
    found = context.answer(second, 6, keep_logits=True)
    hidden = second.counterfactuals([without_dropped(second, first.n, kept)])
    wanted = hidden.generate(6, keep_logits=True)[0]
    assert found.token_ids.tolist() == wanted.token_ids.tolist()
    assert found.logits is not None
    assert wanted.logits is not None
    assert (found.logits - wanted.logits).abs().max() <= 1e-4 * wanted.logits.abs().max()
    again = context.answer(second, 6, keep_logits=True)
    assert again.logits is not None
    assert torch.equal(again.logits, found.logits), "a context can be asked again"
    sizes = [first.n - 144 + size] * 8
    assert context.n_bytes == context_bytes(first, sizes)


def test_what_cannot_be_kept_or_asked_is_refused(turns: tuple[Run, Run]) -> None:
    first, _ = turns
    everything = [range(first.n)] * first.vlm.n_layers
    with pytest.raises(InputError, match="8 blocks"):
        compact_context(first, everything[:3])
    for wrong in ([], [-1], [first.n]):
        with pytest.raises(InputError, match="block 7"):
            compact_context(first, [*everything[:7], wrong])
    context = compact_context(first, everything)
    with pytest.raises(InputError, match="continues"):
        context.answer(first)
    other = first.vlm.run(first.vlm.prompt(scenes(1)[0].image, "What color is the car in this?"))
    with pytest.raises(InputError, match="starts with"):
        compact_context(first, everything).answer(other)
    # The same words, and another image in the same places.
    elsewhere = first.vlm.run(first.vlm.prompt(scenes(2)[1].image, "Describe this image."))
    longer = next_turn(elsewhere, "What color is the car?")
    assert longer.inputs.input_ids[: first.n].tolist() == first.inputs.input_ids.tolist()
    with pytest.raises(InputError, match="images"):
        compact_context(first, everything).answer(longer)
