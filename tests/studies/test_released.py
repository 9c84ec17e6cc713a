"""Paper mode on cases that were worked out by hand from the released code's rules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from retinoscope.data import Object
from retinoscope.errors import MissingExtraError
from retinoscope.studies import released_tokens
from retinoscope.studies._answers import Answers
from retinoscope.studies._edges import sources_for, without_target
from retinoscope.studies._scoring import Outcome, Scorer
from retinoscope.studies._sets import ImageTokens
from retinoscope.studies._tasks import Ask


def square(x, y, side, size):
    mask = np.zeros((size[1], size[0]), bool)
    mask[y : y + side, x : x + side] = True
    return Object("car", mask, (x, y, x + side, y + side))


def test_the_released_tokens_drift_and_bend():
    exact = released_tokens(square(20, 20, 20, (240, 240)), (240, 240), 24)
    assert np.argwhere(exact).tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]
    # 47 pixels in 24 patches of floor(1.96) = 1: patch 23 ends at pixel 24.
    drifted = released_tokens(square(10, 10, 2, (47, 47)), (47, 47), 24)
    assert np.argwhere(drifted).tolist() == [[10, 10], [10, 11], [11, 10], [11, 11]]
    assert not released_tokens(square(30, 30, 10, (47, 47)), (47, 47), 24).any()
    # The outline of a polygon loses its vertices outside the centre square.
    wide = square(20, 0, 24, (96, 48))
    polygon = (20.0, 0.0, 44.0, 0.0, 44.0, 24.0, 34.0, 24.0, 20.0, 24.0)
    bent = Object("car", wide.mask, wide.box, polygons=(polygon,))
    assert released_tokens(wide, (96, 48), 24).sum() > released_tokens(bent, (96, 48), 24).sum()


def drawn(size, *polygon):
    return Object("car", np.zeros(size[::-1], bool), (0, 0, 1, 1), polygons=(polygon,))


def test_a_vertex_on_the_right_or_the_lower_edge_of_the_square_is_dropped():
    pytest.importorskip("pycocotools")
    # The square of 48 x 48 has patches of 2 pixels. Without its two vertices at y = 48 the
    # rectangle is a segment of two vertices, and gone; at y = 47 it stays.
    at_edge = drawn((48, 48), 20.0, 40.0, 28.0, 40.0, 28.0, 48.0, 20.0, 48.0)
    assert not released_tokens(at_edge, (48, 48), 24).any()
    above = drawn((48, 48), 20.0, 40.0, 28.0, 40.0, 28.0, 47.0, 20.0, 47.0)
    assert np.argwhere(released_tokens(above, (48, 48), 24)).tolist() == [
        [row, column] for row in (20, 21, 22, 23) for column in (10, 11, 12, 13)
    ]
    # Of a wide image the square begins at x = 24, which lies inside; 72 does not.
    left = drawn((96, 48), 24.0, 0.0, 28.0, 0.0, 28.0, 4.0, 24.0, 4.0)
    assert np.argwhere(released_tokens(left, (96, 48), 24)).tolist() == [
        [0, 0],
        [0, 1],
        [1, 0],
        [1, 1],
    ]
    right = drawn((96, 48), 68.0, 0.0, 72.0, 0.0, 72.0, 4.0, 68.0, 4.0)
    assert not released_tokens(right, (96, 48), 24).any()


def test_outlines_are_drawn_by_pycocotools_as_in_the_released_code(monkeypatch):
    coco = pytest.importorskip("pycocotools.mask")
    polygon = [3.3, 2.1, 20.7, 9.4, 11.2, 30.9]
    mask = coco.decode(coco.frPyObjects([polygon], 48, 48))[:, :, 0].astype(bool)
    expected = mask.reshape(24, 2, 24, 2).any(axis=(1, 3))
    assert (released_tokens(drawn((48, 48), *polygon), (48, 48), 24) == expected).all()
    monkeypatch.setitem(__import__("sys").modules, "pycocotools", None)
    with pytest.raises(MissingExtraError, match="pycocotools"):
        released_tokens(drawn((48, 48), *polygon), (48, 48), 24)


ASK = Ask("question", "question", "What is this?", "cat", (0,))


@pytest.mark.parametrize(
    ("predicted", "paper", "corrected"),
    [
        ("▁cat", True, True),
        ("▁dog", False, False),
        ("▁a", False, False),
        # Special tokens are skipped in decoding, and nothing is a prefix of everything.
        ("</s>", True, False),
        ("<unk>", True, False),
    ],
)
def test_a_predicted_end_of_text_counts_as_right_in_paper_mode(tiny, predicted, paper, corrected):
    logits = torch.zeros(len(tiny.tokenizer))
    logits[tiny.tokenizer.convert_tokens_to_ids(predicted)] = 9.0
    scorer = Scorer(Answers(tiny.tokenizer))
    assert scorer.score(ASK, "paper", Outcome(logits)).correct is paper
    assert scorer.score(ASK, "corrected", Outcome(logits)).correct is corrected


def test_object_and_ring_keep_their_tokens_of_the_last_row_in_paper_mode(tiny):
    image = Image.fromarray(np.zeros((56, 56, 3), np.uint8))
    tokens = ImageTokens(tiny.run(tiny.prompt(image, "What is this?")))
    mask = np.zeros((56, 56), bool)
    # Tokens are 8 x 8 pixels in 7 rows: the object is token 45 of the last row, 42 to 48.
    mask[49:55, 25:31] = True
    names = ("object", "object+1", "visual")
    sources = sources_for(tokens, [mask], names, 0.0, np.random.default_rng(0))

    def indices(source, mode):
        found = without_target(source, "last-row", sources, tokens, mode)
        return None if found is None else tokens.indices(found)

    assert indices("object+1", "paper") == (37, 38, 39, 44, 45, 46)
    assert indices("object+1", "corrected") == (37, 38, 39)
    assert indices("object", "paper") == (45,)
    assert indices("object", "corrected") is None
    for mode in ("paper", "corrected"):
        assert indices("visual", mode) == tuple(range(42))
