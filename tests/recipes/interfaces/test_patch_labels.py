"""The kinds of patches: which are seen, what they weigh, and scenes in other colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from retinoscope.recipes.interfaces._patch_labels import (
    LabelledScenes,
    objects_first,
    patch_loss,
)


@pytest.fixture
def scenes() -> LabelledScenes:
    """Eight scenes of 2 x 2 patches of one pixel; each pixel is its patch's label."""
    labels = torch.tensor([[0, 1, 2, 255]]).repeat(8, 1)
    pixels = labels.view(8, 1, 2, 2) / 1000 + torch.tensor([0.0, 0.2, -0.2]).view(1, 3, 1, 1)
    return LabelledScenes(np.arange(8), pixels, labels)


def test_labels_are_mirrored_with_their_pixels(scenes: LabelledScenes) -> None:
    turned = scenes.flipped(np.random.default_rng(0))
    assert torch.equal(turned.labels / 1000, turned.pixels[:, 0].flatten(1))
    different = (turned.labels != scenes.labels).any(1)
    assert 0 < different.sum() < 8
    assert turned.labels[different][0].tolist() == [1, 0, 255, 2]


def test_colours_change_and_shapes_stay(scenes: LabelledScenes) -> None:
    changed = scenes.recolored(np.random.default_rng(0))
    assert torch.equal(changed.labels, scenes.labels)
    for before, after in zip(scenes.pixels, changed.pixels, strict=True):
        light = (after - before).mean()
        means = (after - light).mean((1, 2))
        assert sorted(means.tolist()) == pytest.approx(sorted(before.mean((1, 2)).tolist()))
    assert len({tuple(image.mean((1, 2)).argsort().tolist()) for image in changed.pixels}) > 2


def test_objects_are_seen_first() -> None:
    labels = torch.zeros(3, 9, dtype=torch.long)
    labels[0, [2, 5]] = 7
    labels[1, [0, 1, 2, 3, 4]] = 255
    kept = objects_first(labels, 4, np.random.default_rng(0))
    assert {2, 5} < set(kept[0].tolist())
    assert set(kept[1].tolist()) < {0, 1, 2, 3, 4}
    assert len(set(kept[2].tolist())) == 4


def test_kinds_of_a_scene_count_the_same() -> None:
    logits = torch.randn(1, 6, 33, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[3, 3, 3, 9, 0, 255]])
    each = F.cross_entropy(logits[0, :5], labels[0, :5], reduction="none")
    expected = (each[:3].mean() + each[3] + 0.1 * each[4]) / 2.1
    assert patch_loss(logits, labels, equal=True).item() == pytest.approx(expected.item())
    plain = (each[:4].sum() + 0.05 * each[4]) / 4.05
    assert patch_loss(logits, labels).item() == pytest.approx(plain.item())
