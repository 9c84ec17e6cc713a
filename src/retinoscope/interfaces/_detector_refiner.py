"""A refiner for any image: an object detector in front of the tower's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..arguments import number
from ..errors import InputError
from ._boxes import patch_shares
from ._detectors import Detections, Detector, PretrainedDetector
from ._refiner import Refined, Refiner, SeenObjects
from ._tower import TowerShape, from_pixels


class DetectorRefiner(Refiner):
    """Finds objects with a detector; an image in which it finds nothing has no object.

    The detector gets the image as the tower sees it, at the tower's size. It is not part of the
    interface's weights: a folder or Hub id is read when it is first needed.

    Args:
        shape: of the tower.
        detector: a folder or Hub id, or any `Detector`.
        labels: what to look for, for a detector by name that has to be told.
        states: an object's features: "tower" is the mean of the tower's patches, weighted by the
            share of the box in each; "detector" is the detector's own vector for the object.
        threshold: least score of an object.
        most: the largest number of objects; the surest are kept.

    Raises:
        InputError: a threshold outside 0 to 1, no such detector, or one without vectors.
    """

    def __init__(
        self,
        shape: TowerShape,
        detector: str | Detector,
        labels: Sequence[str] = (),
        states: Literal["tower", "detector"] = "tower",
        threshold: float = 0.5,
        most: int = 8,
    ) -> None:
        super().__init__()
        self._grid, self._states, self.most = shape.grid, states, most
        self._finds = (
            PretrainedDetector(detector, labels) if isinstance(detector, str) else detector
        )
        self.threshold = number(threshold, "threshold, a score,", 0, 1)
        self.d_feature = shape.width if states == "tower" else self._finds.d_state
        if not self.d_feature:
            raise InputError(
                f"expected a detector with a vector for each object, got {detector!r}: "
                "use states='tower'"
            )

    @property
    def names(self) -> tuple[str, ...]:
        return self._finds.names

    @torch.no_grad()
    def forward(
        self,
        pixels: Float[Tensor, "batch 3 height width"],
        tokens: Float[Tensor, "batch token width"],
    ) -> Refined:
        images = list(from_pixels(pixels.float()))
        found = [self._kept(each) for each in self._finds(images, pixels.device)]
        objects = self._padded(found, tokens)
        return Refined(objects, objects)

    def _kept(self, found: Detections) -> Detections:
        """The surest objects that have an area in the image."""
        boxes = found.boxes.float().clamp(0, 1)
        there = (boxes[:, 2:] > boxes[:, :2]).all(1) & (found.scores >= self.threshold)
        order = found.scores.masked_fill(~there, -1).argsort(descending=True, stable=True)
        best = order[: min(self.most, int(there.sum()))]
        states = None if found.states is None else found.states[best]
        return Detections(boxes[best], found.scores[best], found.labels[best], states)

    def _padded(
        self, found: Sequence[Detections], tokens: Float[Tensor, "batch token width"]
    ) -> SeenObjects:
        def padded(parts: Sequence[Tensor], empty: float) -> Tensor:
            filled = parts[0].new_full((len(parts), self.most, *parts[0].shape[1:]), empty)
            for row, part in zip(filled, parts, strict=True):
                row[: len(part)] = part
            return filled.to(tokens.device)

        boxes = padded([each.boxes for each in found], 0.0)
        tags = padded([each.labels for each in found], -1)
        mask = padded([torch.ones_like(each.labels, dtype=torch.bool) for each in found], False)
        patches = patch_shares(boxes, self._grid)
        if self._states == "tower":
            features = patches.to(tokens.dtype) @ tokens[:, 1:]
        else:
            states = [each.states for each in found if each.states is not None]
            if len(states) < len(found):
                raise InputError(
                    "expected a vector for each object from the detector, got none: "
                    "use states='tower'"
                )
            features = padded(states, 0.0).to(tokens.dtype)
        scores = padded([each.scores.float() for each in found], 0.0)
        return SeenObjects(features, boxes, scores, tags, patches, mask, torch.zeros_like(mask))
