"""`retinoscope attend`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ..studies.ablation.options import Task
from ._attend_people import (
    People,
    alignment,
    chosen,
    refuse_mask_options,
    refuse_other_kinds,
    refuse_people_options,
)
from ._common import CoveringAndIntervening, Loading, Several, open_any, run_study

if TYPE_CHECKING:
    from ..data import Sample
    from ..studies import Study

MapMethod = Literal[
    "attention",
    "rollout",
    "chefer",
    "grad-cam",
    "gradient-input",
    "integrated-gradients",
    "smooth-grad",
    "lens-probability",
    "knockout-effect",
    "ablation-effect",
    "attribution-patching",
    "rise",
    "occlusion",
]
AnyMethod = Literal[MapMethod, "similarity", "cross-attention"]
"""Of models of any kind; each kind refuses the others' by naming its own."""

TASKS: tuple[Task, ...] = ("generative",)

CONTROLS = 20
"""Images with curves and the untrained copy, unless told otherwise."""


def attend(
    model: str,
    data: str,
    /,
    *,
    common: CoveringAndIntervening,
    loading: Loading = Loading(),  # noqa: B008 (frozen)
    methods: Annotated[tuple[AnyMethod, ...], Several] = (),
    layers: Annotated[tuple[int, ...], Several] = (),
    tasks: Annotated[tuple[Task, ...], Several] = TASKS,
    score: Literal["log-probability", "logit"] = "log-probability",
    steps: int | None = None,
    controls: int = CONTROLS,
    curve_steps: int = 5,
    max_objects: int | None = 1,
    min_area: float | None = None,
    max_area: float | None = None,
    max_questions: int | None = 1,
    max_new_tokens: int = 64,
    people: People = People(),  # noqa: B008 (frozen)
) -> None:
    """Draw heat maps by every method and layer: which finds the object that the model names?

    Each map is held against the object's mask: does its largest value lie there, how much of it
    does, how well does it order the pixels? Beside it stand another image's mask, a bump in the
    middle of the image, noise, and a copy with random weights.

    On data that knows where people looked while they said or read a description, maps of its words,
    phrases and sentences are compared with that instead (--against masks does not). Beside it stand
    people against people, the centre, another text's map, and a copy with random weights. MODEL may
    be contrastive (CLIP, SigLIP) or match images and texts (BLIP) then: the words alone are its
    prompt.

    For example:

        retinoscope attend pocket scenes:100 --out runs/attend

        retinoscope attend pocket scenes:40 --methods attention chefer --out runs/two-methods

        retinoscope attend planted:direct squares:20 --score logit --out runs/planted-attend

        retinoscope attend pocket vista:FOLDER --out runs/people

        retinoscope attend pocket simulated:20 --methods attention chefer --out runs/simulated

        retinoscope attend small:contrastive-max simulated:20 --out runs/contrastive

    Args:
        model: pocket, planted:NAME, a Hub id, or a folder with a Hugging Face model; against
            observers also a CLIP, a SigLIP, small:contrastive-max, or BLIP for image-text matching.
        data: scenes:N, squares:N, coco:FOLDER or folder:PATH; or where people looked:
            vista:FOLDER, gaze:FOLDER, collected:FOLDER or simulated:N.
        methods: only these; by default all that the model allows, or against observers those that
            take a few passes.
        layers: at which methods that take a layer are asked; by default all.
        tasks: words of a description, polling questions, the data's own questions.
        score: what is explained of a word: its log-probability, or its logit, which has a slope
            where the model is sure.
        steps: of integrated gradients, noisy copies of SmoothGrad, and masks of RISE; by default
            16, 8 and 64.
        controls: images, the first ones, with insertion and deletion curves and the untrained copy.
        curve_steps: steps of these curves.
        max_objects: at most so many objects an image.
        min_area: only objects of more visible pixels.
        max_area: only objects of fewer visible pixels.
        max_questions: at most so many questions an image.
        max_new_tokens: longest description.
    """

    def make(vlm: Any, samples: Sequence[Sample]) -> Study:
        from ..answers.tasks import PromptOptions
        from ..studies import AttributionLocalisation

        if chosen(people, samples, say=vlm is None) == "observers":
            refuse_mask_options(
                tasks=tasks != TASKS,
                controls=controls != CONTROLS,
                curve_steps=curve_steps != 5,
                max_objects=max_objects != 1,
                min_area=min_area is not None,
                max_area=max_area is not None,
                max_questions=max_questions != 1,
                max_new_tokens=max_new_tokens != 64,
                min_cover=common.min_cover != 0,
            )
            return alignment(vlm, samples, common, people, methods, layers, score, steps)
        refuse_people_options(people)
        refuse_other_kinds(vlm)
        return AttributionLocalisation(
            vlm,
            samples,
            seed=common.seed,
            n_examples=common.examples,
            exact=common.exact,
            methods=methods,
            layers=layers or None,
            tasks=tasks,
            prompts=PromptOptions(
                min_area=min_area,
                max_area=max_area,
                max_objects=max_objects,
                max_questions=max_questions,
                absent=False,
            ),
            score=score,
            steps=steps,
            controls=controls,
            curve_steps=curve_steps,
            max_new_tokens=max_new_tokens,
            min_cover=common.min_cover,
        )

    run_study(model, data, common, loading, make, open_any)
