"""Lyrics' first stage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from retinoscope.interfaces import BINS, Lyrics
from retinoscope.recipes.interfaces._arm import SceneBatch
from retinoscope.recipes.interfaces._lyrics import LyricsStage, box_texts, masked_units
from retinoscope.recipes.interfaces._matching import Captions

TOWER = {"image": 36, "patch": 4, "width": 16, "layers": 1, "heads": 2, "ff": 16}
N_WORDS = 120
BIN = N_WORDS + 10
CAPTIONS = Captions(
    torch.tensor([[2, 7, 8, 3], [2, 9, 3, 0], [2, 7, 3, 0]]),
    torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0]]).bool(),
)
NAMES = [[20, 30], [21], []]


def phrases(*found: tuple[int, int, int, int, int]) -> torch.Tensor:
    rows = [*found, *[(-1,) * 5] * (2 - len(found))]
    return torch.tensor(rows, dtype=torch.float32)


PHRASES = torch.stack(
    [phrases((0, 1, 2, 3, 4), (1, 0, 0, 11, 11)), phrases((2, 5, 5, 6, 6)), phrases()]
)


def test_phrases_follow_the_caption() -> None:
    texts = box_texts(CAPTIONS, PHRASES, NAMES, BIN)
    box = [BIN + step for step in (1, 2, 3, 4)]
    other = [BIN + step for step in (0, 0, 11, 11)]
    assert texts.ids[0].tolist() == [2, 7, 8, 3, 20, 30, *box, 21, *other]
    assert texts.unit[0].tolist() == [-1] * 4 + [0, 0, 1, 2, 3, 4] + [5, 6, 7, 8, 9]
    for row, length in ((1, 3), (2, 3)):  # a name without words, and nothing found
        assert texts.present[row].sum() == length
        assert (texts.unit[row] == -1).all()
        assert not texts.ids[row, length:].any()


def test_units_are_hidden_as_a_whole_every_coordinate_too() -> None:
    texts = box_texts(CAPTIONS, PHRASES, NAMES, BIN)
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([masked_units(texts.unit, generator) for _ in range(2000)])
    first = draws[:, 0].float()
    assert not first[:, :4].any()
    assert torch.equal(first[:, 4], first[:, 5])
    assert not draws[:, 1:].any()
    assert (first.sum(1) >= 1).all()
    # At 15% of 10 units; 20% of the texts would have none and get one.
    shares = first.mean(0)[4:]
    assert float(shares.min()) > 0.13
    assert float(shares.max()) < 0.21
    assert float(shares.max() - shares.min()) < 0.05


def case(**refiner: Any) -> tuple[Lyrics, LyricsStage, SceneBatch]:
    torch.manual_seed(0)
    interface = Lyrics(
        16, TOWER, refiner={"name": "regions", **refiner}, heads=2, ff=24, layers=2, n_words=N_WORDS
    )
    seen = {
        "contrastive": torch.randn(3, 82, 16),
        "objects": torch.randn(3, 8, 57),
        "objects_mask": torch.arange(8) < torch.tensor([2, 1, 0])[:, None],
        "phrases": torch.cat([PHRASES, torch.full((3, 6, 5), -1.0)], 1),
    }
    images = np.zeros((3, 36, 36, 3), np.uint8)
    return (
        interface,
        LyricsStage(interface, N_WORDS),
        SceneBatch(images, seen, CAPTIONS),
    )


def losses(interface: Lyrics, stage: LyricsStage, batch: SceneBatch) -> dict[str, torch.Tensor]:
    return stage.losses(interface, batch, torch.Generator().manual_seed(1))


def test_losses() -> None:
    interface, stage, batch = case()
    found = losses(interface, stage, batch)
    assert set(found) == {"contrast", "matching", "captioning", "boxes"}
    torch.stack(list(found.values())).sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad.isfinite().all()
        for name, parameter in interface.trained_parameters().items()
        if not name.startswith("language_projection")
    )


def test_matching_texts_hold_no_boxes() -> None:
    interface, stage, batch = case()
    before = losses(interface, stage, batch)
    tags = batch.seen["phrases"][..., 0]
    tags.copy_(torch.where(tags == 0, 1.0, -1.0))
    after = losses(interface, stage, batch)
    for name in ("contrast", "matching", "captioning"):
        torch.testing.assert_close(before[name], after[name])
    assert not torch.allclose(before["boxes"], after["boxes"])


def test_what_is_hidden_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    interface, stage, batch = case()
    read: list[torch.Tensor] = []
    both = Lyrics.both

    def recorded(self, seen, ids, present, reading):
        if reading == "behind":
            read.append(ids)
        return both(self, seen, ids, present, reading)

    monkeypatch.setattr(Lyrics, "both", recorded)
    losses(interface, stage, batch)
    texts = box_texts(CAPTIONS, batch.seen["phrases"], stage._names, N_WORDS + 2)
    hidden = read[0] != texts.ids
    assert hidden.any()
    assert (read[0][hidden] == N_WORDS + 1).all()
    assert (read[0][~hidden & (texts.unit >= 0)] != N_WORDS + 1).all()
    assert int(read[0].max()) < N_WORDS + 2 + BINS


def test_without_any_object_the_loss_is_zero() -> None:
    interface, stage, batch = case()
    batch.seen["phrases"].fill_(-1)
    assert losses(interface, stage, batch)["boxes"].item() == 0


def test_boxes_are_learned_from_the_objects() -> None:
    """Places that are in the object tokens alone can be predicted."""
    interface, stage, batch = case()
    parameters = [*interface.trained_parameters().values(), *stage.parameters()]
    optimizer = torch.optim.Adam(parameters, 3e-3)
    generator = torch.Generator().manual_seed(0)
    history = []
    for _ in range(90):
        loss = stage.losses(interface, batch, generator)["boxes"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert np.mean(history[-10:]) < 0.5 * np.mean(history[:5])


def test_names_are_words_of_the_vocabulary() -> None:
    _, stage, _ = case()
    assert len(stage._names) == 192
    assert all(len(name) == 2 for name in stage._names)
