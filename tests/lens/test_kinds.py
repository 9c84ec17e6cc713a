"""Kinds of lens that need nothing but the model."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.lens import Logit, _stream
from retinoscope.lens._head import EmbeddingHead
from retinoscope.models import Adapter


@pytest.fixture(scope="module")
def run(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> Run:
    return tiny.run(tiny.prompt(noise_image(50, 70), "Is there a cat in this image?"))


def _cosines(run: Run) -> torch.Tensor:
    """(layers + 1, n, vocab) with torch alone."""
    table = run.vlm.model.get_input_embeddings().weight.detach()
    hidden = torch.stack([run.hidden(layer) for layer in range(5)])
    return F.normalize(hidden, dim=-1) @ F.normalize(table, dim=-1).T


@pytest.mark.parametrize("width", [7, 1 << 11])
def test_the_embedding_lens_is_the_cosine_with_every_embedding(
    run: Run, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_stream, "_WIDTH", width)
    lens, cosines = run.lens(top_k=3, kind="embedding"), _cosines(run)
    best = cosines.topk(3, dim=-1)
    torch.testing.assert_close(lens.similarities, best.values)
    torch.testing.assert_close(cosines.gather(-1, lens.ids), best.values)
    goal = run.vlm.tokenizer.convert_tokens_to_ids("▁cat")
    torch.testing.assert_close(lens.similarity(" cat"), cosines[..., goal])
    assert torch.equal(lens.rank(goal) == 0, lens.ids[..., 0] == goal)
    assert lens.to_frame().column_names[-1] == "similarity"


def test_a_text_token_lies_on_its_own_word(run: Run) -> None:
    text = run.positions["text"]
    lens = run.lens(top_k=1, positions=text, kind="embedding", layers=0)
    assert lens.ids[0, :, 0].tolist() == run.inputs.input_ids[list(text.positions)].tolist()
    torch.testing.assert_close(lens.similarities, torch.ones(1, len(text), 1))


def test_an_embedding_of_zeros_is_near_to_nothing() -> None:
    table = torch.nn.Embedding(5, 4)
    with torch.no_grad():
        table.weight[2] = 0
    head = EmbeddingHead(cast(Adapter, SimpleNamespace(embedding=table, vocab_size=5)))
    scores = head.scores(head.normed(torch.randn(3, 4)), slice(0, 5))
    assert scores[:, 2].tolist() == [0, 0, 0]
    assert bool(torch.isfinite(scores).all())


@pytest.mark.parametrize("kind", ["logit", "embedding"])
def test_layers_are_rows_of_the_whole_lens(run: Run, kind: str) -> None:
    whole, part = run.lens(kind=kind), run.lens(kind=kind, layers=[4, 1])
    assert part.layers == (1, 4)
    assert torch.equal(part.ids, whole.ids[[1, 4]])
    torch.testing.assert_close(part.values, whole.values[[1, 4]])
    assert set(part.to_frame()["layer"].to_pylist()) == {1, 4}
    assert run.lens(kind=Logit()).kind == "logit"


def test_refusals(run: Run) -> None:
    near, likely = run.lens(kind="embedding"), run.lens()
    with pytest.raises(rs.CapabilityError, match=r"not a probability: use \.similarities"):
        near.prob(" cat")
    with pytest.raises(rs.CapabilityError, match="not a probability"):
        _ = near.probs
    with pytest.raises(rs.CapabilityError, match=r"not a similarity: use \.probs"):
        likely.similarity(" cat")
    with pytest.raises(rs.CapabilityError, match="cosines"):
        run.lens(kind="embedding", kernel="triton")
    with pytest.raises(rs.InputError, match="fit-lens jacobian"):
        run.lens(kind="jacobian")
    with pytest.raises(rs.InputError, match="logit, embedding"):
        run.lens(kind="logits")
    with pytest.raises(rs.InputError, match="layers"):
        run.lens(layers=5)
    with pytest.raises(rs.InputError, match="none"):
        run.lens(layers=[])
