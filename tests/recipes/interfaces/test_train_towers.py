"""The towers' recipe in miniature: it resumes, it is repeatable, and its gate can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from retinoscope.data.scenes import KINDS, VARIED, Scenes, scene_layout
from retinoscope.errors import InputError
from retinoscope.interfaces import TowersShape, open_towers
from retinoscope.recipes.interfaces import TowersRecipe, train_towers
from retinoscope.recipes.interfaces import _gate as gating
from retinoscope.recipes.interfaces._held_out import GATE_SEED, HeldOut, draw_held_out
from retinoscope.recipes.interfaces._probes import PROBES, ProbeRows, Ridge, fitted, scored
from retinoscope.recipes.pocket import Stage

STAGE = Stage(steps=3, batch=4, lr=1e-3, warmup=1)
RECIPE = TowersRecipe(
    TowersShape(patch=16, width=16, layers=1, heads=2, ff=16, text_layers=1, text_ff=16),
    scenes=12,
    kinds=STAGE,
    small=STAGE,
    whole=STAGE,
    contrastive=STAGE,
    mae=STAGE,
    patch_weight=0.1,
    fit_scenes=24,
    test_scenes=12,
)


class Interrupted(Exception):
    pass


@pytest.fixture(scope="module")
def scenes() -> HeldOut:
    return draw_held_out(160, 16, lambda *_: None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("towers")
    train_towers(folder / "work", folder / "out", recipe=RECIPE, report=lambda *_: None)
    return folder


def test_the_folder_opens_and_says_what_the_towers_know(trained: Path) -> None:
    towers = open_towers(trained / "out")
    assert towers.shape == RECIPE.shape
    gate = towers.facts["gate"]
    assert set(gate["probes"]) == set(PROBES)
    for probe in gate["probes"].values():
        assert set(probe["towers"]) == {"contrastive", "mae", "start", "untrained"}
        for value, low, high in probe["towers"].values():
            assert low <= value <= high
    assert gate["kinds_known"] is False
    assert set(towers.facts["kinds_while_training"]) == {
        "kinds",
        "small",
        "whole",
        "contrastive",
        "mae",
    }


def test_the_towers_differ_after_training(trained: Path) -> None:
    towers = open_towers(trained / "out")
    one, other = towers.contrastive.state_dict(), towers.mae.state_dict()
    assert not any(torch.equal(one[key], other[key]) for key in one if key.endswith("weight"))


def test_an_interrupted_training_ends_in_the_same_weights(trained: Path, tmp_path: Path) -> None:
    def stopped(stage: str, step: int, steps: int, loss: float) -> None:
        if (stage, step) == ("mae", 2):
            raise Interrupted

    with pytest.raises(Interrupted):
        train_towers(tmp_path / "work", tmp_path / "out", recipe=RECIPE, report=stopped)
    assert not (tmp_path / "out").exists()
    train_towers(tmp_path / "work", tmp_path / "out", recipe=RECIPE, report=lambda *_: None)
    weights = [(f / "out" / "towers.safetensors").read_bytes() for f in (trained, tmp_path)]
    assert weights[0] == weights[1]


def test_another_recipe_in_the_same_folder_is_refused(trained: Path) -> None:
    other = replace(RECIPE, patch_weight=0.5)
    with pytest.raises(InputError, match="another recipe"):
        train_towers(trained / "work", trained / "out", recipe=other, report=lambda *_: None)


def test_held_out_scenes_hold_the_truth(scenes: HeldOut) -> None:
    samples = Scenes(160, GATE_SEED, VARIED)
    for place, sample in enumerate(samples):
        assert {KINDS[k] for k in np.flatnonzero(scenes.kinds[place])} == {
            obj.name for obj in sample.objects
        }
        assert scenes.counts[place] == len(sample.objects)
        radii = [i.radius_in_pixels for i in scene_layout(place, GATE_SEED, VARIED).items]
        assert list(scenes.small[scenes.scene == place]) == [radius < 15 for radius in radii]
    first = samples[0].objects[0]
    row, col = divmod(int(scenes.patch[0]), 9)
    x, y = (scenes.offset[0] + 8) + (16 * col, 16 * row)
    assert x == pytest.approx(np.nonzero(first.mask)[1].mean() + 0.5)
    assert y == pytest.approx(np.nonzero(first.mask)[0].mean() + 0.5)
    image = np.asarray(samples[5].image)[16:24, 40:48] / 255
    assert scenes.quadrants[5, 9 + 2, 3:6] == pytest.approx(image.mean((0, 1)), abs=1e-5)
    few = scenes.first(10)
    assert len(few) == 10
    assert few.scene.max() == 9


def test_features_that_say_the_answer_pass_the_gate(
    scenes: HeldOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tower whose patches are the kinds knows them; one of noise does not."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(160, 82, 24)).astype(np.float32)
    exact = noise * 0.01
    exact[:, 0] += scenes.kinds
    known = {"contrastive": exact, "mae": noise}
    monkeypatch.setattr(gating, "tower_features", lambda tower, _: known[tower])
    result = gating.gate({name: name for name in known}, scenes, 120)  # pyright: ignore
    assert result["kinds_known"]
    assert result["probes"]["kinds"]["towers"]["mae"][0] < 0.6
    value, low, high = result["probes"]["kinds"]["mae - contrastive"]
    assert low < value < high < 0
    assert "kinds" not in result["mae_better_in"]
    turned = gating.gate({"contrastive": "mae", "mae": "contrastive"}, scenes, 120)  # pyright: ignore
    assert "kinds" in turned["mae_better_in"]


def test_ridge_is_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4))
    x = (x - x.mean(0)) / x.std(0)
    y = x @ rng.normal(size=(4, 2)) + 3
    weights = np.linalg.solve(x.T @ x / 50 + 0.1 * np.eye(4), x.T @ (y - y.mean(0)) / 50)
    assert Ridge(x, y).predict(x, 0.1) == pytest.approx(x @ weights + y.mean(0), abs=1e-4)
    assert fitted(ProbeRows(x, y, np.arange(50)))[1] == 1e-5


@pytest.mark.parametrize(
    ("score", "expected"),
    [("recall", 2 / 3), ("top", 0.5), ("rounded", 0.0), ("distance", 0.8277), ("r2", 1.04)],
)
def test_scores(score, expected: float) -> None:
    """Two scenes of one row each: three true targets, of which the predictions rank two first."""
    true = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    predicted = np.array([[0.9, 0.5, 0.1], [0.8, 0.1, 0.2]])
    if score == "recall":
        predicted[1] = [0.8, 0.1, 0.7]
    rows = ProbeRows(np.zeros((2, 1)), true, np.array([4, 7]))
    top, bottom, scene = scored(score, predicted, rows, true.mean(0))
    assert list(scene) == [4, 7]
    assert top.sum() / bottom.sum() == pytest.approx(expected, abs=1e-4)
