"""The training of a decoder that paints what features of patches say; for pictures only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...interfaces import MaeDecoder, patch_pixels
from ..pocket import Report, Stage, optimise
from ._tokenizer import Patches

PAINT = Stage(steps=1500, batch=16, lr=1e-3)


def train_painter(
    painter: MaeDecoder,
    patches: Patches,
    pixels: Callable[[np.ndarray], Float[Tensor, "image 3 height width"]],
    n: int,
    patch: int,
    stage: Stage,
    *,
    work: Path,
    report: Report,
) -> None:
    """Trains `painter` in place on true features; a later call with the same `work` resumes.

    Args:
        painter: gets a class token of zeros, since codes have none.
        patches, pixels: what the tower saw of the images with these numbers, and the images.
        n: the number of images.
        patch: side of a patch in pixels.
        stage: length of the training.
        work: folder for the checkpoint.
        report: called with the progress.
    """

    def loss_at(rng: np.random.Generator) -> Tensor:
        rows = np.sort(rng.choice(n, min(stage.batch, n), replace=False))
        seen = patches(rows)
        whole = torch.cat([torch.zeros_like(seen[:, :1]), seen], 1)
        everywhere = torch.arange(seen.shape[1]).expand(len(seen), -1)
        painted = painter(whole, everywhere)
        return (painted - patch_pixels(pixels(rows), patch)).square().mean()

    optimise("painter", stage, {"painter": painter}, loss_at, seed=0, work=work, report=report)
