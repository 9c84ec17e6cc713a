"""Errors of a refiner on demand: objects that it misses, and objects that are not there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..arguments import number
from ..errors import InputError
from ._boxes import patch_shares
from ._refiner import SeenObjects

DONORS = 256
_TRIES = 24


class RefinerErrors(nn.Module):
    """Hides objects and adds others; which ones depends on the image's pixels alone.

    Each object is hidden with the probability `withheld`, and with the probability `false` another
    one joins it: the features, tag, score and size of an object of another scene, of a kind that
    was not found in this one, at a random place that overlaps no object. These donors are kept with
    the weights; training fills them.

    Args:
        withheld, false: probabilities.
        d_feature: width of an object's features.
        n_colors: number of tags per kind.

    Raises:
        InputError: a probability outside 0 to 1.
    """

    def __init__(self, withheld: float, false: float, d_feature: int, n_colors: int) -> None:
        super().__init__()
        self.withheld = number(withheld, "withheld, a share,", 0, 1)
        self.added = number(false, "false, a share,", 0, 1)
        self._n_colors = n_colors
        n = DONORS if false else 0
        self.features = nn.Buffer(torch.zeros(n, d_feature))
        self.sizes = nn.Buffer(torch.zeros(n, 2))
        self.scores = nn.Buffer(torch.zeros(n))
        self.tags = nn.Buffer(torch.full((n,), -1, dtype=torch.long))

    def fill(self, found: Sequence[SeenObjects]) -> None:
        """Takes the donors from objects of several scenes; few are repeated.

        Raises:
            InputError: there are none.
        """
        parts = zip(*(_each(objects) for objects in found), strict=True)
        columns = [torch.cat(list(part)) for part in parts]
        if not len(columns[0]):
            raise InputError("expected a refiner that finds objects, got none: train it longer")
        donors = torch.arange(len(self.tags)) % len(columns[0])
        for buffer, column in zip(
            (self.features, self.sizes, self.scores, self.tags), columns, strict=True
        ):
            buffer.copy_(column[donors])

    def forward(
        self, objects: SeenObjects, pixels: Float[Tensor, "batch 3 height width"]
    ) -> SeenObjects:
        """The objects with errors."""
        changed = SeenObjects(**{name: part.clone() for name, part in vars(objects).items()})
        for row, image in enumerate(pixels):
            self._change(changed, row, np.random.default_rng(_seed(image)))
        return changed

    def _change(self, objects: SeenObjects, row: int, rng: np.random.Generator) -> None:
        """Changes the objects of one image in place."""
        mask = objects.mask[row].clone()
        there = mask.nonzero()[:, 0].tolist()
        draws = rng.random((len(mask), 2))
        free = (~mask).nonzero()[:, 0].tolist()
        n_added = int((draws[: len(there), 1] < self.added).sum())
        for place in free[:n_added]:
            self._add(objects, row, place, rng)
        for place, (hidden, _) in zip(there, draws, strict=False):
            if hidden < self.withheld:
                objects.mask[row, place] = False
                objects.tags[row, place] = -1

    def _add(self, objects: SeenObjects, row: int, place: int, rng: np.random.Generator) -> None:
        """Adds one object, unless no donor or no place is left."""
        mask = objects.mask[row]
        known = set((objects.tags[row, mask] // self._n_colors).tolist())
        fitting = [
            donor
            for donor, tag in enumerate(self.tags.tolist())
            if tag >= 0 and tag // self._n_colors not in known
        ]
        if not fitting:
            return
        donor = fitting[int(rng.integers(len(fitting)))]
        size = self.sizes[donor].double().cpu().numpy()
        taken = objects.boxes[row, mask].double().cpu().numpy()
        for _ in range(_TRIES):
            low = rng.random(2) * (1 - size)
            box = np.concatenate([low, low + size])
            if not _overlap(box, taken):
                break
        else:
            return
        grid = round(objects.patches.shape[-1] ** 0.5)
        placed = torch.tensor(box, dtype=objects.boxes.dtype, device=objects.boxes.device)
        objects.features[row, place] = self.features[donor].to(objects.features)
        objects.boxes[row, place] = placed
        objects.scores[row, place] = self.scores[donor].to(objects.scores)
        objects.tags[row, place] = self.tags[donor]
        objects.patches[row, place] = patch_shares(placed, grid).to(objects.patches)
        objects.mask[row, place] = objects.false[row, place] = True


def _each(objects: SeenObjects) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, sizes, scores and tags of the objects of a batch, one after the other."""
    there = objects.mask
    boxes = objects.boxes[there]
    sizes = boxes[:, 2:] - boxes[:, :2]
    return objects.features[there], sizes, objects.scores[there], objects.tags[there]


def _overlap(box: Float[np.ndarray, "4"], others: Float[np.ndarray, "object 4"]) -> bool:
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    return bool((high > low).all(1).any())


def _seed(image: Float[Tensor, "3 height width"]) -> int:
    """A number that depends on the image's pixels alone."""
    levels = ((image.detach().float().cpu() + 1) * 127.5).round().clamp(0, 255).byte()
    return int.from_bytes(hashlib.sha256(levels.numpy().tobytes()).digest()[:8], "little")
