"""LaVIT's arms: which patches the controls keep."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

import retinoscope as rs
from retinoscope.interfaces import WEIGHTS, draw, open_towers, read_trained
from retinoscope.recipes.interfaces import (
    HELD_OUT_SEED,
    OPTIONS,
    InterfaceRecipe,
    ReadingRecipe,
    train_interfaces,
)
from retinoscope.recipes.interfaces._lavit import LAVIT_ARMS, lattice, random_patches
from retinoscope.recipes.interfaces._lengths import follows, follows_more
from retinoscope.recipes.interfaces._seen import SeenBank
from retinoscope.recipes.interfaces._writing import SOURCES
from retinoscope.recipes.pocket import Stage
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


def test_it_learns_to_write_and_what_it_writes_is_judged(tmp_path) -> None:
    stage = Stage(steps=2, batch=4, lr=1e-3, warmup=1)
    recipe = InterfaceRecipe(reading=ReadingRecipe(alone=stage, both=stage), scenes=8, held_out=6)
    train_interfaces(
        tmp_path / "work",
        tmp_path / "out",
        arms=["lavit-speaks"],
        recipe=recipe,
        report=lambda *_: None,
        finished=lambda *_: None,
    )
    rows = pl.read_parquet(tmp_path / "out" / "lavit-speaks-0-writing.parquet")
    counts = rows.group_by("source").len()
    assert set(counts["source"]) == set(SOURCES)
    assert counts["len"].n_unique() == 1
    right = dict(rows.group_by("source").agg(pl.mean("right")).iter_rows())
    # Of true features the packaged projector knows a lot, of an untrained writer's it cannot.
    assert right["features"] > 0.7 > right["written"]
    vlm = rs.load(tmp_path / "out" / "lavit-speaks")
    (one,) = draw(vlm, "a red car.")
    assert one.image.size == (144, 144)
    stored = read_trained(tmp_path / "out" / "lavit-speaks-0.safetensors")
    assert set(stored.rows) == {"inputs", "outputs"}
    assert len(vlm.tokenizer) == vlm.model.config.text_config.vocab_size


def test_how_far_lengths_follow_content() -> None:
    rng = np.random.default_rng(0)
    area = rng.integers(1, 60, 80)
    rows = pl.DataFrame(
        {"area": area, "tokens": 2 * area + 5, "untrained": rng.integers(1, 60, 80)}
    )
    assert follows(rows, "tokens", "area", 200).value == pytest.approx(1)
    chance = follows(rows, "untrained", "area", 200)
    assert chance.low < 0 < chance.high
    assert follows_more(rows, "area", 200).low > 0.5
