"""The logit lens against the readout written out in full."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from pyarrow import parquet

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.lens import Lens, _head, _stream, logit_lens


@pytest.fixture(scope="module")
def run(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> Run:
    return tiny.run(tiny.prompt(noise_image(50, 70), "Is there a cat in this image?"))


def _whole(run: Run) -> torch.Tensor:
    """(layers + 1, n, vocab) with transformers' modules alone."""
    model = run.vlm.model
    hidden = torch.stack([run.hidden(layer) for layer in range(5)])
    with torch.no_grad():
        return model.lm_head(model.model.language_model.norm(hidden))


@pytest.mark.parametrize(("width", "numbers"), [(7, 1), (10, 100), (1 << 11, 1 << 21)])
def test_the_lens_is_norm_and_head(
    run: Run, width: int, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_stream, "_WIDTH", width)
    monkeypatch.setattr(_stream, "_NUMBERS", numbers)
    lens = run.lens(top_k=3)
    probs = _whole(run).softmax(-1)
    best = probs.topk(3, dim=-1)
    assert torch.equal(lens.ids, best.indices)
    torch.testing.assert_close(lens.probs, best.values)
    goal = run.vlm.tokenizer.convert_tokens_to_ids("▁cat")
    torch.testing.assert_close(lens.prob(" cat"), probs[..., goal])
    assert torch.equal(lens.prob(goal), lens.prob("cat"))
    ranks = (probs > probs[..., goal, None]).sum(-1)
    assert torch.equal(lens.rank("cat"), ranks)
    assert torch.equal(lens.rank("cat") == 0, lens.ids[..., 0] == goal)


@pytest.mark.parametrize("name", ["tiny", "tiny_eager"])
def test_the_last_layer_is_the_models_answer(
    name: str, request: pytest.FixtureRequest, square: Image.Image
) -> None:
    vlm: rs.VLM = request.getfixturevalue(name)
    run = vlm.run(vlm.prompt(square, "Describe this image."))
    lens = run.lens(top_k=vlm.vocab_size, positions="last")
    found = torch.empty(vlm.vocab_size).scatter(0, lens.ids[-1, 0], lens.probs[-1, 0])
    torch.testing.assert_close(found, run.logits.softmax(-1))


def test_positions(run: Run) -> None:
    whole, part = run.lens(top_k=2), run.lens(top_k=2, positions=run.image.row(2))
    assert part.positions == run.image.row(2).positions
    assert torch.equal(part.ids, whole.ids[:, list(part.positions)])
    assert run.lens(positions=[5]).ids.shape == (5, 1, 5)
    assert whole.indices[0] is None
    last = run.lens(top_k=1, positions="last").to_frame().to_pylist()[0]
    assert (last["image"], last["index"], last["position"]) == (None, None, run.n - 1)
    for wrong in (None, True, 1.5, [None]):
        with pytest.raises(rs.InputError, match="words or token ids"):
            whole.prob(wrong)  # type: ignore[arg-type]


def test_strings_and_table(run: Run, tmp_path: Path) -> None:
    lens = run.lens(top_k=2, positions=run.image.row(0))
    table = parquet.read_table(lens.save(tmp_path / "lens.parquet"))
    assert table.num_rows == 5 * 7 * 2
    rows = table.to_pylist()
    for number in (0, 13, 69):
        layer, rest = divmod(number, 14)
        token, place = divmod(rest, 2)
        assert rows[number]["layer"] == layer
        assert rows[number]["position"] == lens.positions[token]
        assert rows[number]["index"] == lens.indices[token] == token
        assert rows[number]["image"] == 0
        assert rows[number]["token_id"] == int(lens.ids[layer, token, place])
        assert rows[number]["token"] == lens.tokens[layer][token][place]
        assert rows[number]["prob"] == pytest.approx(float(lens.probs[layer, token, place]))


@pytest.fixture
def made(make_head: Callable[..., Any]) -> Lens:
    """Six layers and ten positions over a vocabulary of 5000."""
    head = make_head(5000)
    return logit_lens(head, head.states(6, 10), tuple(range(10)), words=[30, 4000])


def test_several_words_give_a_leading_axis(made: Lens) -> None:
    for method in (made.logits, made.prob, made.rank):
        both = method([7, 4999])
        assert both.shape == (2, 6, 10)
        torch.testing.assert_close(both, torch.stack([method(7), method(4999)]))
        assert torch.equal(method(torch.tensor([7, 4999])), both)
    sure = made.ids[..., 0].unique().tolist()
    assert torch.equal((made.rank(sure) == 0).sum(0), torch.ones(6, 10, dtype=torch.long))
    assert (made.prob(sure).amax(0) - made.probs[..., 0]).abs().max() < 1e-6


def test_a_words_probability_costs_its_row_of_the_head(
    made: Lens, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []
    linear = _head.F.linear

    def counted(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> Any:
        shapes.append((len(rows), len(weight)))
        return linear(rows, weight, bias)

    monkeypatch.setattr(_head.F, "linear", counted)
    made.prob([1, 2, 3])
    assert shapes == [(60, 3)]
    shapes.clear()
    made.rank([30, 4000])
    assert shapes == [], "the ranks were taken with the top-k"
    made.rank([1, 2, 3, 1])
    products = sum(rows * tokens for rows, tokens in shapes)
    assert 60 * 5000 < products <= 60 * (5000 + _stream._WIDTH), "one pass for all, and their tile"
    shapes.clear()
    made.rank(2)
    assert shapes == []


def test_ranks_with_the_top_k_are_those_asked_for_later(made: Lens) -> None:
    again = logit_lens(made._adapter, made._hidden, made.positions)
    assert torch.equal(again.rank([30, 4000]), made.rank([30, 4000]))


def test_a_string_is_looked_up_once_per_distinct_id(made: Lens) -> None:
    names: Any = made._adapter.vocabulary
    distinct = len(made.ids.unique())
    assert distinct < made.ids.numel()
    for number, read in enumerate([lambda: made.tokens, made.to_frame], start=1):
        read()
        assert names.names.asked == number * distinct
    assert made.tokens[2][3][1] == f"t{int(made.ids[2, 3, 1])}"


def test_refusals(run: Run, tmp_path: Path) -> None:
    lens = run.lens(positions="last")
    with pytest.raises(rs.InputError, match="tokenizer knows"):
        lens.prob("zebra")
    with pytest.raises(rs.InputError, match="token id"):
        lens.rank(1000)
    with pytest.raises(rs.InputError, match="at least one word"):
        lens.prob([])
    with pytest.raises(rs.InputError, match="top_k"):
        run.lens(top_k=0)
    with pytest.raises(rs.InputError, match="positions"):
        run.lens(positions=[])
    with pytest.raises(rs.InputError, match="parquet"):
        lens.save(tmp_path / "lens.csv")
