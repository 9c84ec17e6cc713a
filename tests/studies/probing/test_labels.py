"""Truth, labels and splits: what is asked, and what is left out and said to be."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from retinoscope.data import squares
from retinoscope.errors import InputError
from retinoscope.studies.probe.labels import control_labels, label_objects, usable_classes
from retinoscope.studies.probe.split import Split, splits_of
from retinoscope.studies.probe.truth import first_of_each, locate, truth_of

BOXES = np.array([[8 * x, 8 * y, 8 * x + 8, 8 * y + 8] for y in range(6) for x in range(6)], float)


def _split(train, val, test) -> Split:
    return Split(*(np.array(one) for one in (train, val, test)))


def test_a_truth_on_a_grid_counts_every_pixel() -> None:
    sample = squares(1)[0]
    truth, maps = truth_of(sample)
    on = locate(truth, maps, BOXES)
    assert on.objects.count.sum() == 48 * 48
    assert len(truth.items) == len(sample.objects)
    # An object of 2 x 2 patches, which the grid meets.
    assert (on.regions.label == 0).sum() == 4
    assert on.regions.count.tolist() == [64] * len(on.regions.count)
    half = locate(truth, maps, np.concatenate([BOXES[:18], np.full((18, 4), np.nan)]))
    assert half.objects.count[half.objects.place < 0].sum() == 24 * 48
    with pytest.raises(InputError, match="none of the 36 locations"):
        locate(truth, maps, np.full((36, 4), np.nan))


def test_masks_that_do_not_fit_are_refused() -> None:
    sample = squares(1)[0]
    wrong = replace(sample.objects[0], mask=np.ones((4, 4), bool))
    with pytest.raises(InputError, match=r"image's size 48x48 .* got 4x4"):
        truth_of(replace(sample, objects=(wrong,)))
    empty = replace(sample.objects[0], mask=np.zeros((48, 48), bool))
    with pytest.raises(InputError, match="at least one pixel"):
        truth_of(replace(sample, objects=(empty,)))


def test_what_is_not_known_is_ignored() -> None:
    sample = squares(1)[0]
    first = replace(sample.objects[0], boxed=True)
    truth, maps = truth_of(
        replace(sample, objects=(first, *sample.objects[1:-1]), others=sample.objects[-1:])
    )
    on = locate(truth, maps, BOXES)
    assert on.objects.count.sum() == 48 * 48 - 2 * 256
    assert (on.regions.label == 0).sum() == 4, "its box is a region all the same"


def test_names_and_pictures_that_come_twice() -> None:
    a, b = (truth_of(sample)[0] for sample in squares(2))
    assert first_of_each({3: a, 5: b}) == [3, 5]
    assert first_of_each({3: a, 5: replace(a, sample="copy")}) == [3]
    with pytest.raises(InputError, match="twice"):
        first_of_each({0: a, 1: a})


def test_splits_share_nothing_and_the_test_is_one_for_all_seeds() -> None:
    splits = splits_of(range(100), 3, 0)
    for split in splits:
        parts = [set(part.tolist()) for part in (split.train, split.val, split.test)]
        assert set.union(*parts) == set(range(100))
        assert sum(map(len, parts)) == 100
        assert split.test.tolist() == splits[0].test.tolist()
    assert splits[0].train.tolist() != splits[1].train.tolist()
    with pytest.raises(AssertionError, match="share an image"):
        _split([0, 1], [1], [2])
    with pytest.raises(InputError, match="at least 10 different images"):
        splits_of(range(5), 1, 0)
    with pytest.raises(InputError, match="at least 1 probe seed"):
        splits_of(range(50), 0, 0)


def test_classes_without_positives_are_listed_and_left_out() -> None:
    found = {0: Counter("ab"), 1: Counter("a"), 2: Counter("ac"), 3: Counter("ab")}
    splits = [_split([0, 1], [2], [3])]
    kept, left = usable_classes("name", found, splits)
    assert kept == ("a", "b")
    assert [(one.what, one.why, one.n) for one in left] == [
        ("c", "no positives in the test split", 1)
    ]
    kept, left = usable_classes("name", found, splits, most=1)
    assert kept == ("a",)
    assert {one.why for one in left} == {"beyond the 1 most frequent"}
    _, left = usable_classes("name", found, splits, ["a", "b", "c", "d"])
    assert left[-1].what == "d"
    with pytest.raises(InputError, match=r"class list \(a, b\), got 'c'"):
        usable_classes("name", found, splits, ["a", "b"])
    with pytest.raises(InputError, match="name each once"):
        usable_classes("name", found, splits, ["a", "a"])


def test_control_labels_are_one_for_each_kind_and_as_frequent() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 2000, 20000).tolist()
    label = (rng.random(20000) < 0.25).astype(int)
    control = control_labels(kinds, label, 2, 0)
    by_kind: dict[int, set[int]] = {}
    for kind, one in zip(kinds, control.tolist(), strict=True):
        by_kind.setdefault(kind, set()).add(one)
    assert all(len(one) == 1 for one in by_kind.values())
    assert control.mean() == pytest.approx(0.25, abs=0.05)
    assert abs(np.corrcoef(control, label)[0, 1]) < 0.05


def test_relations_are_those_of_centres_and_have_no_order() -> None:
    truths = {k: truth_of(sample)[0] for k, sample in enumerate(squares(60))}
    splits = splits_of(range(60), 1, 0)
    names = [item.name for truth in truths.values() for item in truth.items]
    labelled, left = label_objects("relation", truths, splits, names)
    assert labelled is not None
    assert left == []
    places = [(k, number) for k in sorted(truths) for number in range(len(truths[k].items))]
    for (a, b), label in zip(labelled.members, labelled.label, strict=True):
        one, other = (truths[places[n][0]].items[places[n][1]].center for n in (a, b))
        dx, dy = one[0] - other[0], one[1] - other[1]
        wanted = {"left of": -dx, "right of": dx, "above": -dy, "below": dy}
        assert max(wanted, key=wanted.__getitem__) == labelled.classes[label]
    assert np.bincount(labelled.label).min() > 5
    assert label_objects("size", truths, splits, names)[0] is None, "all squares are of one size"
    assert label_objects("color", truths, splits, names)[0] is None, "squares have no colour"
