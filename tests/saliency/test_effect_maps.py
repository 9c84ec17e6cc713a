"""Exact effects against the reference path and hand-made edits; RISE and occlusion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from plain import plain_score

import retinoscope as rs
from retinoscope.saliency import (
    METHODS,
    Goal,
    Target,
    ablation_effect,
    knockout_effect,
    methods_named,
    occlusion,
    resolve,
    rise,
)
from retinoscope.saliency._common import painted
from retinoscope.saliency._effect_maps import _masks, _windows

TEXT = "Is there a cat in this image?"


@pytest.fixture(scope="module")
def goal(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> Goal:
    return resolve(tiny.run(tiny.prompt(noise_image(50, 70), TEXT)), Target.word("red car"))


@pytest.fixture(scope="module")
def fill() -> rs.fill.Noise:
    return rs.fill.noise(2)


def ablated(goal: Goal, tokens: list[int], fill: rs.fill.Fill) -> float:
    """The score without some tokens, by the model's own forward pass."""
    places = [goal.run.image.positions[index] for index in tokens]
    embeds = goal.run.embeddings.clone()
    if places:
        embeds[places] = fill.values(goal.run, tuple(places))
    with torch.no_grad():
        return float(plain_score(goal.run.vlm, embeds, list(goal.ids), goal.score))


def test_ablation_effect_is_the_plain_passs(goal: Goal, fill: rs.fill.Fill) -> None:
    found = ablation_effect(goal.origin, goal, fill=fill).values
    for token in (0, 13, 48):
        wanted = goal.value - ablated(goal, [token], fill)
        assert found[token] == pytest.approx(wanted, abs=1e-4)
    assert np.abs(found).max() > 1e-2


@pytest.mark.parametrize("readers", ["predicting", "text"])
def test_knockout_effect_is_the_reference_paths(goal: Goal, readers: Any) -> None:
    found = knockout_effect(goal.origin, goal, readers=readers)
    assert found.settings["readers"] == readers
    behind = goal.origin.image.positions[-1] + 1
    for token in (0, 24):
        total = 0.0
        for part, index in zip(goal._runs, goal.ids, strict=True):
            first = behind if readers == "text" else goal.positions[0]
            rows = rs.tokens.TokenSet.of(part.sequence, range(first, part.n))
            source = part.image.at([token])
            logits = part.counterfactuals([rs.Knockout(source, rows)], exact="reference").logits
            total += float(logits[0].log_softmax(-1)[index])
        assert found.values[token] == pytest.approx(goal.value - total, abs=1e-4)


def test_the_reference_path_gives_the_same_maps(goal: Goal, fill: rs.fill.Fill) -> None:
    slow = resolve(goal.origin, Target.word("red car"), exact="reference")
    for method in (ablation_effect, occlusion):
        fast = method(goal.origin, goal, fill=fill).values
        assert method(goal.origin, slow, fill=fill).values == pytest.approx(fast, abs=1e-4)


def test_rise_is_the_mean_over_the_masks_that_keep_a_token(goal: Goal, fill: rs.fill.Fill) -> None:
    masks = _masks(goal, 0, 16, 0.5, None, 7)
    scores = np.array([ablated(goal, np.flatnonzero(~row).tolist(), fill) for row in masks])
    wanted = [scores[masks[:, token]].mean() - scores.mean() for token in range(49)]
    found = rise(goal.origin, goal, masks=16, fill=fill, seed=7)
    assert found.values == pytest.approx(np.array(wanted), abs=1e-4)
    other = rise(goal.origin, goal, masks=16, fill=fill, seed=8)
    assert np.abs(other.values - found.values).max() > 1e-3


def test_rise_of_a_constant_score_is_flat(build: Any, square: Image.Image) -> None:
    model = build.model()
    index = build.tokenizer().convert_tokens_to_ids("▁cat")
    with torch.no_grad():
        model.lm_head.weight[index] = 0
    vlm = rs.load(model=model, processor=build.processor())
    run = vlm.run(vlm.prompt(square, TEXT))
    assert not rise(run, Target.token(index, "logit"), masks=8, keep=0.7).values.any()


def test_masks_are_of_cells_and_keep_as_many_as_asked(goal: Goal) -> None:
    masks = _masks(goal, 0, 400, 0.3, None, 0)
    assert masks.mean() == pytest.approx(0.3, abs=0.03)
    assert masks.mean(0) == pytest.approx(np.full(49, 0.3), abs=0.1)
    grid = masks.reshape(-1, 7, 7)
    same = (grid[:, :, 1:] == grid[:, :, :-1]).mean()
    assert same > 0.7, "neighbours are mostly in one cell"
    assert not np.array_equal(grid[0], grid[1])


def test_occlusion_by_windows_of_tokens(goal: Goal, fill: rs.fill.Fill) -> None:
    windows = _windows(goal, 0, 3)
    assert len(windows) == 25
    drops = [goal.value - ablated(goal, one.tolist(), fill) for one in windows]
    wanted = [
        np.mean([drop for one, drop in zip(windows, drops, strict=True) if token in one])
        for token in range(49)
    ]
    found = occlusion(goal.origin, goal, window=3, fill=fill)
    assert found.values == pytest.approx(np.array(wanted), abs=1e-4)
    single = occlusion(goal.origin, goal, window=1, fill=fill).values
    assert single == pytest.approx(ablation_effect(goal.origin, goal, fill=fill).values, abs=1e-5)


def test_occlusion_in_pixels_encodes_again(goal: Goal, tiny: rs.VLM) -> None:
    """One window alone: the score of a prompt with the painted image."""
    found = occlusion(goal.origin, goal, window=7, where="pixels")
    assert np.ptp(found.values) == 0
    image = goal.origin.prompt.images[0]
    boxes = goal.origin.image.boxes
    pixels = np.asarray(image).copy()
    x0, y0 = np.floor(boxes[:, :2].min(0)).astype(int)
    x1, y1 = np.ceil(boxes[:, 2:].max(0)).astype(int)
    pixels[y0:y1, x0:x1] = pixels.mean((0, 1)).round()
    painted = resolve(tiny.run(tiny.prompt(Image.fromarray(pixels), TEXT)), Target.word("red car"))
    assert found.values[0] == pytest.approx(goal.value - painted.value, abs=1e-4)


def test_windows_of_padding_cover_nothing(
    build: Any, noise_image: Callable[..., Image.Image]
) -> None:
    """A processor that pads the image all around: its outer tokens have no part of it."""
    vlm = rs.load(model=build.model(), processor=build.processor(size={"shortest_edge": 12}))
    run = vlm.run(vlm.prompt(noise_image(40, 40), TEXT))
    outer = np.isnan(run.image.boxes[:, 0])
    assert outer.sum() == 40
    values = occlusion(run, "red car", window=1, where="pixels").values
    assert values[outer] == pytest.approx(np.zeros(40), abs=1e-5)
    assert abs(values[~outer]).min() > 1e-5


def test_only_the_boxes_are_painted() -> None:
    """The last of a row and the first of the next cover two corners, not all between them."""
    image = Image.fromarray(np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3))
    boxes = np.array([(6.0, 0.5, 8.0, 2.0), (0.0, 2.0, 2.0, 4.0), (np.nan,) * 4])
    changed = (np.asarray(painted(image, boxes)) != np.asarray(image)).any(2)
    wanted = np.zeros((8, 8), bool)
    wanted[0:2, 6:8] = wanted[2:4, 0:2] = True
    assert (changed == wanted).all()


def test_only_object_patches_matter_where_each_holds_its_own_label() -> None:
    """In the planted model of this kind, by every method of effects, exactly."""
    vlm = rs.load("planted:one-hot-patch")
    sample = rs.data.squares(1, seed=3)[0]
    run = vlm.run(vlm.prompt(sample.image, sample.questions[0].question))
    target = vlm.tokenizer.encode(sample.objects[0].name)[-1]
    goal = resolve(run, Target.token(target, "logit"))
    inside = np.isin(run.image.positions, run.image.covering(sample.objects[0].mask).positions)
    mean = rs.fill.mean(vlm, rs.data.squares(8), cache=False)
    for name in ("knockout-effect", "ablation-effect", "attribution-patching", "chefer"):
        values = METHODS[name](run, goal, fill=mean).values
        assert (values[inside] > 1).all(), name
        assert values[~inside].max() < 0.01, name
    occluded = METHODS["occlusion"](run, goal, fill=mean).values
    assert occluded[inside].min() > 1


def test_every_method_in_one_way(goal: Goal, tiny: rs.VLM, fill: rs.fill.Fill) -> None:
    for name, method in METHODS.items():
        layers = method.layers_of(tiny)
        assert method.refusal(tiny) is None
        found = method(goal.origin, goal, layer=layers[-1], fill=fill, steps=16, seed=1)
        assert found.method == name
        assert len(found) == 49
        assert found.pixels().shape == (70, 50)
        assert found.settings["score"] == "log-probability"
        assert found.target == "'red car'"
    assert METHODS["attention"].layers_of(tiny, (1, 3, 9)) == (1, 3)
    assert METHODS["lens-probability"].layers_of(tiny) == (0, 1, 2, 3, 4)
    assert METHODS["rise"].layers_of(tiny, (1,)) == (None,)
    assert [m.name for m in methods_named(["rise", "chefer"])] == ["chefer", "rise"]
    with pytest.raises(rs.InputError, match="got 'tea-leaves'"):
        methods_named(["tea-leaves"])


def test_refusals(goal: Goal) -> None:
    run = goal.origin
    for make, message in (
        (lambda: knockout_effect(run, goal, readers="all"), "'predicting' or 'text', got 'all'"),  # type: ignore[arg-type]
        (lambda: ablation_effect(run, goal, fill="zero"), "expected a fill"),  # type: ignore[arg-type]
        (lambda: rise(run, goal, masks=4), "masks from 8 up"),
        (lambda: rise(run, goal, keep=1.0), "between 0 and 1"),
        (lambda: rise(run, goal, masks=8, keep=0.05), "take more masks"),
        (lambda: rise(run, goal, cells=0), "cells along a side from 1 up"),
        (lambda: occlusion(run, goal, window=8), "window from 1 to 7 tokens, got 8"),
        (lambda: occlusion(run, goal, where="boxes"), "'tokens' or 'pixels'"),  # type: ignore[arg-type]
        (lambda: occlusion(run, goal, where="pixels", fill=rs.fill.zero()), "no fill for pixels"),
    ):
        with pytest.raises(rs.InputError, match=message):
            make()
