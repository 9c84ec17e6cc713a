"""Perceptual grouping: what location features tell about where things are, with text and without.

Ranasinghe et al. 2022, "Perceptual Grouping in Contrastive Vision-Language Models" (arXiv
2210.09996), for contrastive models; and the same questions for VLMs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

from ...data import Sample, class_names
from ...encoders import check_unseen
from ...engine import VLM
from ...errors import CapabilityError, InputError, require
from ...grouping import GROUPINGS, prompts_for
from ...grouping import Grouping as Kind
from ...saliency import methods_named
from ...store import RunDirectory
from .._categories import Categories, write_categories
from .._executor import Example, Rows
from .._models import describe, shown_name
from .._needs import Need
from .._readable import Readable
from .._results import Results
from .._study import Limits, Study
from .._training_runs import run_columns
from ..spurious.study import SpuriousGround
from .image_rows import GroupingTask, subject_rows
from .options import GroupOptions
from .pictures import categories_of, picture_of
from .subjects import (
    JOINT,
    TRAINED,
    Grouped,
    Prompts,
    Subject,
    opened,
    subject_of,
    untrained,
)
from .summary import COLUMNS
from .view import Upsample

METHODS = ("gradient-input", "grad-cam", "chefer")
"""Maps that depend on the word they explain, at the cost of a gradient."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Grouping(Study[tuple[Subject, ...]]):
    """Which class each location is given, and which locations go together.

    Top-down: contrastive models by cosine of location features with prompts (method "text", layer
    "joint"); VLMs by the lens's probability of class words ("lens", every layer) and, on the first
    images, by attribution maps of the words of the classes in the image. All are scored against the
    same label maps, as mean IoU of the data set's confusion matrix. `background` is the rule for
    pixels without an object: "none", they do not count; "prompts", they are right if a background
    prompt wins; "rest", they are right if the class words leave more probability than any of them
    has.

    Bottom-up: groups of location features without text, one image at a time, scored by their
    overlap with its instances.

    References: the best that a label for each location can reach ("bound") and the most frequent
    label there ("majority"); swapped prompts and words ("shuffled"); the same models with random
    weights; random groups, Voronoi blobs and superpixels. Pixels outside all locations (a crop) and
    ignored ones count nowhere; their share is recorded.

    Args:
        vlm: a VLM, a contrastive model or an encoder alone, or the name of one.
        encoders: further models, compared on the same samples.
        classes: names that objects may have; by default the data's own list. Objects with other
            names are refused.
        template: template of prompts, with {name} and {article}; by default the model's own.
        background: names of backgrounds, "sky" and so on; by default
            `retinoscope.grouping.BACKGROUNDS` if the model knows these words, else none.
        layers: layers whose features are grouped, for models that have them; by default those in
            the space of texts, or the last one of each part of a VLM.
        groupings: of `retinoscope.grouping.GROUPINGS`.
        n_groups: number of groups in each image.
        methods: attribution methods of `retinoscope.saliency.METHODS`.
        attribution_images: number of images, from the first, for attribution methods; there, all
            methods are compared with only the classes in the image competing.
        upsample: how scores of locations become scores of pixels. "nearest" leaves a label
            constant on a location, as the bound supposes; "bilinear" is the paper's.
        untrained: also copies with random weights.
    """

    encoders: tuple[Any, ...] = ()
    classes: tuple[str, ...] | None = None
    template: str | None = None
    background: tuple[str, ...] | None = None
    layers: tuple[str, ...] | None = None
    groupings: tuple[Kind, ...] = GROUPINGS
    n_groups: int = 8
    methods: tuple[str, ...] = METHODS
    attribution_images: int = 20
    upsample: Upsample = "nearest"
    untrained: bool = True

    name: ClassVar[str] = "group"
    opens: ClassVar[bool] = True
    needs: ClassVar[str] = "objects with masks"
    uses: ClassVar[tuple[Need, ...]] = (Need("objects", "objects", "labels against masks"),)
    limits: ClassVar[Limits] = {
        "n_groups": (1, None),
        "attribution_images": (0, None),
    }
    schema: ClassVar[int] = 3
    columns: ClassVar[tuple[str, ...]] = tuple(COLUMNS)

    def _check(self) -> None:
        require("sklearn", "scikit-learn", "probe")
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            twice = next(name for name in self.classes if self.classes.count(name) > 1)
            raise InputError(f"expected different classes, got {twice!r} twice: leave one out")
        methods_named(self.methods)
        if self.template is not None:
            prompts_for(["thing"], self.template)
        if self.background:
            prompts_for(self.background)

    def _given(self) -> Sequence[object]:
        return (self.vlm, *self.encoders)

    def _check_model(self) -> None:
        known = getattr(self.samples, "classes", ())
        if self.classes is not None and known:
            missing = [name for name in self.classes if name not in known]
            if missing:
                raise InputError(
                    f"expected classes of the data ({', '.join(known)}), got {missing[0]!r}"
                )
        names = [shown_name(describe(model)[0]) for model in self._models]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"expected different models, got {twice!r} twice: leave one out")
        check_unseen((describe(model)[0] for model in self._models), self.samples)
        self._check_layers()

    def _check_layers(self) -> None:
        known: list[str] = []
        for model in self._models:
            encoder = getattr(model, "encoder", model)
            known += [JOINT] if encoder is not model else []
            known += getattr(encoder, "layers", ())
        # A VLM's layers are known only once it is opened as an encoder, which is not done here.
        parts = ("vision.", "projector", "decoder.") if self._has_vlm else ()
        for layer in self.layers or ():
            if layer not in known and not layer.startswith(parts):
                every = [*dict.fromkeys(known), *(part.replace(".", ".K") for part in parts)]
                raise InputError(f"expected layers of {', '.join(every)}, got {layer!r}")

    @property
    def _has_vlm(self) -> bool:
        return any(isinstance(model, VLM) for model in self._models)

    def studied(self) -> tuple[Grouped, ...]:
        return self._models

    @cached_property
    def _models(self) -> tuple[Grouped, ...]:
        return opened((self.vlm, *self.encoders))

    @cached_property
    def _class_list(self) -> tuple[str, ...]:
        return self.classes if self.classes is not None else class_names(self.samples)

    def asks(self, sample: Sample) -> Mapping[str, int]:
        return {"objects": len(sample.objects)}

    def _parameters(self) -> dict[str, object]:
        common = ("vlm", "samples", "seed", "max_failures", "exact", "encoders")
        options: dict[str, object] = {
            f.name: getattr(self, f.name) for f in fields(self) if f.name not in common
        }
        options["classes"] = list(self._class_list)
        options["encoders"] = [list(describe(model)[:2]) for model in self._models[1:]]
        return options

    def _prepare(self, readable: Sequence[Sample]) -> tuple[Subject, ...]:
        asked = Prompts(self.template, self.background)
        names = self._class_list
        trained = [subject_of(model, self.layers, names, asked) for model in self._models]
        wanted = set(self.layers or ())
        missing = wanted - {layer for subject in trained for layer in subject.layers}
        if missing:
            every = dict.fromkeys(
                layer for subject in trained for layer in (*subject.encoder.layers, JOINT)
            )
            raise InputError(f"expected layers of {', '.join(every)}, got {min(missing)!r}")
        subjects = list(trained)
        for subject in trained if self.untrained else ():
            try:
                fresh = untrained(subject, self.seed)
            except CapabilityError:
                # A pipeline without its own configuration has no untrained copy.
                continue
            if fresh.encoder.fingerprint != subject.encoder.fingerprint:
                subjects.append(fresh)
        return tuple(subjects)

    @property
    def _asked(self) -> GroupingTask:
        return GroupingTask(
            self._class_list,
            methods_named(self.methods),
            self.groupings,
            self.n_groups,
            self.upsample,
            self.exact,
            self.seed,
        )

    def _rows(
        self, context: tuple[Subject, ...], index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        if not sample.objects:
            return [], []
        rows: Rows = []
        pictures: list[Example] = []
        limits: dict[bytes, Rows] = {}
        for subject in context:
            attributed = index < self.attribution_images
            found, features = subject_rows(self._asked, subject, sample, attributed, limits)
            common = {"sample": sample.id, "model": subject.name, "weights": subject.weights}
            common |= run_columns(subject.encoder)
            rows += [common | subject.place(row.get("layer")) | row for row in found]
            if keep and features and subject.weights == TRAINED:
                pictures.append(picture_of(sample, self._asked, subject, features))
        return rows, pictures

    def _finish(self, directory: RunDirectory, readable: Readable) -> None:
        super()._finish(directory, readable)
        maps: dict[str, list[Categories]] = {}
        for facts in Results(directory.path).examples():
            maps.setdefault(str(facts["sample"]), []).extend(categories_of(facts))
        for sample, categories in maps.items():
            write_categories(directory, sample, categories)


def make(
    vlm: Any, samples: Sequence[Sample], options: GroupOptions, *, seed: int, n_examples: int
) -> Study:
    """Makes the study from its options; with a preset, a comparison of trained encoders."""
    common: dict[str, Any] = {"seed": seed, "encoders": options.encoders}
    if options.preset == "spurious":
        return SpuriousGround(vlm, samples, **common)
    common |= {"n_examples": n_examples}
    if options.preset == "aggregation":
        return Grouping(vlm, samples, **common, groupings=("pc", "kmeans"), untrained=False)
    return Grouping(
        vlm,
        samples,
        **common,
        exact=options.exact,
        classes=options.classes or None,
        template=options.template,
        background=options.background or None,
        layers=options.layers or None,
        groupings=options.groupings or GROUPINGS,
        n_groups=options.n_groups,
        methods=options.methods or METHODS,
        attribution_images=options.attribution_images,
        upsample=options.upsample,
        untrained=options.untrained,
    )
