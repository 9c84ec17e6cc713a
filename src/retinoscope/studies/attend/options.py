"""Options of the comparison of heat maps; standard library only.

The data determines what maps are compared with: objects' masks (the study of this folder) or where
observers looked (`studies/alignment`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from ..ablation.options import Task
from ..options import Covering, Intervening, ObjectBounds

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
"""Methods of models of any kind; each kind refuses the others' and lists its own."""
MAP_METHODS: tuple[MapMethod, ...] = get_args(MapMethod)
CENTRE, RANDOM = BASELINES = ("centre", "random")
"""Maps that do not depend on a model: a bump in the middle of the image, and noise."""

OF_MASKS = (
    *("tasks", "controls", "curve_steps", "max_objects", "min_area", "max_area"),
    *("max_questions", "max_new_tokens", "min_cover"),
)
"""Options that do not apply to observers."""
OF_OBSERVERS = ("granularities", "distractors", "untrained", "resolution")
"""Options that do not apply to masks."""


@dataclass(frozen=True, kw_only=True)
class AttendOptions(ObjectBounds, Covering, Intervening):
    """Draw heat maps by every method and layer: which finds the object that the model names?

    Each map is compared with the object's mask: does its largest value lie there, how much of it
    does, how well does it order the pixels? Controls are another image's mask, a Gaussian at the
    centre of the image, noise, and a copy with random weights.

    On data that records where people looked while they said or read a description, maps of its
    words, phrases and sentences are compared with that instead (unless --against masks is given).
    Controls are then people against people, the centre, another text's map, and a copy with random
    weights; and MODEL may be contrastive (CLIP, SigLIP) or match images and texts (BLIP), with the
    words alone as its prompt.

    For example:

        retinoscope saliency pocket scenes:100 --out runs/attend

        retinoscope saliency pocket scenes:40 --methods attention chefer --out runs/two-methods

        retinoscope saliency planted:direct squares:20 --score logit --out runs/planted-attend

        retinoscope saliency pocket vista:FOLDER --out runs/people

        retinoscope saliency pocket simulated:20 --methods attention chefer --out runs/simulated

        retinoscope saliency small:contrastive-max simulated:20 --out runs/contrastive

    Args:
        methods: by default all that the model supports, or against observers those that take only
            a few passes.
        layers: layers for methods that take one; by default all.
        tasks: words of a description, polling questions, the data's own questions.
        score: what is explained: the word's log-probability, or its logit, whose gradient does not
            vanish if the model is certain.
        steps: number of steps of integrated gradients, of noisy copies of SmoothGrad, and of masks
            of RISE; by default 16, 8 and 64.
        controls: number of images, from the first, with insertion and deletion curves and the
            untrained copy.
        curve_steps: number of steps of these curves.
        min_area: only objects with more visible pixels.
        max_area: only objects with fewer visible pixels.
        max_questions: maximum number of questions per image.
        max_new_tokens: maximum length of a description.
        against: observers (where people looked while they said or read a text) or masks (of
            objects); by default observers if the data has any.
        granularities: parts of the text (with observers only).
        distractors: number of other images' descriptions in the ranking (with observers only).
        untrained: also run a copy with random weights (with observers only).
        resolution: pixels along the longer side of compared maps (with observers only).
    """

    MODEL: ClassVar[str] = (
        "pocket, planted:NAME, a Hub id, or a folder with a Hugging Face model; against observers "
        "also a CLIP, a SigLIP, small:contrastive-max, or BLIP for image-text matching."
    )
    DATA: ClassVar[str] = (
        "scenes:N, squares:N, coco:FOLDER or folder:PATH; or where people looked: vista:FOLDER, "
        "gaze:FOLDER, collected:FOLDER or simulated:N."
    )
    ANY_MODEL: ClassVar[bool] = True

    methods: tuple[AnyMethod, ...] = ()
    layers: tuple[int, ...] = ()
    tasks: tuple[Task, ...] = ("generative",)
    score: Literal["log-probability", "logit"] = "log-probability"
    steps: int | None = None
    controls: int = 20
    curve_steps: int = 5
    max_objects: int | None = 1
    max_questions: int | None = 1
    max_new_tokens: int = 64
    against: Literal["observers", "masks"] | None = None
    granularities: tuple[Literal["word", "phrase", "sentence", "text"], ...] = (
        *("word", "phrase", "sentence"),
    )
    distractors: int = 3
    untrained: bool = True
    resolution: int = 256


OPTIONS = AttendOptions
