"""Do models look where people look? Maps for text segments against human attention.

Harshit and Tasdizen 2024, "VISTA" (arXiv 2410.04609). A VLM reads the description that a person
gave as if it were its own; each method makes a map for a word, a phrase or a sentence of it; the
map is compared with where that person looked while they said it. Contrastive models (CLIP, SigLIP)
and image-text matching (BLIP), which say nothing themselves, are given the segment's words as a
prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from ...answers.tasks import DESCRIBE
from ...data import Sample, Segment
from ...errors import InputError, RetinoscopeError, one_line
from ...saliency import HeatMap, ImageTextPair, SaliencyModel, TargetScore, saliency_model
from ...stats.maps import METRICS
from ...store import Scalar
from .._map_options import COMPLETENESS, AskedMaps, MethodAtLayer, Steps, asked_maps, check_exact
from .._models import Model
from .._needs import Need
from .._readable import Prints
from .._shuffled import partners
from .._study import Example, Limits, Rows, Study, rng_of
from .._untrained import untrained_model
from .bounds import bound_rows, other_image
from .examples import alignment_example
from .gaze_targets import (
    DEFAULT_RULES,
    GazeTarget,
    Points,
    Rules,
    gaze_targets_of,
    relative_fixations,
)
from .observers import provenances
from .other_texts import distractors, other_text
from .rows import cells_of, ranked, read_text, row_of
from .summary import COLUMNS

_OTHERS = 100
"""Samples whose fixations are the negatives of the shuffled AUC."""
_USUAL = (
    *("attention", "rollout", "chefer", "grad-cam", "gradient-input"),
    *("similarity", "cross-attention"),
)
"""Of models of any kind; none takes more than two passes a segment."""


@dataclass(frozen=True)
class _AlignmentContext:
    models: Mapping[str, SaliencyModel]
    others: dict[str, dict[str, Points]]


@dataclass(frozen=True, eq=False, kw_only=True)
class AttentionAlignment(Study[_AlignmentContext]):
    """Agreement of maps for text segments with where people looked while they said or read them.

    The samples are those with `Sample.attention`, whoever it is of: each row has its `provenance`
    ("human", "simulated", "mask"). A row is one segment, map and condition:

    - "own": the method's map for the segment;
    - "other-text": its map for another segment of the same description, the control for a map that
      does not depend on the text;
    - "people": each observer against all others, the upper bound where there are several;
    - "centre": a Gaussian at the centre; "other-image": where people looked in another image during
      a segment of the same granularity; the lower bounds;
    - "mask": the true mask of the object that a word names, where the data has one;
    - "ranking": among the image's description and those of others, each read over this image:
      whether its own has the map that is most like where people looked (`preferred`, which is
      shared among ties). In place of a method, "likelihood" ranks by a VLM's probability of the
      text, "cosine" and "match-probability" by what the other kinds of models say of it.

    Each map is scored against each observer, and the mean over observers is taken, so that all
    conditions have the same targets. What a metric is not defined for is empty, with `reason`.

    `kind` is the model's ("VLM", "contrastive", "matching"), and `reads` what it was given for a
    map: a VLM the whole "description", of which the segment's tokens are explained; the others the
    "segment", whose words alone are the prompt. A word that depends on its sentence is another
    question to them.

    Args:
        vlm: a VLM, or a contrastive or matching model (`retinoscope.encoders.load_contrastive`,
            `.load_matching`). Of a contrastive model's copy with random weights the texts keep
            their vectors.
        methods: names in `retinoscope.saliency.METHODS`, or in `METHODS` of its `contrastive` or
            `matching`; by default some that take no more than two passes a segment.
        layers: for methods that take one; each method's own choice if None, and the block in the
            middle for Grad-CAM.
        granularities: of the segments, among "word", "phrase", "sentence" and "text".
        rules: how maps are compared.
        score: what is explained of a VLM's segment, see `retinoscope.saliency.Target`.
        steps: as of `AttributionLocalisation`. Like `exact` refused where no method takes it.
        distractors: descriptions of other images in the ranking; 0 for none.
        untrained: also a copy of the model with random weights.
    """

    methods: tuple[str, ...] = ()
    layers: tuple[int, ...] | None = None
    granularities: tuple[str, ...] = ("word", "phrase", "sentence")
    rules: Rules = DEFAULT_RULES
    score: TargetScore = "log-probability"
    steps: Steps = None
    distractors: int = 3
    untrained: bool = True

    name: ClassVar[str] = "alignment"
    needs: ClassVar[str] = (
        "samples that know where people looked while they said or read a text (vista:FOLDER, "
        "gaze:FOLDER with texts, collected:FOLDER, or simulated:N)"
    )
    uses: ClassVar[tuple[Need, ...]] = (Need("gazes", "gazes", "maps against observers"),)
    limits: ClassVar[Limits] = {"distractors": (0, None)}
    schema: ClassVar[int] = 3
    columns: ClassVar[tuple[str, ...]] = tuple(COLUMNS)

    def _check(self) -> None:
        if self.rules.resolution < 8:
            raise InputError(f"expected a resolution from 8 pixels up, got {self.rules.resolution}")
        unknown = [name for name in self.rules.metrics if name not in METRICS]
        if unknown:
            raise InputError(f"expected metrics among {', '.join(METRICS)}, got {unknown[0]!r}")

    def _check_model(self) -> None:
        check_exact(self.exact, self._model, self._asked)

    def asks(self, sample: Sample) -> Mapping[str, int]:
        return {"gazes": sum(one.segment is not None for one in sample.attention)}

    def told(self, prints: Prints) -> list[str]:
        whose = ", ".join(provenances(self.samples))
        return [
            *super().told(prints),
            f"comparing with where observers looked ({whose}); --against masks compares with "
            "objects' masks",
        ]

    def _parameters(self) -> dict[str, object]:
        told = {
            "rules": vars(self.rules),
            "methods": self._asked.methods,
            "score": self._model.explains,
            "steps": self._asked.steps,
        }
        return super()._parameters() | told

    def _depends_on(self, index: int, prints: Sequence[str], data: str) -> object:
        # Other images' fixations and descriptions stand against this one's.
        return data

    @cached_property
    def _partners(self) -> dict[int, int]:
        return partners(len(self.samples), self.seed)

    @cached_property
    def _model(self) -> SaliencyModel:
        return self._asking(self.vlm)

    def _asking(self, model: Model) -> SaliencyModel:
        return saliency_model(model, self.score, self.exact, DESCRIBE)

    @cached_property
    def _asked(self) -> AskedMaps:
        model = self._model
        return asked_maps(model, self.methods, self.layers, self.steps, _USUAL, model.usual_layers)

    def _map(self, pair: ImageTextPair, at: MethodAtLayer, segment: Segment) -> HeatMap:
        method, layer = at
        steps = self._asked.steps.get(method)
        return pair.heat_map(method, segment, layer=layer, steps=steps, seed=self.seed)

    def _prepare(self, readable: Sequence[Sample]) -> _AlignmentContext:
        models = {"trained": self._model}
        if self.untrained:
            models["untrained"] = self._asking(untrained_model(self.vlm, self.seed))
        rng = rng_of(self.seed, "fixations of other images")
        names = (*self.granularities, "text")
        return _AlignmentContext(models, relative_fixations(readable, names, _OTHERS, rng))

    def _rows(
        self, context: _AlignmentContext, index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        targets = gaze_targets_of(sample, self.granularities, self.rules.resolution, context.others)
        rows: Rows = []
        examples: list[Example] = []
        for target in targets:
            other = other_image(self.samples, self._partners.get(index), target)
            rows += bound_rows(sample, target, self.rules, other)
        for text in dict.fromkeys(target.segment.description for target in targets):
            own = [target for target in targets if target.segment.description == text]
            for weights, model in context.models.items():
                pair, able, unread = read_text(model, sample, text, own)
                # The same text fails in the same way whatever the weights are.
                rows += unread if weights == "trained" else []
                if pair is None:
                    break
                found, maps = self._scored(sample, able, pair, weights)
                rows += found
                if keep and weights == "trained":
                    examples += alignment_example(sample, able, pair, maps)
        if self.distractors:
            rows += self._rankings(context, index, sample)
        return rows, examples

    def _scored(
        self, sample: Sample, targets: Sequence[GazeTarget], pair: ImageTextPair, weights: str
    ) -> tuple[Rows, dict[tuple[str, int], HeatMap]]:
        """Rows of all methods, and their maps by method and target."""
        rows: Rows = []
        kept: dict[tuple[str, int], HeatMap] = {}
        for one in self._asked.at:
            method, layer = one
            pixels: dict[int, np.ndarray] = {}
            facts: dict[int, dict[str, Scalar]] = {}
            asked = self._by(weights) | {"method": method, "layer": layer}
            for target in targets:
                try:
                    heat = self._map(pair, one, target.segment)
                    pixels[target.number] = target.fitted(heat.pixels())
                except RetinoscopeError as error:
                    rows.append(row_of(sample, target) | asked | {"error": one_line(error)})
                    continue
                kept.setdefault((method, target.number), heat)
                facts[target.number] = {
                    "covered": float(heat.covered.mean()),
                    COMPLETENESS: heat.completeness,
                }
            able = [target for target in targets if target.number in pixels]
            for target in able:
                shown = {"own": target, "other-text": other_text(sample, target, able, self.seed)}
                for condition, read in shown.items():
                    if read is not None:
                        scores = target.scores(pixels[read.number], self.rules)
                        base = asked | facts[read.number]
                        rows.append(row_of(sample, target, condition) | base | cells_of(scores))
        return rows, kept

    def _by(self, weights: str) -> dict[str, Scalar]:
        return {"kind": self._model.kind, "reads": self._model.reads, "weights": weights}

    def _rankings(self, context: _AlignmentContext, index: int, sample: Sample) -> Rows:
        rows: Rows = []
        wholes = gaze_targets_of(sample, ("text",), self.rules.resolution, context.others)
        for target in wholes:
            if not target.seen:
                continue
            text = target.segment.description
            others = distractors(self.samples, index, text, self.distractors, self.seed)
            texts = [text, *others]
            if len(texts) < 2:
                continue
            for weights, model in context.models.items():
                base = row_of(sample, target, "ranking") | self._by(weights)
                try:
                    read = [model.read(sample.image, text) for text in texts]
                    fits = ranked([one.fit for one in read])
                    rows.append(base | {"method": model.fits_by} | fits)
                except RetinoscopeError as error:
                    if weights == "trained":
                        rows.append(base | {"error": one_line(error)})
                    break
                for one in self._asked.at:
                    asked = {"method": one[0], "layer": one[1]}
                    rows.append(base | asked | self._ranking(target, read, one))
        return rows

    def _ranking(
        self, target: GazeTarget, read: Sequence[ImageTextPair], asked: MethodAtLayer
    ) -> dict[str, Scalar]:
        only_ncc = Rules(("ncc",), self.rules.resolution)
        likeness = []
        for one in read:
            whole = Segment(one.text, one.text, 0, len(one.text), "text")
            try:
                pixels = self._map(one, asked, whole).pixels()
            except RetinoscopeError as error:
                return {"error": one_line(error)}
            score = target.scores(pixels, only_ncc)["ncc"]
            if not score.defined:
                return {"reason": f"a map of the ranking: {score.reason}"}
            likeness.append(score.value)
        return {"ncc": likeness[0], **ranked(likeness)}
