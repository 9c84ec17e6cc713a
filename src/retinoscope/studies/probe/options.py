"""Options of probes; standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self, get_args

from ..options import StudyOptions

Task = Literal[
    "name",
    "color",
    "size",
    "present",
    "semantic",
    "parts",
    "foreground",
    "instances",
    "relation",
]
TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True, kw_only=True)
class ProbeOptions(StudyOptions):
    """Fit light heads to frozen layers: what do they know of names, attributes and positions?

    Every task is asked of every layer on equal terms: heads of one size, the same images, the same
    search over regularisation on validation images, one evaluation on the test images. The results
    are compared with random weights, raw pixels, the constant answer, control and shuffled labels,
    and the best that one answer per location can reach. Needs the extra "probe" (scikit-learn).

    For example:

        retinoscope probe pocket scenes:2000 --out runs/probe

        retinoscope probe openai/clip-vit-base-patch16 coco:FOLDER --encoders facebook/dinov2-base
        --out runs/clip-dino

        retinoscope probe small:objectives scenes:2000 --no-controls --out runs/objectives

    The last one asks whether language helps, all else being equal: encoders of one small
    architecture and one budget, trained on the same scenes for different objectives.
    small:objectives@FOLDER takes all seeds that `retinoscope train encoders` wrote to FOLDER.

    Args:
        encoders: further encoders to compare with.
        tasks: what the heads predict.
        layers: names such as vision.6, projector, decoder.4; by default the first, the middle and
            the last of each part.
        seeds: how many times each head is trained, on different draws of training images.
        classes: names of objects to ask about; by default all that occur.
        controls: also run random weights, raw pixels, control labels and shuffled labels.
        locations: maximum number of locations that train a head.
        cache: folder for features, shared by several runs; by default in the results' folder.
        precision: precision of the stored features.
    """

    MODEL: ClassVar[str] = (
        "pocket, planted:NAME, a Hub id, or a folder: a vision-language model, a vision-only or a "
        "contrastive one; timm:NAME; small:NAME, or small:objectives for the comparison."
    )
    DATA: ClassVar[str] = "scenes:N, squares:N, coco:FOLDER, folder:PATH, ..."
    ANY_MODEL: ClassVar[bool] = True
    ALSO: ClassVar[Mapping[str, str]] = {"encoders": "encoder"}
    LEAST: ClassVar[Mapping[str, int]] = {"seeds": 1, "locations": 100}

    encoders: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = TASKS
    layers: tuple[str, ...] = ()
    seeds: int = 3
    classes: tuple[str, ...] = ()
    controls: bool = True
    locations: int = 6000
    cache: Path | None = None
    precision: Literal["float16", "float32"] = "float16"

    def resolved(self, model: str) -> tuple[str, Self]:
        """The first encoder and the others, with a name that stands for several expanded."""
        from .objectives import encoders_named

        first, *others = [
            encoder for name in (model, *self.encoders) for encoder in encoders_named(name)
        ]
        return first, replace(self, encoders=tuple(others))


OPTIONS = ProbeOptions
