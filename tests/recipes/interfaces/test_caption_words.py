"""Captions without colours, and captions with one wrong kind."""

from __future__ import annotations

import numpy as np

from retinoscope.data.scenes import COLORS, KINDS
from retinoscope.encoders.captions import caption_ids
from retinoscope.pocket.vocabulary import build_tokenizer
from retinoscope.recipes.interfaces._caption_words import CaptionWords

CAPTIONS = ["A red car and a blue cup.", "A green fish, a green fish and a white house."] * 20
WORDS = build_tokenizer()


def test_colours_of_half_of_the_captions_are_dropped() -> None:
    ids = caption_ids(CAPTIONS, 40)
    dropped = CaptionWords().dropped_colors(ids, np.random.default_rng(0))
    assert 10 < dropped.any(1).sum() < 30
    words = {WORDS.decode([number]) for number in ids[dropped].tolist()}
    assert words == {"red", "blue", "green", "white"} <= set(COLORS)
    assert (dropped.sum(1)[::2] % 2 == 0).all()


def test_one_kind_is_swapped_for_an_absent_one() -> None:
    ids = caption_ids(CAPTIONS, 40)
    swapped = CaptionWords().swapped_kinds(ids, np.random.default_rng(0))
    changed = swapped != ids
    assert (changed.sum(1) == 1).all()
    for before, after in zip(ids, swapped, strict=True):
        place = int((before != after).nonzero())
        old, new = (WORDS.decode([int(row[place])]) for row in (before, after))
        assert old in KINDS
        assert new in KINDS
        assert new not in WORDS.decode(before.tolist()).split()
    assert len(set(swapped[changed].tolist())) > 8
