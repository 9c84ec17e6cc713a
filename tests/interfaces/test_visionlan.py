"""The interface that reads signs."""

from __future__ import annotations

import pytest
import torch

from retinoscope.interfaces import build_interface

TOWER = {"image": 144, "patch": 16, "width": 16, "layers": 1, "heads": 2, "ff": 16}


@pytest.fixture
def interface():
    torch.manual_seed(0)
    reader = {"d": 12, "heads": 2, "ff": 16, "layers": 1}
    return build_interface("visionlan", {"tower": TOWER, "ff": 16, "reader": reader}, 16).eval()


def finding(interface, patches: list[int]) -> None:
    """The finder names these patches, whatever the image."""

    def hook(_, args, output):
        named = torch.full_like(output, -20.0)
        named[:, patches] = 20.0
        return named

    interface.finder.register_forward_hook(hook)


def test_the_board_lies_in_the_middle_of_the_patches_that_were_found(interface) -> None:
    finding(interface, [30, 31, 39, 40])
    seen = interface.see(torch.rand(1, 3, 144, 144) * 2 - 1)
    # Patches 30 and 31 are the fourth and fifth of the fourth row, 39 and 40 lie below them.
    assert seen["board_at"][0].tolist() == pytest.approx([64.0, 64.0])
    assert seen["board_there"].tolist() == [True]
    tokens = interface(seen)
    assert tokens.there.sum() == 81 + 9
    assert tokens.home[0, :81].tolist() == list(range(81))
    slots = tokens.home[0, 81:]
    # A window of 64 pixels reaches over five patches of the row in the middle.
    assert set((slots // 9).tolist()) == {4}
    assert set((slots % 9).tolist()) <= set(range(2, 6))


def test_without_a_sign_there_are_patches_alone(interface) -> None:
    finding(interface, [])
    pixels = torch.rand(2, 3, 144, 144) * 2 - 1
    tokens = interface.encode(pixels)
    assert tokens.there.sum(1).tolist() == [81, 81]
    assert bool((tokens.home[:, 81:] == -1).all())
    assert bool(tokens.embeddings.isfinite().all())


def test_slots_depend_on_the_window_and_patches_do_not(interface) -> None:
    finding(interface, [40])
    seen = interface.see(torch.rand(1, 3, 144, 144) * 2 - 1)
    other = {**seen, "board": torch.rand(1, 3, 24, 96) * 2 - 1}
    one, two = interface(seen).embeddings, interface(other).embeddings
    assert torch.equal(one[:, :81], two[:, :81])
    assert not torch.allclose(one[:, 81:], two[:, 81:])
