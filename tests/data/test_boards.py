"""Boards with words: what is known of them is what they show."""

from __future__ import annotations

import hashlib
from collections import Counter
from string import ascii_lowercase

import numpy as np
import pytest

import retinoscope as rs
from retinoscope.data import BoardOptions, WordBoards, words
from retinoscope.data.words import OCCLUSIONS, board_layout, draw_board, lexicon
from retinoscope.data.words._board import inked, sheet
from retinoscope.errors import InputError
from retinoscope.sources import open_source, reopen_source, source_of

N = 120


def digest(index: int, options: BoardOptions) -> str:
    image, masks, _ = draw_board(index, 3, options)
    return hashlib.sha256(image.tobytes() + masks.tobytes()).hexdigest()[:12]


def test_the_lexicon_has_words_of_four_to_eight_letters() -> None:
    known = lexicon()
    assert len(known) == len(set(known)) >= 400
    assert list(known) == sorted(known)
    assert all(4 <= len(each) <= 8 and each.isascii() and each.islower() for each in known)
    assert set("".join(known)) == set(ascii_lowercase)


def test_every_letter_has_a_shape_of_its_own() -> None:
    shapes = {letter: sheet(letter) for letter in ascii_lowercase}
    assert all(shape.any(0)[[0, -1]].all() for shape in shapes.values())
    assert len({shape.tobytes() for shape in shapes.values()}) == 26


def test_boards_keep_their_bytes() -> None:
    made = {each: digest(index, BoardOptions(each)) for index, each in enumerate(OCCLUSIONS)}
    assert made == {
        "none": "79d3e566dafe",
        "weak": "ca1dcacaa5d9",
        "heavy": "c37d8e651de4",
        "full": "2d36b38a2736",
    }


def test_a_board_shows_its_word() -> None:
    for board in words(N, seed=5):
        word = board.meta["word"]
        assert word in lexicon()
        assert board.meta["known"]
        assert board.meta["hidden"] is None
        assert [letter.name for letter in board.objects] == list(word)
        assert board.image.size == (96, 24)
        assert [(q.answer, q.kind) for q in board.questions] == [(word, "sign")]
        assert board.signs[0].word == word
        boxes = [letter.box for letter in board.objects]
        assert all(x1 > x0 and y1 > y0 for x0, y0, x1, y1 in boxes)
        centres = [(x0 + x1) / 2 for x0, _, x1, _ in boxes]
        assert centres == sorted(centres)


def test_letters_are_whole_and_apart() -> None:
    for index in range(N):
        content = board_layout(index, 5)
        cells = np.stack([inked(letter) for letter in content.letters])
        assert not (cells.sum(0) > 1).any()
        assert not cells[:, :, [0, -1]].any()
        assert not cells[:, [0, -1]].any()


def test_a_mask_is_where_the_ink_is() -> None:
    for index in range(N):
        image, masks, content = draw_board(index, 5)
        brightness, ink = image.mean(-1), masks.any(0)
        inside, outside = brightness[ink].mean(), brightness[~ink].mean()
        assert inside > outside + 40 if content.dark else inside < outside - 40


@pytest.mark.parametrize(("occlusion", "left"), [("weak", (0.3, 0.9)), ("heavy", (0.1, 0.7))])
def test_strokes_lie_on_one_letter(occlusion: str, left: tuple[float, float]) -> None:
    shares = []
    for clean, hidden in zip(words(N, 5), words(N, 5, occlusion=occlusion), strict=True):
        number = hidden.meta["hidden"]
        changed = np.abs(np.asarray(clean.image, int) - np.asarray(hidden.image, int)).any(-1)
        x0, y0, x1, y1 = map(int, clean.objects[number].box)
        changed[max(0, y0 - 1) : y1 + 1, max(0, x0 - 1) : x1 + 1] = False
        # The letter's neighbours may reach into the width of its strokes.
        assert changed.sum() < 12
        shares.append(hidden.objects[number].area / clean.objects[number].area)
    assert left[0] < np.mean(shares) < left[1]


def test_a_heavy_occlusion_hides_more_than_a_weak_one_and_a_full_one_all() -> None:
    areas = {
        occlusion: np.array(
            [
                board.objects[board_layout(k, 5).drawn].area
                for k, board in enumerate(words(40, 5, occlusion=occlusion))
            ]
        )
        for occlusion in OCCLUSIONS
    }
    assert (areas["heavy"] <= areas["weak"]).all()
    assert areas["weak"].sum() < areas["none"].sum()
    assert (areas["full"] == 0).all()


def test_which_letter_is_hidden_depends_on_the_seed_alone() -> None:
    hidden = [[b.meta["hidden"] for b in words(N, 5, occlusion=o)] for o in OCCLUSIONS[1:]]
    assert hidden[0] == hidden[1] == hidden[2]
    assert len(Counter(hidden[0])) >= 6


def test_strings_are_random_letters() -> None:
    boards = words(400, 7, strings=0.5)
    known = [board.meta["known"] for board in boards]
    assert 150 < sum(known) < 250
    strings = [board.meta["word"] for board in boards if not board.meta["known"]]
    assert all(4 <= len(each) <= 8 for each in strings)
    assert set("".join(strings)) == set(ascii_lowercase)
    assert len(set(strings) & set(lexicon())) < 3


def test_board_k_does_not_depend_on_n() -> None:
    assert words(9, 2)[4].image.tobytes() == words(5, 2)[4].image.tobytes()
    part = words(9, 2)[3:7]
    assert len(part) == 4
    assert part[1].id == "word-2-000004"
    assert part.fingerprint != words(4, 2).fingerprint
    assert words(9, 2)[-1].id == words(9, 2)[8].id


def test_the_source_is_opened_by_name() -> None:
    boards = open_source("words:6", seed=4)
    assert source_of(boards) == {"spec": "words:6", "seed": 4}
    assert reopen_source({"spec": "words:6", "seed": 4})[2].id == boards[2].id
    assert source_of(words(6, 4, occlusion="full")) is None
    assert boards.classes == tuple(ascii_lowercase)


def test_bad_options_are_refused() -> None:
    with pytest.raises(InputError, match="expected an occlusion of none, weak"):
        words(3, occlusion="x")
    with pytest.raises(InputError, match="strings, a share,"):
        words(3, strings=1.5)
    with pytest.raises(InputError, match="n"):
        WordBoards(-1)
    with pytest.raises(InputError, match="step 1"):
        words(4)[::2]
    assert rs.data.words is words
