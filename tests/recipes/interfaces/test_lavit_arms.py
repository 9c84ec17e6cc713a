"""LaVIT's arms: which patches the controls keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from retinoscope.interfaces import WEIGHTS, open_towers
from retinoscope.recipes.interfaces import HELD_OUT_SEED, OPTIONS
from retinoscope.recipes.interfaces._lavit import LAVIT_ARMS, lattice, random_patches
from retinoscope.recipes.interfaces._seen import SeenBank
from retinoscope.recipes.pocket._bank import AMBIGUOUS, draw_bank

ROWS = np.arange(4)


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    work = tmp_path_factory.mktemp("bank")
    return draw_bank(work, 12, HELD_OUT_SEED, 16, lambda *_: None, OPTIONS)


def test_random_ones_are_as_many_in_each_scene_and_objects_come_first(bank) -> None:
    labels = np.asarray(bank.kinds).reshape(12, -1)
    objects = (labels > 0) & (labels != AMBIGUOUS)
    for share in (1 / 12, 1 / 3):
        chosen = random_patches(bank, share, objects_first=False)
        first = random_patches(bank, share, objects_first=True)
        n = round(share * 81)
        assert chosen.sum(1).tolist() == first.sum(1).tolist() == [n] * 12
        found = (first & objects).sum(1)
        assert found.tolist() == np.minimum(objects.sum(1), n).tolist()
    assert np.array_equal(chosen, random_patches(bank, 1 / 3, objects_first=False))


def test_the_lattice_is_even(bank) -> None:
    grid = lattice(bank)[0].reshape(9, 9)
    assert grid.sum(0).tolist() == grid.sum(1).tolist() == [3] * 9


@pytest.mark.parametrize(
    ("name", "n_patches", "n_kept"),
    [("lavit-random", 81, 27), ("lavit-oracle-6th", 81, 14), ("lavit-pooled", 25, 25)],
)
def test_an_arm_is_given_its_choice(bank, name: str, n_patches: int, n_kept: int) -> None:
    seen = SeenBank({"contrastive": np.random.default_rng(0).normal(size=(12, 82, 8))})
    given = seen.with_given(LAVIT_ARMS[name].given(bank)).rows(ROWS)
    assert given["contrastive"].shape == (4, 1 + n_patches, 8)
    assert given["keep"].shape == (4, n_patches)
    assert given["keep"].sum(1).tolist() == [n_kept] * 4


def test_pooled_cells_are_means_of_patches(bank) -> None:
    whole = np.arange(82.0)[None, :, None].repeat(4, 0)
    rows = SeenBank({"contrastive": whole}).with_given(LAVIT_ARMS["lavit-pooled"].given(bank))
    cells = rows.rows(ROWS)["contrastive"][0, :, 0]
    assert cells[0] == 0
    # The first cell of 5 x 5 reaches over the first two rows and columns of 9 x 9 patches.
    assert cells[1] == pytest.approx(np.mean([1, 2, 10, 11]))


def test_all_arms_are_of_one_size() -> None:
    from retinoscope.interfaces import build_interface

    towers = open_towers(WEIGHTS).shape
    tower = {name: getattr(towers, name) for name in ("image", "patch", "width", "layers", "ff")}
    sizes = set()
    for arm in LAVIT_ARMS.values():
        with torch.random.fork_rng(devices=[]):
            made = build_interface(arm.interface, {**arm.settings, "tower": tower}, 128)
        sizes.add(made.size)
    assert len(sizes) == 1
