"""Do models look where people look? Maps for text segments against human attention.

After Harshit and Tasdizen 2024, "VISTA" (arXiv 2410.04609). A VLM reads the description that a
person gave as if it were its own; each method makes a map for a word, a phrase or a sentence of it;
the map is compared with where that person looked while they said it. Contrastive models (CLIP,
SigLIP) and image-text matching (BLIP), which generate no text, get the segment's words as a prompt.
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
"""Default methods for models of any kind; none takes more than two passes per segment."""


@dataclass(frozen=True)
class _AlignmentContext:
    models: Mapping[str, SaliencyModel]
    others: dict[str, dict[str, Points]]


@dataclass(frozen=True, eq=False, kw_only=True)
class AttentionAlignment(Study[_AlignmentContext]):
    """Agreement of maps for text segments with where people looked while they said or read them.

    It uses samples with `Sample.attention`, whatever its source: each row has its `provenance`
    ("human", "simulated", "mask"). A row is one segment, map and condition:

    - "own": the method's map for the segment;
    - "other-text": its map for another segment of the same description, the control for a map that
      does not depend on the text;
    - "people": each observer against all others, the upper bound where there are several;
    - "centre": a Gaussian at the centre; "other-image": where people looked in another image during
      a segment of the same granularity; the lower bounds;
    - "mask": the true mask of the object that a word names, where the data has one;
    - "ranking": among the image's description and those of other images, each read over this image:
      whether its own has the map most like where people looked (`preferred`, which ties share). In
      place of a method, "likelihood" ranks by a VLM's probability of the text, "cosine" and
      "match-probability" by the scores of the other kinds of models.

    Each map is scored against each observer and averaged over observers, so that all conditions
    have the same targets. Undefined metrics are empty, with a `reason`.

    `kind` is the model's ("VLM", "contrastive", "matching"), and `reads` is what it was given for a
    map: a VLM gets the whole "description", and the segment's tokens are explained; the others get
    the "segment", whose words alone are the prompt, so they lose a word's context.

    Args:
        vlm: a VLM, or a contrastive or matching model (`retinoscope.encoders.load_contrastive`,
            `.load_matching`). In the untrained copy of a contrastive model, texts keep their
            vectors.
        methods: names in `retinoscope.saliency.METHODS`, or in `METHODS` of its `contrastive` or
            `matching`; by default some that take no more than two passes per segment.
        layers: for methods that take one; if None, each method's default, and the middle block for
            Grad-CAM.
        granularities: of the segments, among "word", "phrase", "sentence" and "text".
        rules: how maps are compared.
        score: what is explained of a VLM's segment, see `retinoscope.saliency.Target`.
        steps: as in `AttributionLocalisation`. Like `exact`, refused where no method takes it.
        distractors: number of descriptions of other images in the ranking; 0 for no ranking.
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
        return {"gazes": sum(gaze.segment is not None for gaze in sample.attention)}

    def data_lines(self, prints: Prints) -> list[str]:
        whose = ", ".join(provenances(self.samples))
        return [
            *super().data_lines(prints),
            f"comparing with where observers looked ({whose}); --against masks compares with "
            "objects' masks",
        ]

    def _parameters(self) -> dict[str, object]:
        parameters = {
            "rules": vars(self.rules),
            "methods": self._asked.methods,
            "score": self._model.explains,
            "steps": self._asked.steps,
        }
        return super()._parameters() | parameters

    def _depends_on(self, index: int, prints: Sequence[str], data: str) -> object:
        # Other images' fixations and descriptions serve as controls for this one.
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
            targets_of_text = [target for target in targets if target.segment.description == text]
            for weights, model in context.models.items():
                pair, readable, unread = read_text(model, sample, text, targets_of_text)
                # Which segments cannot be read does not depend on the weights.
                rows += unread if weights == "trained" else []
                if pair is None:
                    break
                of_model, maps = self._scored(sample, readable, pair, weights)
                rows += of_model
                if keep and weights == "trained":
                    examples += alignment_example(sample, readable, pair, maps)
        if self.distractors:
            rows += self._rankings(context, index, sample)
        return rows, examples

    def _scored(
        self, sample: Sample, targets: Sequence[GazeTarget], pair: ImageTextPair, weights: str
    ) -> tuple[Rows, dict[tuple[str, int], HeatMap]]:
        """Rows of all methods, and their maps by method and target."""
        rows: Rows = []
        kept: dict[tuple[str, int], HeatMap] = {}
        for at in self._asked.at:
            method, layer = at
            pixels: dict[int, np.ndarray] = {}
            facts: dict[int, dict[str, Scalar]] = {}
            asked = self._by(weights) | {"method": method, "layer": layer}
            for target in targets:
                try:
                    heat = self._map(pair, at, target.segment)
                    pixels[target.number] = target.fitted(heat.pixels())
                except RetinoscopeError as error:
                    rows.append(row_of(sample, target) | asked | {"error": one_line(error)})
                    continue
                kept.setdefault((method, target.number), heat)
                facts[target.number] = {
                    "covered": float(heat.covered.mean()),
                    COMPLETENESS: heat.completeness,
                }
            mapped = [target for target in targets if target.number in pixels]
            for target in mapped:
                shown = {"own": target, "other-text": other_text(sample, target, mapped, self.seed)}
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
                    fits = ranked([pair.fit for pair in read])
                    rows.append(base | {"method": model.fits_by} | fits)
                except RetinoscopeError as error:
                    if weights == "trained":
                        rows.append(base | {"error": one_line(error)})
                    break
                for at in self._asked.at:
                    asked = {"method": at[0], "layer": at[1]}
                    rows.append(base | asked | self._ranking(target, read, at))
        return rows

    def _ranking(
        self, target: GazeTarget, read: Sequence[ImageTextPair], asked: MethodAtLayer
    ) -> dict[str, Scalar]:
        only_ncc = Rules(("ncc",), self.rules.resolution)
        likeness = []
        for pair in read:
            whole = Segment(pair.text, pair.text, 0, len(pair.text), "text")
            try:
                pixels = self._map(pair, asked, whole).pixels()
            except RetinoscopeError as error:
                return {"error": one_line(error)}
            score = target.scores(pixels, only_ncc)["ncc"]
            if not score.defined:
                return {"reason": f"a map of the ranking: {score.reason}"}
            likeness.append(score.value)
        return {"ncc": likeness[0], **ranked(likeness)}
