"""The losses of the first stage."""

from __future__ import annotations

import torch

from retinoscope.interfaces import QFormer
from retinoscope.recipes.interfaces._matching import Captions, Matching, hard_negatives

TOWER = {"image": 24, "patch": 8, "width": 16, "layers": 1, "heads": 2, "ff": 16}
N_WORDS = 20


def case() -> tuple[QFormer, Matching, dict[str, torch.Tensor], Captions]:
    torch.manual_seed(0)
    former = QFormer(16, TOWER, queries=3, layers=2, heads=2, ff=24, n_words=N_WORDS + 1)
    seen = {"contrastive": torch.randn(6, 10, 16)}
    present = torch.arange(7) < torch.tensor([7, 5, 6, 7, 4, 7])[:, None]
    ids = torch.randint(1, N_WORDS, (6, 7)).masked_fill(~present, 0)
    return former, Matching(16, N_WORDS, 8), seen, Captions(ids, present)


def test_padding_changes_no_loss() -> None:
    former, heads, seen, captions = case()
    other = Captions(captions.ids.masked_fill(~captions.present, 9), captions.present)
    losses = [
        heads(former, seen, each, torch.Generator().manual_seed(1)) for each in (captions, other)
    ]
    assert set(losses[0]) == {"contrast", "matching", "captioning"}
    for name, loss in losses[0].items():
        torch.testing.assert_close(loss, losses[1][name])


def test_a_word_is_predicted_from_earlier_ones_and_the_image() -> None:
    former, _, seen, captions = case()
    former.eval()
    read = captions.ids[:, :-1]
    _, words = former.both(seen, read, captions.present[:, :-1], "causal")
    changed = read.clone()
    changed[:, 3] = 11
    _, later = former.both(seen, changed, captions.present[:, :-1], "causal")
    torch.testing.assert_close(later[:, :3], words[:, :3])
    assert not torch.allclose(later[:, 3], words[:, 3])
    blind = {"contrastive": torch.zeros(6, 10, 16)}
    _, other = former.both(blind, read, captions.present[:, :-1], "causal")
    assert not torch.allclose(other[:, 0], words[:, 0])


def test_negatives_are_others_and_near() -> None:
    scores = torch.full((4, 4), -50.0)
    scores.fill_diagonal_(80.0)
    for image, text in ((0, 2), (1, 3), (2, 0), (3, 1)):
        scores[image, text] = 50.0
    images, texts = hard_negatives(scores, torch.Generator().manual_seed(0))
    assert images.tolist() == texts.tolist() == [2, 3, 0, 1]


def test_training_separates_captions() -> None:
    former, heads, seen, captions = case()
    parameters = [*former.trained_parameters().values(), *heads.parameters()]
    optimizer = torch.optim.Adam(parameters, 3e-3)
    generator = torch.Generator().manual_seed(0)
    totals = []
    for _ in range(40):
        loss = torch.stack([*heads(former, seen, captions, generator).values()]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(float(loss.detach()))
    assert totals[-1] < 0.7 * totals[0]
    with torch.no_grad():
        scores = heads.scores(former.queries(seen), former.texts(captions.ids, captions.present))
    assert scores.argmax(1).tolist() == [*range(6)]
