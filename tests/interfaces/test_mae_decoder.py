"""The MAE decoder paints from what the encoder saw, and only hidden patches count."""

from __future__ import annotations

import torch

from retinoscope.interfaces import MaeDecoder, TowersShape, hidden_error, patch_pixels

SHAPE = TowersShape(patch=48, width=16, layers=1, heads=2, ff=16, text_layers=1, text_ff=16)


def test_the_order_of_the_seen_patches_does_not_matter() -> None:
    torch.manual_seed(0)
    decoder = MaeDecoder(SHAPE).eval()
    tokens, kept = torch.randn(1, 4, 16), torch.tensor([[5, 0, 7]])
    turned = torch.tensor([2, 0, 1])
    again = decoder(torch.cat([tokens[:, :1], tokens[:, 1:][:, turned]], 1), kept[:, turned])
    assert torch.allclose(decoder(tokens, kept), again, atol=1e-5)


def test_patches_are_cut_in_reading_order() -> None:
    images = torch.arange(9.0).reshape(1, 1, 3, 3).expand(1, 3, 3, 3)
    images = images.repeat_interleave(48, 2).repeat_interleave(48, 3)
    assert torch.equal(patch_pixels(images, 48).mean(-1), torch.arange(9.0)[None])


def test_only_hidden_patches_count() -> None:
    wanted, kept = torch.zeros(1, 9, 12), torch.tensor([[0, 4]])
    painted = torch.zeros(1, 9, 12)
    painted[0, [0, 4]] = 100.0
    assert hidden_error(painted, wanted, kept) == 0
    painted[0, 1] = 7.0
    assert torch.isclose(hidden_error(painted, wanted, kept), torch.tensor(7.0))
