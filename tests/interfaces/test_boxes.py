"""Boxes for attention, and the patches under them."""

from __future__ import annotations

import torch

from retinoscope.interfaces._boxes import D_BOX, patch_boxes, patch_shares, sinusoidal


def test_a_box_can_be_read_from_its_sines() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(400, 4, generator=generator)
    read = sinusoidal(boxes)
    assert read.shape == (400, D_BOX)
    design = torch.cat([read, torch.ones(400, 1)], 1).double()
    weights = torch.linalg.lstsq(design[:300], boxes[:300].double()).solution
    assert float((design[300:] @ weights - boxes[300:]).abs().max()) < 0.05


def test_neighbouring_boxes_differ_more_than_as_numbers() -> None:
    one, other = torch.tensor([0.2, 0.2, 0.5, 0.5]), torch.tensor([0.25, 0.2, 0.55, 0.5])
    apart = (sinusoidal(one) - sinusoidal(other)).norm()
    assert float(apart) > 20 * float((one - other).norm())


def test_shares_are_of_the_area() -> None:
    box = torch.tensor([[0.25, 0.0, 1.0, 0.5], [0.5, 0.5, 0.5, 0.9]])
    shares = patch_shares(box, 2)
    torch.testing.assert_close(shares, torch.tensor([[1 / 3, 2 / 3, 0.0, 0.0], [0.0] * 4]))


def test_patches_cover_themselves() -> None:
    torch.testing.assert_close(patch_shares(patch_boxes(3), 3), torch.eye(9))
    finer = patch_shares(patch_boxes(4), 3)
    torch.testing.assert_close(finer.sum(1), torch.ones(16))
    torch.testing.assert_close(finer.sum(0), torch.full((9,), 16 / 9))
