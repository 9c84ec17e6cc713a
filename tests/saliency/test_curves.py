"""Insertion and deletion curves by hand, chance, and the check with random weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from plain import plain_score

import retinoscope as rs
from retinoscope.saliency import (
    Goal,
    HeatMap,
    Target,
    insertion_deletion,
    resolve,
    weight_dependence,
)

FILL = rs.fill.noise(2)


@pytest.fixture(scope="module")
def goal(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> Goal:
    run = tiny.run(tiny.prompt(noise_image(50, 70), "Is there a cat in this image?"))
    return resolve(run, Target.word("red"))


def probability(goal: Goal, ablated: np.ndarray) -> float:
    places = [goal.run.image.positions[index] for index in ablated]
    embeds = goal.run.embeddings.clone()
    if places:
        embeds[places] = FILL.values(goal.run, tuple(places))
    with torch.no_grad():
        return math.exp(float(plain_score(goal.run.vlm, embeds, list(goal.ids), goal.score)))


def test_by_hand(goal: Goal) -> None:
    values = np.random.default_rng(0).normal(size=49)
    order = np.argsort(-values)
    (found,) = insertion_deletion(goal.origin, goal, [values], fill=FILL, steps=4)
    counts = [0, 12, 24, 37, 49]
    assert found.fractions == pytest.approx(np.array(counts) / 49)
    deleted = [probability(goal, order[:count]) for count in counts]
    inserted = [probability(goal, order[count:]) for count in counts]
    assert found.deleted == pytest.approx(deleted, rel=1e-3)
    assert found.inserted == pytest.approx(inserted, rel=1e-3)
    whole, blank = deleted[0], deleted[-1]
    for area, curve in ((found.deletion, deleted), (found.insertion, inserted)):
        wanted = np.trapezoid((np.array(curve) - blank) / (whole - blank), found.fractions)
        assert area == pytest.approx(wanted, rel=1e-3)


def test_a_good_map_beats_a_random_order_and_its_opposite() -> None:
    """In the planted model where only the object's patches matter."""
    vlm = rs.load("planted:one-hot-patch")
    sample = rs.data.squares(1, seed=3)[0]
    run = vlm.run(vlm.prompt(sample.image, sample.questions[0].question))
    target = Target.token(vlm.tokenizer.encode(sample.objects[0].name)[-1], "logit")
    inside = np.isin(run.image.positions, run.image.covering(sample.objects[0].mask).positions)
    mean = rs.fill.mean(vlm, rs.data.squares(8), cache=False)
    rng = np.random.default_rng(0)
    given = [inside.astype(float), -inside.astype(float), rng.random(36), np.zeros(36)]
    good, bad, noise, flat = insertion_deletion(run, target, given, fill=mean, steps=9)
    assert good.insertion > 0.9
    assert good.deletion < 0.1
    assert bad.insertion < 0.1
    assert bad.deletion > 0.9
    for chance in (noise, flat):
        assert 0.2 < chance.insertion < 0.8
        assert 0.2 < chance.deletion < 0.8


def test_without_anything_to_lose_it_is_undefined() -> None:
    vlm = rs.load("planted:blind")
    sample = rs.data.squares(1)[0]
    run = vlm.run(vlm.prompt(sample.image, sample.questions[0].question))
    target = Target.token(vlm.tokenizer.encode("boat")[-1], "logit")
    (found,) = insertion_deletion(run, target, [np.arange(36.0)], steps=3)
    assert math.isnan(found.insertion)
    assert math.isnan(found.deletion)
    assert found.reason == "the target is the same without any of the image"


def test_refusals(goal: Goal) -> None:
    for values, steps, message in (
        (np.zeros(48), 4, "49 finite values, one per token"),
        (np.full(49, np.nan), 4, "49 finite values"),
        (np.zeros(49), 0, "steps from 1 to 49"),
        (np.zeros(49), 50, "steps from 1 to 49"),
    ):
        with pytest.raises(rs.InputError, match=message):
            insertion_deletion(goal.origin, goal, [values], steps=steps)


def test_weight_dependence_is_spearmans() -> None:
    boxes = np.tile([0.0, 0.0, 4.0, 4.0], (5, 1))

    def make(values: list[float]) -> HeatMap:
        return HeatMap(Image.new("RGB", (4, 4)), boxes, np.array(values), "m", "t")

    one = make([1, 2, 3, 4, 5])
    assert weight_dependence(one, make([10, 20, 30, 40, 500])).value == pytest.approx(1)
    # Ranks 1 2 3 4 5 against 2 1 4 3 5: 1 - 6 * 4 / (5 * 24).
    assert weight_dependence(one, make([2, 1, 4, 3, 5])).value == pytest.approx(0.8)
    found = weight_dependence(one, make([3, 3, 3, 3, 3]))
    assert math.isnan(found.value)
    assert found.reason == "the randomised model's map is constant"
    with pytest.raises(rs.InputError, match="the same tokens"):
        weight_dependence(one, HeatMap(one.image, boxes[:4], np.arange(4.0), "m", "t"))
