"""Labels from text, and counts of labels that are constant on locations."""

from __future__ import annotations

import numpy as np
import pytest

from retinoscope.errors import InputError
from retinoscope.grouping import (
    check_different,
    class_cells,
    classify,
    counts_of,
    instance_cells,
    prompts_for,
    shuffled,
    text_scores,
)
from retinoscope.stats import class_counts
from retinoscope.tokens import token_map


def test_prompts_have_their_article() -> None:
    assert prompts_for(["apple", "car"]) == ["a photo of an apple", "a photo of a car"]
    assert prompts_for(["apple"], "{name}") == ["apple"]


@pytest.mark.parametrize(
    ("names", "template", "said"),
    [
        (["cat", "Cat"], "{name}", "different prompts, got 'Cat' beside 'cat'"),
        ([], "{name}", "at least one name"),
        (["cat", " "], "{name}", "an empty one"),
        (["cat"], "a photo", "with {name}"),
        (["cat"], "{name} {size}", "with {name}"),
    ],
)
def test_prompts_that_cannot_work_are_refused(names, template, said) -> None:
    with pytest.raises(InputError, match=said):
        prompts_for(names, template)


def test_scores_are_cosines() -> None:
    scores = text_scores(np.array([[2.0, 0], [1, 1]]), np.array([[0.0, 5], [3, 0]]))
    assert scores == pytest.approx(np.array([[0, np.sqrt(0.5)], [1, np.sqrt(0.5)]]))
    assert classify(scores).tolist() == [1, 0], "of equal ones the first"
    assert classify(scores, [1]).tolist() == [1, 1]
    with pytest.raises(InputError, match="1 of 2 with length 0"):
        text_scores(np.array([[0.0, 0], [1, 1]]), np.ones((1, 2)))
    with pytest.raises(InputError, match="same width"):
        text_scores(np.ones((2, 3)), np.ones((1, 2)))


def test_texts_that_the_model_cannot_tell_apart_are_refused() -> None:
    check_different(np.eye(3), ["a", "b", "c"])
    with pytest.raises(InputError, match="'a' and 'c'"):
        check_different(np.eye(3)[[0, 1, 0]], ["a", "b", "c"])


def test_no_text_keeps_its_place() -> None:
    for seed in range(20):
        order = shuffled(5, seed)
        assert sorted(order) == list(range(5))
        assert (order != np.arange(5)).all()
    assert shuffled(1).tolist() == [0]


def test_counts_of_locations_are_those_of_their_pixels() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, (9, 9))
    truth[rng.random((9, 9)) < 0.2] = 255
    boxes = np.array([[0, 0, 4, 9], [4, 0, 9, 5], [4, 5, 9, 9]], float)
    tokens = token_map(boxes, (9, 9))
    cells = class_cells(truth, tokens, 3, 4)
    labels = np.array([2, 0, 2])
    assert (counts_of(cells, labels) == class_counts(truth, labels[tokens], 4)).all()
    with pytest.raises(InputError, match="same size"):
        class_cells(truth[:3], tokens, 3, 4)


def test_instances_count_known_and_seen_pixels_only() -> None:
    tokens = token_map(np.array([[0, 0, 2, 2], [2, 0, 4, 2]], float), (5, 2))
    mask = np.ones((2, 5), bool)
    known = np.ones((2, 5), bool)
    known[0] = False
    assert instance_cells([mask], tokens, 2).tolist() == [[4, 4]]
    assert instance_cells([mask], tokens, 2, known).tolist() == [[2, 2]]
    with pytest.raises(InputError, match="masks"):
        instance_cells([mask[:1]], tokens, 2)
