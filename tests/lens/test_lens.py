"""The logit lens against the readout written out in full."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from pyarrow import parquet

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.lens import _lens


@pytest.fixture(scope="module")
def run(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> Run:
    return tiny.run(tiny.prompt(noise_image(50, 70), "Is there a cat in this image?"))


def _whole(run: Run) -> torch.Tensor:
    """(layers + 1, n, vocab) with transformers' modules alone."""
    model = run.vlm.model
    hidden = torch.stack([run.hidden(layer) for layer in range(5)])
    with torch.no_grad():
        return model.lm_head(model.model.language_model.norm(hidden))


@pytest.mark.parametrize("chunk", [1, 1000, 1 << 22])
def test_the_lens_is_norm_and_head(run: Run, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lens, "_CHUNK_NUMBERS", chunk)
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
        assert rows[number]["token_id"] == int(lens.ids[layer, token, place])
        assert rows[number]["token"] == lens.tokens[layer][token][place]
        assert rows[number]["prob"] == pytest.approx(float(lens.probs[layer, token, place]))


def test_refusals(run: Run, tmp_path: Path) -> None:
    lens = run.lens(positions="last")
    with pytest.raises(rs.InputError, match="tokenizer knows"):
        lens.prob("zebra")
    with pytest.raises(rs.InputError, match="token id"):
        lens.rank(1000)
    with pytest.raises(rs.InputError, match="top_k"):
        run.lens(top_k=0)
    with pytest.raises(rs.InputError, match="positions"):
        run.lens(positions=[])
    with pytest.raises(rs.InputError, match="parquet"):
        lens.save(tmp_path / "lens.csv")
