"""Hiding a letter, and reading what is left."""

from __future__ import annotations

import torch

from retinoscope.interfaces import END, ReaderShape, WordReader, WordReading
from retinoscope.recipes.reading import (
    MaskedReading,
    attention_mask,
    only_letter,
    strips,
    without_letter,
    word_loss,
)

SHAPE = ReaderShape(d=32, heads=2, ff=32, layers=1, dropout=0.0)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_words_without_a_letter_and_the_letter_alone() -> None:
    words = SHAPE.ids(["stone", "quartzes", "lamp"])
    letter = torch.tensor([1, 0, 3])
    assert SHAPE.words(without_letter(words, letter)) == ["sone", "uartzes", "lam"]
    assert SHAPE.words(only_letter(words, letter)) == ["t", "q", "p"]
    assert (without_letter(words, letter)[:, -1] == END).all()


def test_the_loss_counts_letters_and_one_end() -> None:
    words = SHAPE.ids(["stone", "lamp"])
    logits = torch.zeros(2, 9, 27)
    assert torch.isclose(word_loss(logits, words), torch.tensor(27.0).log())
    sure = torch.nn.functional.one_hot(words, 27) * 50.0
    sure[0, 7], sure[1, 6] = 9.0, -3.0  # behind the end
    assert word_loss(sure, words) < 1e-6
    sure[1, 4] = 0
    assert torch.isclose(word_loss(sure, words), torch.tensor(27.0).log() / 11)


def test_the_mask_depends_on_the_letter_and_learns() -> None:
    torch.manual_seed(0)
    masked, columns = MaskedReading(SHAPE), torch.randn(4, 24, 32, generator=seeded())
    words, letter = SHAPE.ids(["stone", "lamp", "grape", "tiger"]), torch.tensor([0, 1, 2, 3])
    mask = masked.mask(columns, letter)
    assert mask.shape == (4, 24)
    assert (mask > 0).all()
    assert (mask < 1).all()
    assert not torch.allclose(mask, masked.mask(columns, letter.flip(0)), atol=1e-3)
    losses = masked.losses(columns, mask, words, letter)
    assert set(losses) == {"left", "hidden"}
    torch.stack([*losses.values()]).sum().backward()
    assert all(weight.grad is not None for weight in masked.parameters())


def test_the_two_paths_read_what_the_mask_gives_them() -> None:
    torch.manual_seed(0)
    masked, columns = MaskedReading(SHAPE).eval(), torch.randn(2, 24, 32, generator=seeded())
    words, letter = SHAPE.ids(["stone", "lamp"]), torch.tensor([0, 1])
    mask = torch.zeros(2, 24)
    mask[:, :5] = 1
    other = columns.clone()
    other[:, :5] += 1
    with torch.no_grad():
        before, after = (masked.losses(each, mask, words, letter) for each in (columns, other))
    assert torch.equal(before["left"], after["left"])
    assert not torch.equal(before["hidden"], after["hidden"])


def test_the_reader_is_the_same_without_what_training_needs() -> None:
    torch.manual_seed(0)
    reader = WordReader(SHAPE).eval()
    image = torch.rand(2, 3, 24, 96, generator=seeded())
    with torch.no_grad():
        before = reader(image).logits
        masked = MaskedReading(SHAPE)
        masked.mask(reader.see(image), torch.tensor([0, 1]))
        del masked
        assert torch.equal(reader(image).logits, before)
    assert not any("mask" in name for name, _ in reader.named_modules())


def test_attention_masks_are_where_the_slot_looks() -> None:
    attention = torch.full((2, 9, 24), 0.01, requires_grad=True)
    with torch.no_grad():
        attention[0, 3, 7:9] = 0.4
        attention[1, 0, 20] = 0.5
        attention[1, 0, 21] = 0.13
        attention[1, 0, 22] = 0.12
    reading = WordReading(torch.zeros(2, 9, 27), torch.zeros(2, 9, 32), attention)
    mask = attention_mask(reading, torch.tensor([3, 0]))
    assert mask[0].nonzero().flatten().tolist() == [7, 8]
    assert mask[1].nonzero().flatten().tolist() == [20, 21]
    assert not mask.requires_grad


def test_strips_have_their_width_and_lie_anywhere() -> None:
    widths = torch.tensor([3] * 300 + [24])
    drawn = strips(24, widths, seeded())
    assert drawn.sum(1).tolist() == widths.tolist()
    first = drawn[:300].argmax(1)
    assert first.min() == 0
    assert first.max() == 21
    assert (drawn.diff(dim=1).abs().sum(1) <= 2).all()
