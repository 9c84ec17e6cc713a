"""The streaming pass against all logits written out, for every way to cut them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from retinoscope.lens import _stream
from retinoscope.lens._head import VocabularyHead
from retinoscope.lens._stream import Readout, Tiles, ranks_of, read_out, word_scores

Make = Callable[..., Any]


def _check(found: Readout, whole: torch.Tensor, top_k: int, close: float = 1e-5) -> None:
    """`whole`: (row, vocab) float32 logits by the adapter's own readout."""
    assert found.scores.dtype == found.log_sums.dtype == torch.float32
    options = {"rtol": close, "atol": close, "equal_nan": True}
    torch.testing.assert_close(found.scores, whole.topk(top_k, dim=1).values, **options)
    # Ids can differ where logits are equal, but each must have its logit, and only once.
    torch.testing.assert_close(whole.gather(1, found.ids), found.scores, **options)
    assert all(len(set(row)) == top_k for row in found.ids.tolist())
    sums = whole.double().logsumexp(1).float()
    torch.testing.assert_close(found.log_sums, sums, **options)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 40),
    vocabulary=st.integers(1, 700),
    width=st.sampled_from([1, 7, 64, 150, 256, 1024]),
    numbers=st.sampled_from([1, 600, 1 << 20]),
    groups=st.sampled_from([(64, 32), (16, 4), (8, 1)]),
    bias=st.booleans(),
    cap=st.sampled_from([None, 4.0]),
    data=st.data(),
)
def test_any_cut_gives_the_whole(
    make_head: Make,
    rows: int,
    vocabulary: int,
    width: int,
    numbers: int,
    groups: tuple[int, int],
    bias: bool,
    cap: float | None,
    data: st.DataObject,
) -> None:
    top_k = data.draw(st.integers(1, vocabulary))
    words = data.draw(st.lists(st.integers(0, vocabulary - 1), max_size=3))
    head = make_head(vocabulary, bias=bias, cap=cap)
    states = head.states(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_stream, "_WIDTH", width)
        patch.setattr(_stream, "_NUMBERS", numbers)
        patch.setattr(_stream, "_GROUP", groups[0])
        patch.setattr(_stream, "_GROUPS", groups[1])
        found = read_out(VocabularyHead(head), states, top_k, words)
        assert torch.equal(ranks_of(VocabularyHead(head), states, words), found.ranks) or not words
    whole = head.read_out(states)
    _check(found, whole, top_k)
    for word, rank in zip(words, found.ranks, strict=True):
        goal = whole[:, word, None]
        assert (rank >= (whole > goal + 1e-5).sum(1)).all()
        assert (rank <= (whole > goal - 1e-5).sum(1)).all()
        assert torch.equal(rank < top_k, (found.ids == word).any(1))


@pytest.mark.parametrize("order", ["rising", "falling", "equal"])
def test_the_order_of_the_vocabulary_does_not_matter(make_head: Make, order: str) -> None:
    head = make_head(9000, width=4)
    ramp = torch.arange(9000.0) / 100
    head.unembedding.weight.data[:] = 0
    head.unembedding.weight.data[:, 0] = {"rising": ramp, "falling": -ramp, "equal": ramp * 0}[
        order
    ]
    states = head.states(17).abs()
    _check(read_out(VocabularyHead(head), states, 5), head.read_out(states), 5)


def test_infinities_and_nan(make_head: Make) -> None:
    head = make_head(5000, bias=True)
    # The first whole tile and more is closed, as in vocabularies filled up to a round number.
    head.unembedding.bias.data[:2100] = -torch.inf
    states = head.states(6)
    _check(read_out(VocabularyHead(head), states, 5), head.read_out(states), 5)
    states[2] = torch.nan
    found = read_out(VocabularyHead(head), states, 5, [4000])
    assert found.log_sums[2].isnan()
    assert found.scores[2].isnan().all()
    assert ((found.ids >= 0) & (found.ids < 5000)).all()
    others = [0, 1, 3, 4, 5]
    assert found.scores[others].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_the_models_own(make_head: Make, dtype: torch.dtype) -> None:
    head = make_head(5000, dtype=dtype)
    states = head.states(40)
    whole = head.read_out(states)
    found = read_out(VocabularyHead(head), states, 5, [7])
    # One step of the head's precision, by which products of two shapes may differ.
    step = 2 * torch.finfo(dtype).eps
    _check(found, whole, 5, close=step)
    assert torch.equal(found.scores, found.scores.to(dtype).float())
    # The sum itself is not rounded to the head's precision.
    assert not torch.equal(found.log_sums, found.log_sums.to(dtype).float())


def test_a_word_is_never_larger_than_itself(make_head: Make) -> None:
    head = make_head(5000, dtype=torch.bfloat16)
    found = read_out(VocabularyHead(head), head.states(300), 1, list(range(0, 5000, 500)))
    best = read_out(VocabularyHead(head), head.states(300), 1)
    for word, rank in zip(range(0, 5000, 500), found.ranks, strict=True):
        assert (rank[best.ids[:, 0] == word] == 0).all()


def _hooked(head: Any) -> None:
    head.unembedding.register_forward_hook(lambda module, given, out: out * 2)


def _derived(head: Any) -> None:
    class Doubling(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return super().forward(input) * 2

    head.unembedding.__class__ = Doubling


def _own(head: Any) -> None:
    class Own(type(head)):
        def unembed(self, normed: torch.Tensor) -> torch.Tensor:
            return super().unembed(normed) * 2

    head.__class__ = Own


@pytest.mark.parametrize("wrap", [_hooked, _derived, _own])
def test_a_wrapped_head_is_called_whole(make_head: Make, wrap: Callable[[Any], None]) -> None:
    head = make_head(3000)
    states = head.states(30)
    plain = head.read_out(states)
    wrap(head)
    whole = head.read_out(states)
    torch.testing.assert_close(whole, plain * 2)
    _check(read_out(VocabularyHead(head), states, 5), whole, 5)
    torch.testing.assert_close(
        word_scores(VocabularyHead(head), states, [9, 2999]), whole[:, [9, 2999]].T
    )


def test_tiles_are_few_rows_of_all_and_cover_them(make_head: Make) -> None:
    head = make_head(5000)
    for rows in (1, 30, 1000, 17856):
        tiles = Tiles.of(VocabularyHead(head), rows, torch.device("cpu"))
        assert [token for part in tiles.stretches for token in range(5000)[part]] == [*range(5000)]
        assert 1 <= tiles.rows <= rows
        assert tiles.rows * tiles.width <= max(1 << 14, rows * 5000 / 32)


def test_nothing_waits_for_the_device(make_head: Make) -> None:
    # On the meta device whatever depends on a value raises, as it would make an accelerator wait.
    head = make_head(20_000, device="meta")
    with pytest.raises((NotImplementedError, RuntimeError)):
        head.states(2).nonzero()
    found = read_out(VocabularyHead(head), head.states(100), 5, [3, 9000])
    assert found.ids.shape == (100, 5)
    assert found.ranks.shape == (2, 100)


def _peak(work: Callable[[], object]) -> int:
    """Most bytes that `work` held at a time, by the allocator's own account."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        result = work()
    del result
    assert profile.profiler is not None
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [31, 900])
def test_memory_is_below_a_tenth_of_all_logits(
    make_head: Make, rows: int, dtype: torch.dtype
) -> None:
    head = make_head(30_000, width=64, bias=True, cap=30.0, dtype=dtype)
    states = head.states(rows)
    logits = rows * 30_000 * 4

    def naive() -> object:
        with torch.no_grad():
            return head.read_out(states)

    assert _peak(naive) >= logits
    assert _peak(lambda: read_out(VocabularyHead(head), states, 5)) < 0.1 * logits
    assert _peak(lambda: read_out(VocabularyHead(head), states, 5, [1, 29_000])) < 0.1 * logits
    assert _peak(lambda: ranks_of(VocabularyHead(head), states, [1, 29_000])) < 0.1 * logits
