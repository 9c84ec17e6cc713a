"""Which heat map finds the object? Every attribution method, scored where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...answers.tasks import DEFAULT_PROMPTS, TASKS, PromptOptions, asks_of, recorded
from ...data import Sample
from ...engine import VLM, fill
from ...errors import InputError
from ...saliency import HeatMap, TargetScore, methods_named, saliency_model, weight_dependence
from ...store import Scalar
from .._examples import example_of
from .._executor import Tell
from .._map_options import COMPLETENESS, AskedMaps, MethodAtLayer, Steps, asked_maps
from .._needs import Need
from .._sets import ImageTokens, object_sets
from .._shuffled import other_mask, partners
from .._study import Example, Limits, Rows, Study
from .._untrained import untrained_copy
from ..alignment.gaze_targets import Rules
from ..alignment.observers import provenances
from ..alignment.study import AttentionAlignment
from .maps import curves_of, maps_as_json, maps_of, refuse_other_kinds
from .options import BASELINES, OF_MASKS, OF_OBSERVERS, AttendOptions
from .scores import baseline, scores
from .summary import COLUMNS
from .targets import Explained, explained

if TYPE_CHECKING:
    from ...engine.fill import Fill
    from .._readable import Readable


@dataclass(frozen=True)
class _AttributionContext:
    fill: Fill
    untrained: VLM | None


@dataclass(frozen=True, eq=False, kw_only=True)
class AttributionLocalisation(Study[_AttributionContext]):
    """Heat maps of every method and layer, scored against the masks of the objects asked about.

    One row per target, method and layer. For a description the target is the first word that names
    the object (an object that the model does not name has none); for a polling question the logit
    of "yes" minus that of "no"; for the data's own questions the first piece of the right answer.

    Scores, all at pixels of the original image (`HeatMap.pixels`, bilinear): "pointing", "mass" (of
    the positive part), "ap", "iou_best" (the threshold is an oracle's), "iou_area" (as many pixels
    as the mask has), "iou_otsu"; see `retinoscope.stats.maps`. "area" is the mask's share of the
    pixels, which is chance for the first three. "shuffled_" scores are those under another image's
    mask. The methods "centre" and "random" do not depend on the model. The first `controls` images
    also have "insertion" and "deletion" (see `insertion_deletion`; those of "random" are chance),
    maps of a copy with random weights (weights "untrained"; its fill is the mean of each run's own
    tokens), and "spearman", the rank correlation with the copy's map. "completeness" is the error
    of integrated gradients. Undefined values are empty, and `reason` gives the reason.

    Args:
        methods: names of `retinoscope.saliency.METHODS`; all if empty.
        layers: layers for the methods that take one; all of them if None.
        tasks: of "generative", "polling", "question".
        prompts: which objects and questions.
        score: of words and answers, "log-probability" or "logit".
        steps: steps, samples or masks in place of the usual number: for all methods that take some,
            or by name of the method.
        controls: number of images, from the first, with curves and the untrained copy; 0 for none.
        curve_steps: steps of insertion and deletion.
        max_new_tokens: maximum length of a description.
        min_cover: share of a token's box that a mask must cover for the object to be in the grid; 0
            for any overlap.
    """

    methods: tuple[str, ...] = ()
    layers: tuple[int, ...] | None = None
    tasks: tuple[str, ...] = ("generative",)
    prompts: PromptOptions = DEFAULT_PROMPTS
    score: TargetScore = "log-probability"
    steps: Steps = None
    controls: int = 20
    curve_steps: int = 5
    max_new_tokens: int = 64
    min_cover: float = 0.0

    name: ClassVar[str] = "attend"
    needs: ClassVar[str] = "objects that the model names, or questions about objects"
    uses: ClassVar[tuple[Need, ...]] = (
        Need("objects", "objects", "maps of objects in captions and yes/no questions"),
        Need("located", "objects", "maps of the data's questions about objects"),
    )
    limits: ClassVar[Limits] = {
        "controls": (0, None),
        "curve_steps": (1, None),
        "max_new_tokens": (1, None),
        "min_cover": (0, 1),
    }
    schema: ClassVar[int] = 1
    columns: ClassVar[tuple[str, ...]] = tuple(COLUMNS)

    def _check(self) -> None:
        unknown = [task for task in self.tasks if task not in TASKS]
        if unknown or not self.tasks:
            got = repr(unknown[0]) if unknown else "none"
            raise InputError(f"expected tasks of {', '.join(TASKS)}, got {got}")
        methods_named(self.methods)

    def _check_model(self) -> None:
        self.vlm.capabilities.require("layout")
        _ = self._asked

    @cached_property
    def _asked(self) -> AskedMaps:
        model = saliency_model(self.vlm)
        return asked_maps(
            model, self.methods, self.layers, self.steps, model.methods, model.layers_of
        )

    def asks(self, sample: Sample) -> Mapping[str, int]:
        asked = [ask for ask in asks_of(sample, self.tasks, self.prompts) if ask.objects]
        located = sum(ask.task == "question" for ask in asked)
        counts = {"objects": len(asked) - located} if set(self.tasks) - {"question"} else {}
        return counts | ({"located": located} if "question" in self.tasks else {})

    def _parameters(self) -> dict[str, object]:
        options = super()._parameters() | {"prompts": recorded(self.prompts)}
        options["methods"] = self._asked.methods
        options["steps"] = self._asked.steps
        return options

    def _depends_on(self, index: int, prints: Sequence[str], data: str) -> object:
        # The fill is a mean over all samples, and the other mask comes from another sample.
        return data

    @cached_property
    def _partners(self) -> dict[int, int]:
        return partners(len(self.samples), self.seed)

    def measure(self, readable: Readable, tell: Tell) -> Fill:
        return fill.mean(self.vlm, readable)

    def context(self, readable: Readable, measured: Fill) -> _AttributionContext:
        untrained = untrained_copy(self.vlm, self.seed) if self.controls else None
        return _AttributionContext(measured, untrained)

    def _rows(
        self, context: _AttributionContext, index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        rows: Rows = []
        examples: list[Example] = []
        asked = explained(
            self.vlm, sample, self.tasks, self.prompts, self.score, self.max_new_tokens
        )
        for target in asked:
            base: dict[str, Scalar] = {
                "sample": sample.id,
                "item": target.item,
                "task": target.task,
                "object": target.label,
            }
            try:
                new, example = self._target(context, index, sample, target)
            except InputError as error:
                rows.append(base | {"error": str(error)})
                continue
            rows += [base | row for row in new]
            if keep and not examples:
                examples.append(example)
        return rows, examples

    def _target(
        self, context: _AttributionContext, index: int, sample: Sample, target: Explained
    ) -> tuple[Rows, Example]:
        """Returns the rows of one target."""
        goal = target.goal(self.vlm, sample, self.exact)
        image = ImageTokens(goal.origin)
        masks = [sample.objects[i].mask for i in target.objects]
        tokens = object_sets(image, masks, self.min_cover)["object"]
        mask = np.logical_or.reduce(masks)
        partner = self._partners.get(index)
        other = None
        if partner is not None:
            other = other_mask(self.samples, partner, target.objects[0], sample, self.prompts)
        heats = maps_of(goal, self._asked, context.fill, self.seed)
        some = next(iter(heats.values()))
        for name in BASELINES:
            heats[name, None] = baseline(name, some, self.seed, sample.id, str(target.item))
        more: dict[MethodAtLayer, dict[str, Scalar]] = {key: {} for key in heats}
        bare: dict[MethodAtLayer, HeatMap] = {}
        value = goal.value
        if index < self.controls:
            more = curves_of(goal, heats, context.fill, self.curve_steps, self.seed)
            if context.untrained is not None:
                fresh = target.goal(context.untrained, sample, self.exact)
                bare = maps_of(fresh, self._asked, None, self.seed)
                for key, heat in bare.items():
                    same = weight_dependence(heats[key], heat)
                    more[key]["spearman"] = same.value if same.defined else None
        rows: Rows = []
        for weights, maps in (("trained", heats), ("untrained", bare)):
            for key, heat in maps.items():
                rows.append(
                    {
                        "target": goal.text,
                        "weights": weights,
                        "method": key[0],
                        "layer": key[1],
                        "value": value if weights == "trained" else None,
                        "n_tokens": len(tokens),
                        COMPLETENESS: heat.completeness,
                    }
                    | scores(heat, mask, other)
                    | (more[key] if weights == "trained" else {})
                )
        facts = {
            "task": target.task,
            "question": target.text,
            "target": goal.text,
            "object": target.label,
        }
        return rows, example_of(
            sample, image, {"object": tokens}, facts | {"maps": maps_as_json(heats)}
        )


def make(
    vlm: Any, samples: Sequence[Sample], options: AttendOptions, *, seed: int, n_examples: int
) -> Study:
    """Makes the study of observers if the data has any, or of masks otherwise or on request.

    Raises:
        InputError: observers are requested and the data has none, or an option of the other study
            is given.
        CapabilityError: masks are used, and the model is not a VLM.
    """
    known = bool(provenances(samples))
    if options.against == "observers" and not known:
        raise InputError(
            "expected data that knows where people looked, got none: give vista:FOLDER, "
            "gaze:FOLDER with texts, collected:FOLDER or simulated:N, or --against masks"
        )
    chosen = _against_observers if known and options.against != "masks" else _against_masks
    return chosen(vlm, samples, options, seed=seed, n_examples=n_examples)


def _against_observers(
    vlm: Any, samples: Sequence[Sample], options: AttendOptions, **common: Any
) -> Study:
    options.refuse_changed(
        OF_MASKS,
        "is about objects' masks, and maps are compared with where observers looked (--against "
        "masks compares with masks)",
    )
    given: dict[str, Any] = options.shared_with(AttentionAlignment) | {
        "layers": options.layers or None
    }
    rules = Rules(resolution=options.resolution)
    return AttentionAlignment(vlm, samples, rules=rules, **common, **given)


def _against_masks(
    vlm: Any, samples: Sequence[Sample], options: AttendOptions, **common: Any
) -> Study:
    options.refuse_changed(
        OF_OBSERVERS, "is about where observers looked, and maps are compared with objects' masks"
    )
    refuse_other_kinds(vlm)
    given: dict[str, Any] = options.shared_with(AttributionLocalisation) | {
        "layers": options.layers or None
    }
    prompts = PromptOptions(**options.shared_with(PromptOptions), absent=False)
    return AttributionLocalisation(vlm, samples, prompts=prompts, **common, **given)
