"""Rotary positions on three axes, and a tower that sorts its patches into windows."""

from __future__ import annotations

import pytest
import torch
from checks import QUESTION, oracle, picture, pictures, run_of
from row import loaded
from table import FAMILY

PAIR = pictures([(30, 70), (64, 20)])


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
@pytest.mark.parametrize("family", ["Qwen2-VL", "Qwen2.5-VL", "Qwen3-VL"])
def test_rotary_positions_are_the_library_s(family, images):
    row = FAMILY[family]
    vlm = loaded(row)
    inputs = run_of(vlm, images).inputs
    given = oracle(row, vlm, images)
    wanted, deltas = vlm.model.model.get_rope_index(
        given["input_ids"],
        image_grid_thw=given["image_grid_thw"],
        mm_token_type_ids=given["mm_token_type_ids"],
    )
    n = len(inputs.input_ids)
    found = vlm.adapter.arguments(inputs, 0, n + 3)["position_ids"]
    assert torch.equal(found[:, :, :n], wanted)
    behind = torch.arange(n, n + 3) + deltas[0]
    assert torch.equal(found[:, 0, n:], behind.expand(3, -1))
    # The axes differ somewhere, so that equal positions are no accident.
    assert not torch.equal(found[0], found[1])


def test_features_follow_the_layout():
    """The tower undoes its windows: a token's own features change with its box as well."""
    vlm = loaded(FAMILY["Qwen2.5-VL"])
    image = picture((64, 48))
    before = vlm.encode([image])[0]
    (layout,) = vlm.prompt([image], QUESTION).inputs.layouts
    for token in (0, 13, len(layout) - 1):
        left, top, right, bottom = layout.boxes[token].astype(int)
        changed = image.copy()
        changed.paste((255, 0, 255), (left, top, right, bottom))
        change = (vlm.encode([changed])[0] - before).norm(dim=-1)
        assert int(change.argmax()) == token


@pytest.mark.parametrize(
    ("family", "size", "grid", "boxes"),
    [
        ("Qwen2-VL", (48, 32), (4, 6), {0: [0, 0, 8, 8], 7: [8, 8, 16, 16]}),
        ("Mistral 3", (40, 24), (3, 5), {6: [8, 8, 16, 16]}),
    ],
)
def test_a_token_covers_merged_patches(family, size, grid, boxes):
    (layout,) = loaded(FAMILY[family]).prompt([picture(size)], QUESTION).inputs.layouts
    assert layout.grid == grid
    for token, box in boxes.items():
        assert layout.boxes[token].tolist() == box
