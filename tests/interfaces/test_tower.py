"""The frozen towers."""

from __future__ import annotations

import torch

from retinoscope.interfaces import TowerShape, build_tower, tower_tokens

SHAPE = TowerShape(image=24, patch=8, width=16, layers=2, heads=2, ff=24)


def test_tokens_are_those_of_the_library() -> None:
    tower = build_tower(SHAPE).eval()
    pixels = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens = tower_tokens(tower, pixels)
        assert tokens.shape == (2, 10, 16)
        assert torch.equal(tokens, tower(pixel_values=pixels).last_hidden_state)


def test_patches_left_out_are_not_seen() -> None:
    tower = build_tower(SHAPE).eval()
    pixels = torch.randn(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    kept = torch.tensor([[0, 4, 8]])
    other = pixels.clone()
    other[..., :8, 8:16] = 0.0  # the second patch
    with torch.no_grad():
        tokens = tower_tokens(tower, pixels, kept)
        assert tokens.shape == (1, 4, 16)
        assert torch.equal(tokens, tower_tokens(tower, other, kept))
        assert not torch.equal(tower_tokens(tower, pixels), tower_tokens(tower, other))


def test_an_untrained_tower_sees_patches_and_their_places() -> None:
    tower = build_tower(SHAPE).eval()
    pixels = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    moved = pixels.roll(8, -1)
    with torch.no_grad():
        tokens, other = tower_tokens(tower, pixels)[0], tower_tokens(tower, moved)[0]
    deviation = tokens[1:].std(0).mean()
    assert deviation > 0.3  # of features that the final norm brings to 1
    in_order = [1 + patch for patch in (2, 0, 1, 5, 3, 4, 8, 6, 7)]
    gap = (other[1:] - tokens[in_order]).square().mean().sqrt()
    assert gap > 0.01
