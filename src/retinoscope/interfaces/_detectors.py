"""Object detectors, as `DetectorRefiner` calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForObjectDetection,
    AutoModelForZeroShotObjectDetection,
    AutoProcessor,
)

from ..errors import InputError, one_line
from ..hub import unreachable


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects that a detector found in one image.

    Attributes:
        boxes: x0, y0, x1, y1 in shares of the image.
        scores: confidence, 0 to 1.
        labels: index in the detector's names; -1 for another one.
        states: a vector for each object; None if the detector has none.
    """

    boxes: Float[Tensor, "object 4"]
    scores: Float[Tensor, " object"]
    labels: Int[Tensor, " object"]
    states: Float[Tensor, "object d_state"] | None = None


class Detector(Protocol):
    """Finds objects in images.

    Attributes:
        names: what labels stand for.
        d_state: width of an object's vector; 0 if there is none.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def d_state(self) -> int: ...

    def __call__(
        self, images: Sequence[UInt8[np.ndarray, "height width 3"]], device: torch.device
    ) -> list[Detections]:
        """The objects of each image, of any score."""
        ...


class PretrainedDetector:
    """A detector of transformers: DETR, RT-DETR, D-FINE, YOLOS, Grounding DINO and so on.

    The weights are read at the first call. The vector of an object is the last state of its query.

    Args:
        source: a folder or Hub id.
        names: what to look for, for a model that is told (`AutoModelForZeroShotObjectDetection`,
            such as Grounding DINO); other models have names of their own.

    Raises:
        InputError: `source` is no detector of the kind that `names` asks for.
    """

    def __init__(self, source: str, names: Sequence[str] = ()) -> None:
        self.source, self._asked = source, tuple(names)

    @property
    def names(self) -> tuple[str, ...]:
        if self._asked:
            return self._asked
        labels: Mapping[int, str] = self._config.id2label
        return tuple(labels[number] for number in sorted(labels))

    @property
    def d_state(self) -> int:
        return int(getattr(self._config, "hidden_size", 0))

    def __call__(
        self, images: Sequence[UInt8[np.ndarray, "height width 3"]], device: torch.device
    ) -> list[Detections]:
        model, processor = self._opened
        model.to(device)
        sizes = [(1, 1)] * len(images)
        if self._asked:
            texts = [list(self._asked)] * len(images)
            inputs = processor(images=list(images), text=texts, return_tensors="pt").to(device)
            outputs = model(**inputs)
            found = processor.post_process_grounded_object_detection(
                outputs, threshold=0.0, target_sizes=sizes, text_labels=texts
            )
            labels = [[self._label(text) for text in each["text_labels"]] for each in found]
        else:
            inputs = processor(images=list(images), return_tensors="pt").to(device)
            outputs = model(**inputs)
            found = processor.post_process_object_detection(
                outputs, threshold=0.0, target_sizes=sizes
            )
            labels = [each["labels"].tolist() for each in found]
        boxes = outputs.pred_boxes
        states = getattr(outputs, "last_hidden_state", boxes.new_zeros(len(boxes), 0, 0))
        states = states[:, -boxes.shape[1] :]  # YOLOS's are those of patches, then of queries.
        return [
            _distinct(each, torch.tensor(label, dtype=torch.long), boxes[row], states[row])
            for row, (each, label) in enumerate(zip(found, labels, strict=True))
        ]

    def _label(self, text: str) -> int:
        """The name that shares most words with what the model read; -1 if none does."""
        words = set(text.replace(".", " ").split())
        shared = [len(words & set(name.split())) for name in self._asked]
        return shared.index(max(shared)) if max(shared) else -1

    @cached_property
    def _config(self) -> Any:
        return self._read(AutoConfig)

    @cached_property
    def _opened(self) -> tuple[Any, Any]:
        kinds = (
            (AutoModelForZeroShotObjectDetection, AutoProcessor)
            if self._asked
            else (AutoModelForObjectDetection, AutoImageProcessor)
        )
        model, processor = (self._read(kind) for kind in kinds)
        return model.float().eval().requires_grad_(False), processor

    def _read(self, kind: Any) -> Any:
        local = Path(self.source).expanduser()
        error = None if local.is_dir() else unreachable(self.source, "model")
        if error is None:
            try:
                return kind.from_pretrained(str(local) if local.is_dir() else self.source)
            except (OSError, ValueError, KeyError) as failure:
                error = failure
        raise InputError(
            f"expected an object detector of transformers, got {self.source!r} "
            f"({one_line(error)}): give a folder or Hub id of one"
        ) from error


def _distinct(
    found: Mapping[str, Tensor],
    labels: Int[Tensor, " object"],
    predicted: Float[Tensor, "query 4"],
    states: Float[Tensor, "state d_state"],
) -> Detections:
    """One object for each box, with the surest of its labels, and the state of its query.

    The library's post-processing does not say which query a box is from, but it keeps the boxes.
    """
    boxes, order = found["boxes"], found["scores"].argsort(descending=True, stable=True)
    boxes, scores, labels = boxes[order], found["scores"][order], labels.to(order.device)[order]
    again = (boxes[:, None] == boxes[None]).all(-1).tril(-1).any(1)
    boxes, scores, labels = boxes[~again], scores[~again], labels[~again]
    if not len(states):
        return Detections(boxes, scores, labels)
    centre, size = predicted.split(2, -1)
    corners = torch.cat([centre - size / 2, centre + size / 2], -1)
    query = torch.cdist(boxes, corners, p=1).argmin(-1) if len(boxes) else labels
    return Detections(boxes, scores, labels, states[query])
