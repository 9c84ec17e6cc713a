"""The word reader."""

from __future__ import annotations

import pytest
import torch

from retinoscope.errors import InputError
from retinoscope.interfaces import END, ReaderShape, WordReader


def pixels(n: int = 3) -> torch.Tensor:
    return torch.rand(n, 3, 24, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_every_slot_looks_at_columns() -> None:
    reader = WordReader().eval()
    with torch.no_grad():
        reading = reader(pixels())
    assert reading.logits.shape == (3, 9, 27)
    assert reading.attention.shape == (3, 9, 24)
    torch.testing.assert_close(reading.attention.sum(-1), torch.ones(3, 9))
    assert torch.equal(reading.logits, reader.predict.head(reading.slots))


def test_a_column_sees_its_own_part_of_the_image() -> None:
    tower = WordReader().eval()
    image = pixels(1)
    other = image.clone()
    other[..., 80:] = 0
    with torch.no_grad():
        changed = (tower.see(image) - tower.see(other)).abs().sum(-1)[0] > 0
    assert not changed[:15].any()
    assert changed[20:].all()


def test_words_become_classes_and_come_back() -> None:
    shape = ReaderShape()
    ids = shape.ids(["hello", "quartzes", "abcd"])
    assert ids[0].tolist() == [8, 5, 12, 12, 15, END, END, END, END]
    assert shape.words(ids) == ["hello", "quartzes", "abcd"]
    full = torch.ones(1, 9, dtype=torch.long)
    assert shape.words(full) == ["a" * 9]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("enormously", "at most 8 letters, got 'enormously'"),
        ("caf\u00e9", "got '\u00e9' in 'caf\u00e9'"),
    ],
)
def test_words_that_cannot_be_read_are_refused(word: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ReaderShape().ids(["fine", word])


def test_images_of_another_height_are_refused() -> None:
    with pytest.raises(InputError, match="24 pixels high"):
        ReaderShape(height=32)


def test_it_learns_to_read_a_few_boards() -> None:
    from retinoscope.data.words import draw_board
    from retinoscope.interfaces import to_pixels
    from retinoscope.recipes.reading import word_loss

    torch.manual_seed(0)
    boards = [draw_board(k, 1) for k in range(8)]
    images = to_pixels(torch.stack([torch.from_numpy(image) for image, *_ in boards]).numpy())
    reader = WordReader(ReaderShape(d=48, heads=2, ff=96, layers=1, dropout=0.0)).train()
    ids = reader.shape.ids([content.word for *_, content in boards])
    optimizer = torch.optim.Adam(reader.parameters(), 3e-3)
    for _ in range(80):
        loss = word_loss(reader(images).logits, ids)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        read = reader.shape.words(reader(images).logits.argmax(-1))
    assert sum(word == content.word for word, (*_, content) in zip(read, boards, strict=True)) >= 7
