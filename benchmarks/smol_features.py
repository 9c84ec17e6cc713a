"""What smol's frozen vision tower gives: probes on the features that its adapter reads.

At every location a linear probe, and one of two layers as wide as the adapter, tell which kind and
which colour is there, on drawn scenes that the probe did not see; then an object's locations vote.
The last column is the ceiling of whoever reads these features. Prints a table in Markdown.

    python benchmarks/smol_features.py --scenes 500
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retinoscope.data.scenes import COLORS, KINDS, SIGN_WORDS, draw_arrays
from retinoscope.pocket.smol import VISION, LiteConfig, LiteTower, part_file, vision_state
from retinoscope.recipes.pocket._bank import AMBIGUOUS, patch_labels
from retinoscope.recipes.smol._features import pixels

OPTIONS: tuple[tuple[int, int, tuple[str, ...]], ...] = (
    (192, 16, ("stage4",)),
    (192, 16, ("stage5",)),
    (384, 32, ("stage5",)),
    (384, 32, ("stage6",)),
    (384, 32, ("stage7",)),
    (384, 32, ("head",)),
    (384, 32, ("stage5", "stage7")),
    (384, 32, ("stage5", "stage6", "stage7")),
)
"""Pixels of the image, pixels of a location, stages: all of 12 x 12 locations."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vision", type=Path, help="the tower's weights, if not fetched")
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    n, device = options.scenes, torch.device(options.device)
    drawn = [draw_arrays(index, options.seed) for index in range(n)]
    images = np.stack([image for image, _, _ in drawn])
    kinds, colors = (
        torch.tensor(np.stack([patch_labels(one[place], 12) for one in drawn])).flatten(1)
        for place in (1, 2)
    )
    weights = vision_state(options.vision or part_file(VISION))
    print(f"{n} scenes, a fifth of them held out; seed {options.seed}\n")
    print(
        "| pixels | stages | channels | kind, linear | kind, two layers | colour, linear "
        "| colour, two layers | background | kind of an object, by vote |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for side, patch, stages in OPTIONS:
        tower = LiteTower(LiteConfig(image_size=side, patch_size=patch, stages=stages))
        tower.backbone.load_state_dict(weights)
        features = features_of(tower.eval().to(device), images)
        cells, background, vote = [], 0.0, 0.0
        for labels, classes in (
            (kinds, 1 + len(KINDS) + len(SIGN_WORDS)),
            (colors, 1 + len(COLORS)),
        ):
            for wide in (0, 576):
                right, background_now, vote_now = probe(features, labels, classes, wide)
                cells.append(f"{100 * right:.1f}")
                if labels is kinds and wide:
                    background, vote = background_now, vote_now
        print(
            f"| {side} | {' + '.join(stages)} | {features.shape[-1]} | {' | '.join(cells)} "
            f"| {100 * background:.1f} | {100 * vote:.1f} |",
            flush=True,
        )


@torch.no_grad()
def features_of(tower: LiteTower, images: np.ndarray) -> Tensor:
    """Standardised features (scene, location, channel) on the CPU."""
    device, side = tower.mean.device, tower.config.image_size
    parts = [
        tower.raw(pixels(images[start : start + 20], side, device)).cpu()
        for start in range(0, len(images), 20)
    ]
    features = torch.cat(parts)
    return (features - features.mean((0, 1))) / features.std((0, 1)).clamp_min(0.02)


def probe(features: Tensor, labels: Tensor, classes: int, wide: int) -> tuple[float, float, float]:
    """Accuracy on held-out object locations, on background locations, and of objects by vote."""
    torch.manual_seed(0)
    split, width = len(features) * 4 // 5, features.shape[-1]
    head: nn.Module = nn.Linear(width, classes)
    if wide:
        head = nn.Sequential(nn.Linear(width, wide), nn.GELU(), nn.Linear(wide, classes))
    weight = torch.ones(classes)
    weight[0] = 0.1
    x, y = features[:split].flatten(0, 1), labels[:split].flatten().long()
    x, y = x[y != AMBIGUOUS], y[y != AMBIGUOUS]
    optimizer = torch.optim.AdamW(head.parameters(), lr=2e-3, weight_decay=0.05)
    epochs = 8
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - epoch / epochs)
        for chosen in torch.randperm(len(x)).split(256):
            loss = F.cross_entropy(head(x[chosen]), y[chosen], weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        logits = head(features[split:])
    said, true = logits.argmax(-1), labels[split:]
    objects = (true > 0) & (true != AMBIGUOUS)
    right = said == true
    votes = []
    for scene in range(len(true)):
        for label in true[scene][objects[scene]].unique():
            together = logits[scene][true[scene] == label].mean(0)
            votes.append(int(together.argmax()) == int(label))
    return (
        right[objects].float().mean().item(),
        right[true == 0].float().mean().item(),
        float(np.mean(votes)),
    )


if __name__ == "__main__":
    main()
