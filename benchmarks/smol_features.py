"""Which feature stage of the vision tower the small model of pretrained parts should read.

A linear probe, and one of two layers as wide as the adapter, tell at every location which kind and
which colour it shows, on drawn scenes that the probe did not see. Prints a table.

    python benchmarks/smol_features.py FOLDER_WITH_THE_PARTS
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retinoscope.data.scenes import COLORS, KINDS, SIGN_WORDS, draw_arrays
from retinoscope.pocket.recipe import patch_labels
from retinoscope.pocket.smol import tower

AMBIGUOUS = 255
OPTIONS: tuple[tuple[int, int, tuple[str, ...]], ...] = (
    (192, 16, ("stage4",)),
    (192, 16, ("stage5",)),
    (384, 32, ("stage5",)),
    (384, 32, ("stage6",)),
    (384, 32, ("stage7",)),
    (384, 32, ("head",)),
    (384, 32, ("stage5", "stage7")),
    (384, 32, ("stage5", "head")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", type=Path, help="file of the vision tower's weights")
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    n = options.scenes
    drawn = [draw_arrays(index, options.seed) for index in range(n)]
    kinds = torch.tensor(np.stack([patch_labels(label, 12) for _, label, _ in drawn])).flatten(1)
    colors = torch.tensor(np.stack([patch_labels(color, 12) for _, _, color in drawn])).flatten(1)
    images = np.stack([image for image, _, _ in drawn])
    split = n * 4 // 5
    print("| pixels | stages | channels | kind, linear | colour, linear | kind, two layers | "
          "colour, two layers | background | ms an image |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for side, patch, stages in OPTIONS:
        model = tower.open_tower(options.parts, image_size=side, patch_size=patch, stages=stages)
        start = time.perf_counter()
        features = torch.cat(
            [tower.raw_features(model, images[k : k + 20]) for k in range(0, n, 20)]
        )
        cost = (time.perf_counter() - start) / n * 1000
        mean, std = features.mean((0, 1)), features.std((0, 1)) + 1e-3
        features = (features - mean) / std
        row = []
        for wide in (0, 576):
            for labels, classes in (
                (kinds, 1 + len(KINDS) + len(SIGN_WORDS)),
                (colors, 1 + len(COLORS)),
            ):
                row.append(probe(features, labels, classes, split, wide))
        objects = " | ".join(f"{100 * found:.1f}" for found, _ in row)
        print(f"| {side} | {' + '.join(stages)} | {features.shape[-1]} | {objects} | "
              f"{100 * row[0][1]:.1f} | {cost:.0f} |", flush=True)  # fmt: skip


def probe(
    features: Tensor, labels: Tensor, classes: int, split: int, wide: int
) -> tuple[float, float]:
    """Accuracy on held-out object locations and on background locations."""
    torch.manual_seed(0)
    width = features.shape[-1]
    head: nn.Module = nn.Linear(width, classes)
    if wide:
        head = nn.Sequential(nn.Linear(width, wide), nn.GELU(), nn.Linear(wide, classes))
    weight = torch.ones(classes)
    weight[0] = 0.1
    x, y = features[:split].flatten(0, 1), labels[:split].flatten().long()
    x, y = x[y != AMBIGUOUS], y[y != AMBIGUOUS]
    optimizer = torch.optim.AdamW(head.parameters(), lr=2e-3, weight_decay=0.05)
    epochs, batch = 8, 256
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - epoch / epochs)
        for chosen in torch.randperm(len(x)).split(batch):
            loss = F.cross_entropy(head(x[chosen]), y[chosen], weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        said, true = head(features[split:].flatten(0, 1)).argmax(-1), labels[split:].flatten()
    objects = (true > 0) & (true != AMBIGUOUS)
    right = said == true
    return right[objects].float().mean().item(), right[true == 0].float().mean().item()


if __name__ == "__main__":
    main()
