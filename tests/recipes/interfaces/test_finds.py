"""The dense refiner's training, what it finds, and what a model makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from retinoscope.data.scenes import COLORS, KINDS, VARIED, draw_arrays, scene, scene_texts
from retinoscope.errors import InputError
from retinoscope.interfaces import DenseRefiner, Lyrics
from retinoscope.recipes.interfaces._finds import (
    RefinerFinds,
    refiner_finds,
    with_reports,
)
from retinoscope.recipes.interfaces._refiner import RefinerRecipe, train_refiner
from retinoscope.recipes.pocket import SceneTexts, Stage
from retinoscope.recipes.pocket._bank import Bank, patch_labels

TOWER = {"width": 40, "layers": 1, "heads": 2, "ff": 16}
LENGTH = RefinerRecipe(Stage(60, 16, 3e-2, warmup=5, weight_decay=0.0), scenes=24)


@pytest.fixture(scope="module")
def bank() -> Bank:
    drawn = [draw_arrays(index, 5, VARIED) for index in range(24)]
    texts = [SceneTexts(*scene_texts(index, 5, VARIED)) for index in range(24)]
    images, kinds, colors = (np.stack(parts) for parts in zip(*drawn, strict=True))
    labels = [np.stack([patch_labels(each, 16, 0.1) for each in part]) for part in (kinds, colors)]
    return Bank(images, *labels, texts)


def lyrics(**refiner: Any) -> Lyrics:
    torch.manual_seed(0)
    return Lyrics(16, TOWER, refiner={"name": "regions", **refiner}, ff=8, heads=2)


def silent(*_: object) -> None:
    return None


class Told(DenseRefiner):
    """Reads the labels of the bank in place of the tower's tokens."""

    labels: Bank

    def features(self, pixels, tokens):
        levels = ((pixels + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        rows = [
            next(i for i, image in enumerate(self.labels.images) if np.array_equal(image, level))
            for level in levels
        ]
        kinds, colors = (
            torch.from_numpy(part[rows].astype(np.int64)).flatten(1).clamp(max=24) % 25
            for part in (self.labels.kinds, self.labels.colors)
        )
        hot = torch.nn.functional.one_hot
        return torch.cat([hot(kinds, 25), hot(colors.clamp(max=8), 9)], -1).float()


def told(bank: Bank, **options: Any) -> Lyrics:
    interface = lyrics()
    refiner = Told(replace(interface.shape, width=34), **options)
    refiner.labels = Bank(
        bank.images, *(np.where(part == 255, 0, part) for part in (bank.kinds, bank.colors)), []
    )
    interface.refiner = refiner
    return interface


def test_a_trained_refiner_finds_objects(bank: Bank, tmp_path: Path) -> None:
    interface = told(bank)
    samples = [scene(index, 5, VARIED) for index in range(24)]
    before = refiner_finds(interface, samples)
    train_refiner(interface, bank, recipe=LENGTH, work=tmp_path, report=silent)
    finds = refiner_finds(interface, samples)
    recall, after = (
        np.mean([hit for find in each for hit in find.found]) for each in (before, finds)
    )
    assert recall < 0.5 < 0.9 < after
    reported = sum(find.reported for find in finds)
    assert sum(sum(find.found) for find in finds) > 0.9 * reported
    assert 2 < reported / 24 < 4
    assert not any(parameter.requires_grad for parameter in interface.refiner.parameters())


def test_training_is_shared_and_resumes(bank: Bank, tmp_path: Path) -> None:
    first, second = lyrics(), lyrics(read="patches")
    for module in (second.refiner.kind, second.refiner.color):
        torch.nn.init.zeros_(module.weight)
    steps: list[int] = []
    train_refiner(first, bank, recipe=LENGTH, work=tmp_path, report=silent)
    train_refiner(
        second, bank, recipe=LENGTH, work=tmp_path, report=lambda _, step, *__: steps.append(step)
    )
    assert not steps
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    for one, other in zip(first.refiner.parameters(), second.refiner.parameters(), strict=True):
        assert torch.equal(one, other)


def test_false_objects_get_donors(bank: Bank, tmp_path: Path) -> None:
    interface = told(bank, false=0.3)
    train_refiner(interface, bank, recipe=LENGTH, work=tmp_path, report=silent)
    refiner = interface.refiner
    assert isinstance(refiner, DenseRefiner)
    assert refiner.errors is not None
    assert (refiner.errors.tags >= 0).all()
    assert (refiner.errors.sizes > 0).all()
    finds = refiner_finds(interface, [scene(index, 5, VARIED) for index in range(24)])
    false = [len(find.kinds - _kinds(index)) for index, find in enumerate(finds)]
    assert sum(false) > 5


def _kinds(index: int) -> set[str]:
    return {thing.name for thing in scene(index, 5, VARIED).objects}


def test_withheld_objects_are_not_found(bank: Bank, tmp_path: Path) -> None:
    samples = [scene(index, 5, VARIED) for index in range(24)]
    found = []
    for withheld in (0.0, 0.3):
        interface = told(bank, withheld=withheld)
        train_refiner(interface, bank, recipe=LENGTH, work=tmp_path, report=silent)
        finds = refiner_finds(interface, samples)
        found.append(np.mean([hit for find in finds for hit in find.found]))
    assert 0.5 * found[0] < found[1] < 0.9 * found[0]


def test_a_bank_for_other_patches(bank: Bank, tmp_path: Path) -> None:
    other = replace(bank, kinds=bank.kinds[:, :4, :4], colors=bank.colors[:, :4, :4])
    with pytest.raises(InputError, match="expected labels of 9 x 9 patches, got 4 x 4"):
        train_refiner(lyrics(), other, work=tmp_path, report=silent)


def test_what_is_reported_of_the_kind_asked_for() -> None:
    finds = [
        RefinerFinds((True, False), frozenset({"car", "cup"}), 2),
        RefinerFinds((), frozenset(), 0),
    ]
    rows = pl.DataFrame(
        [
            (0, "polling", "Is there a car in this image?", "yes", "yes"),
            (0, "polling", "Is there a cup in this image?", "no", "yes"),
            (0, "polling", "Is there a fish in this image?", "yes", "no"),
            (0, "polling-adversarial", "Is there a cup in this image?", "no", "no"),
            (1, "polling", "Is there a cup in this image?", "no", "no"),
            (1, "color", "What color is the cup?", "red", "red"),
        ],
        schema=["scene", "kind", "question", "expected", "said"],
        orient="row",
    )
    reported = with_reports(rows, finds)["reported"]
    assert reported.to_list() == [True, True, False, True, False, None]


def test_kinds_and_colours_are_asked_as_they_are_drawn() -> None:
    names = lyrics().refiner.names
    assert names[KINDS.index("cup") * len(COLORS) + 3] == f"{COLORS[3]} cup"
