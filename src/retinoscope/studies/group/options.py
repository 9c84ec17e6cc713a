"""Options of perceptual grouping; standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Literal, Self

from ..options import Intervening


@dataclass(frozen=True, kw_only=True)
class GroupOptions(Intervening):
    """Label the locations of images from text, and group them without: do they find the objects?

    Each location of an image gets the class whose prompt (or word, in the lens of a VLM) fits it
    best, and each image is divided into groups by features alone. Both are compared with the
    objects' masks. Controls are swapped prompts, Voronoi blobs and models with random weights; the
    bound is the best that the grid allows. Needs the extra "probe" (scikit-learn).

    For example:

        retinoscope group pocket scenes:500 --out runs/group

        retinoscope group openai/clip-vit-base-patch16 voc:VOC2012 --out runs/voc

    Args:
        encoders: further models, compared on the same images.
        classes: names to look for; by default the data's own list.
        template: template of prompts, such as "a photo of {article} {name}"; by default the model's
            own.
        background: names of backgrounds, such as sky and grass, in place of the default.
        layers: layers whose features are grouped, such as vision.6; by default the last ones.
        groupings: ways to group; all by default.
        n_groups: number of groups in each image.
        methods: attribution methods, by default gradient-input, grad-cam and chefer.
        attribution_images: number of images, from the first, for attribution methods.
        upsample: how locations become pixels; the bound holds for nearest.
        untrained: also run copies with random weights.
        preset: MODEL is a folder of `retinoscope train encoders`: aggregation compares all of its
            contrastive encoders, seed by seed; spurious tests those that were trained on scenes
            with matching backgrounds (DATA is grounded:N).
    """

    MODEL: ClassVar[str] = (
        "pocket, planted:NAME, small:NAME, a Hub id, or a folder: a VLM, a contrastive model "
        "(CLIP, SigLIP), or an encoder alone, which has no labels to give."
    )
    DATA: ClassVar[str] = (
        "scenes:N, squares:N, coco:FOLDER, voc:FOLDER, ade20k:FOLDER, folder:PATH."
    )
    ANY_MODEL: ClassVar[bool] = True
    ALSO: ClassVar[Mapping[str, str]] = {
        "encoders": "encoder",
        "layers": "layer",
        "groupings": "grouping",
        "methods": "method",
    }
    LEAST: ClassVar[Mapping[str, int]] = {"n_groups": 1, "attribution_images": 0}

    encoders: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    template: str | None = None
    background: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    groupings: tuple[Literal["pc", "pc-both-signs", "kmeans", "spectral"], ...] = ()
    n_groups: int = 8
    methods: tuple[str, ...] = ()
    attribution_images: int = 20
    upsample: Literal["nearest", "bilinear"] = "nearest"
    untrained: bool = True
    preset: Literal["aggregation", "spurious"] | None = None

    def check(self) -> None:
        """Refuses options that a preset determines."""
        if self.preset is not None:
            names = {option.name for option in fields(self)} - {"preset"}
            self.refuse_changed(names, f"is set by --preset {self.preset}")

    def resolved(self, model: str) -> tuple[str, Self]:
        """Returns the first encoder in a preset's folder, and options with the others."""
        if self.preset is None:
            return model, self
        from ..spurious.study import grounded_specs
        from .aggregation import aggregation_specs

        specs = (aggregation_specs if self.preset == "aggregation" else grounded_specs)(model)
        return specs[0], replace(self, encoders=specs[1:])


OPTIONS = GroupOptions
