"""`retinoscope group`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ..errors import InputError
from ._common import Intervening, Loading, Several, check_counts, open_any, run_study

if TYPE_CHECKING:
    from ..data import Sample
    from ..studies import Study

N_GROUPS, ATTRIBUTED = 8, 20


def group(
    model: str,
    data: str,
    /,
    *,
    common: Intervening,
    loading: Loading = Loading(),  # noqa: B008 (frozen)
    encoder: Annotated[tuple[str, ...], Several] = (),
    classes: Annotated[tuple[str, ...], Several] = (),
    template: str | None = None,
    background: Annotated[tuple[str, ...], Several] = (),
    layer: Annotated[tuple[str, ...], Several] = (),
    grouping: Annotated[
        tuple[Literal["pc", "pc-both-signs", "kmeans", "spectral"], ...], Several
    ] = (),
    n_groups: int = N_GROUPS,
    method: Annotated[tuple[str, ...], Several] = (),
    attribution_images: int = ATTRIBUTED,
    upsample: Literal["nearest", "bilinear"] = "nearest",
    untrained: bool = True,
    preset: Literal["aggregation", "spurious"] | None = None,
) -> None:
    """What is where? Labels of locations from text, and groups without it.

    Each location of an image is given the class whose prompt (or word, in the lens of a VLM) fits
    it best, and each image is cut into groups by features alone. Both are held against the objects'
    masks, beside what the grid allows at best, swapped prompts, Voronoi blobs and models with
    random weights.

    For example:

        retinoscope group pocket scenes:500 --out runs/group

        retinoscope group openai/clip-vit-base-patch16 voc:VOC2012 --out runs/voc

    Args:
        model: pocket, planted:NAME, small:NAME, a Hub id, or a folder: a VLM, a contrastive model
            (CLIP, SigLIP), or an encoder alone, which has no labels to give.
        data: scenes:N, squares:N, coco:FOLDER, voc:FOLDER, ade20k:FOLDER, folder:PATH.
        encoder: further models, compared on the same images.
        classes: names to look for; by default the data's own list.
        template: of prompts, such as "a photo of {article} {name}"; by default the model's own.
        background: what stands behind objects, such as sky and grass, in place of the default.
        layer: layers whose features are grouped, such as vision.6; by default the last ones.
        grouping: ways to group; all by default.
        n_groups: groups of each image.
        method: attribution methods, by default gradient-input, grad-cam and chefer.
        attribution_images: so many images are also asked by attribution.
        upsample: how locations become pixels; the bound holds for nearest.
        untrained: also copies with random weights.
        preset: MODEL is a folder of `retinoscope train encoders`: aggregation compares all of its
            contrastive encoders, seed by seed; spurious asks those that were trained on grounds
            (DATA is grounded:N) what they take for the object.
    """
    check_counts(n_groups=n_groups)
    check_counts(0, attribution_images=attribution_images)
    if preset is not None:
        chosen = {
            "encoder": encoder,
            "classes": classes,
            "template": template,
            "background": background,
            "layer": layer,
            "grouping": grouping,
            "method": method,
            "n-groups": n_groups != N_GROUPS,
            "attribution-images": attribution_images != ATTRIBUTED,
            "upsample": upsample != "nearest",
        }
        for name, given in chosen.items():
            if given:
                raise InputError(f"--preset {preset} says what is compared: leave --{name} out")
        _preset(preset, model, data, common, loading)
        return

    def make(vlm: Any, samples: Sequence[Sample]) -> Study:
        from ..grouping import GROUPINGS
        from ..studies import GROUP_METHODS, Grouping

        return Grouping(
            vlm,
            samples,
            seed=common.seed,
            n_examples=common.examples,
            exact=common.exact,
            encoders=encoder,
            classes=classes or None,
            template=template,
            background=background or None,
            layers=layer or None,
            groupings=grouping or GROUPINGS,
            n_groups=n_groups,
            methods=method or GROUP_METHODS,
            attribution_images=attribution_images,
            upsample=upsample,
            untrained=untrained,
        )

    run_study(model, data, common, loading, make, open_any)


def _preset(preset: str, folder: str, data: str, common: Intervening, loading: Loading) -> None:
    """A comparison of the encoders in a folder, with the options that it takes."""
    from ..studies import Grouping, SpuriousGround, aggregation_specs, grounded_specs

    specs = aggregation_specs(folder) if preset == "aggregation" else grounded_specs(folder)

    def make(first: Any, samples: Sequence[Sample]) -> Study:
        if preset == "spurious":
            return SpuriousGround(first, samples, seed=common.seed, encoders=specs[1:])
        return Grouping(
            first,
            samples,
            seed=common.seed,
            n_examples=common.examples,
            encoders=specs[1:],
            groupings=("pc", "kmeans"),
            untrained=False,
        )

    run_study(specs[0], data, common, loading, make, open_any)
