"""Trained towers come back from their folder, and damaged folders are refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from retinoscope.errors import InputError
from retinoscope.interfaces import (
    Towers,
    TowersShape,
    open_towers,
    tower_tokens,
    untrained_towers,
    write_towers,
)

SHAPE = TowersShape(patch=48, width=16, layers=1, heads=2, ff=16, text_layers=1, text_ff=16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_towers(tmp_path, replace(untrained_towers(SHAPE, 3), facts={"gate": {"passed": True}}))
    return tmp_path


def test_towers_come_back_frozen(folder: Path) -> None:
    written, opened = untrained_towers(SHAPE, 3), open_towers(folder)
    assert opened.shape == SHAPE
    assert opened.facts == {"gate": {"passed": True}}
    for name, module in opened.modules.items():
        assert not module.training
        for key, value in written.modules[name].state_dict().items():
            assert torch.equal(module.state_dict()[key], value.half().float()), key
        assert not any(parameter.requires_grad for parameter in module.parameters())


def test_both_towers_run(folder: Path) -> None:
    towers = open_towers(folder)
    images = torch.rand(2, 3, 144, 144)
    kept = torch.tensor([[8, 0], [3, 4]])
    tokens = tower_tokens(towers.mae, images, kept)
    assert towers.mae_decoder(tokens, kept).shape == (2, 9, 3 * 48**2)
    assert tower_tokens(towers.contrastive, images).shape == (2, 10, 16)
    assert towers.text(torch.tensor([[2, 7, 3, 0]])).norm().item() == pytest.approx(1)


def _no_index(folder: Path) -> None:
    (folder / "towers.json").unlink()


def _cut_index(folder: Path) -> None:
    (folder / "towers.json").write_text("{")


def _no_weights(folder: Path) -> None:
    (folder / "towers.safetensors").unlink()


def _cut_weights(folder: Path) -> None:
    path = folder / "towers.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _other_shape(folder: Path) -> None:
    index = json.loads((folder / "towers.json").read_text())
    index["shape"]["ff"] = 32
    (folder / "towers.json").write_text(json.dumps(index))


def _unknown_size(folder: Path) -> None:
    (folder / "towers.json").write_text(json.dumps({"shape": {"depth": 2}}))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_no_index, "got one without a readable towers.json"),
        (_cut_index, "expected the index of towers"),
        (_unknown_size, "expected the index of towers"),
        (_no_weights, "expected weights of towers"),
        (_cut_weights, "expected weights of towers"),
        (_other_shape, "another architecture's"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(folder: Path, damage, says: str) -> None:
    damage(folder)
    with pytest.raises(InputError, match=says) as caught:
        open_towers(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_both_vision_towers_start_alike() -> None:
    towers: Towers = untrained_towers(SHAPE)
    one, other = towers.contrastive.state_dict(), towers.mae.state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
