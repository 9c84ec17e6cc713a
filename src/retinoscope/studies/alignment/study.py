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

from ...data import Sample, Segment
from ...errors import InputError, RetinoscopeError, one_line
from ...gaze import centre_prior, mask_attention
from ...saliency import HeatMap, TargetScore
from ...stats.maps import METRICS, MapScore
from .._map_options import COMPLETENESS, Steps, check_exact, completeness_of, steps_of
from .._needs import Need
from .._shuffled import partners
from .._study import Example, Limits, Rows, Study, rng_of
from .._tables import Cell, number
from .examples import alignment_example
from .gaze_targets import (
    DEFAULT_RULES,
    GazeTarget,
    Points,
    Rules,
    gaze_targets_of,
    relative_fixations,
)
from .saliency_models import ImageTextPair, MethodAtLayer, SaliencyModel, saliency_model_of

_OTHERS = 100
"""Samples whose fixations are the negatives of the shuffled AUC."""


@dataclass(frozen=True)
class _AlignmentContext:
    readers: Mapping[str, SaliencyModel]
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
            `matching`; by default those that take no more than two passes a segment.
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
    columns: ClassVar[tuple[str, ...]] = (
        *("sample", "error", "item", "segment", "granularity", "provenance", "observers"),
        *("n_fixations", "dropped", "kind", "reads", "weights", "method", "layer", "condition"),
        *("covered", COMPLETENESS),
        *(*METRICS, "reason", "candidates", "preferred", "rank"),
    )

    def _check(self) -> None:
        if self.rules.resolution < 8:
            raise InputError(f"expected a resolution from 8 pixels up, got {self.rules.resolution}")
        unknown = [name for name in self.rules.metrics if name not in METRICS]
        if unknown:
            raise InputError(f"expected metrics among {', '.join(METRICS)}, got {unknown[0]!r}")

    def _check_model(self) -> None:
        check_exact(self.exact, self._names, self._reader.intervening)
        self._steps()

    def asks(self, sample: Sample) -> Mapping[str, int]:
        return {"gazes": sum(one.segment is not None for one in sample.attention)}

    def _parameters(self) -> dict[str, object]:
        told = {
            "rules": vars(self.rules),
            "methods": self._names,
            "score": self._reader.explains,
            "steps": self._steps(),
        }
        return super()._parameters() | told

    def _depends_on(self, index: int, prints: Sequence[str], data: str) -> object:
        # Other images' fixations and descriptions stand against this one's.
        return data

    @cached_property
    def _partners(self) -> dict[int, int]:
        return partners(len(self.samples), self.seed)

    @cached_property
    def _reader(self) -> SaliencyModel:
        return saliency_model_of(self.vlm, self.score, self.exact)

    @cached_property
    def _asked(self) -> tuple[MethodAtLayer, ...]:
        """Methods, each with its layers."""
        return self._reader.asked(self.methods, self.layers)

    @property
    def _names(self) -> list[str]:
        return list(dict.fromkeys(method for method, _ in self._asked))

    def _steps(self) -> dict[str, int]:
        return steps_of(self.steps, self._names, self._reader.stepping)

    def _map(self, reading: ImageTextPair, asked: MethodAtLayer, segment: Segment) -> HeatMap:
        method, layer = asked
        steps = self._steps().get(method)
        return reading.heat_map(method, layer, segment, self.seed, steps)

    def _prepare(self, readable: Sequence[Sample]) -> _AlignmentContext:
        readers = {"trained": self._reader}
        if self.untrained:
            readers["untrained"] = self._reader.untrained(self.seed)
        rng = rng_of(self.seed, "fixations of other images")
        names = (*self.granularities, "text")
        return _AlignmentContext(readers, relative_fixations(readable, names, _OTHERS, rng))

    def _rows(
        self, context: _AlignmentContext, index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        aims = gaze_targets_of(sample, self.granularities, self.rules.resolution, context.others)
        rows: Rows = []
        examples: list[Example] = []
        for aim in aims:
            rows += self._bounds(index, sample, aim)
        for text in dict.fromkeys(aim.segment.description for aim in aims):
            own = [aim for aim in aims if aim.segment.description == text]
            for weights, reader in context.readers.items():
                reading, able, unread = _read(reader, sample, text, own)
                # The same text fails in the same way whatever the weights are.
                rows += unread if weights == "trained" else []
                if reading is None:
                    break
                found, maps = self._scored(sample, able, reading, weights)
                rows += found
                if keep and weights == "trained":
                    examples += alignment_example(sample, able, reading, maps)
        if self.distractors:
            rows += self._rankings(context, index, sample)
        return rows, examples

    def _scored(
        self, sample: Sample, aims: Sequence[GazeTarget], reading: ImageTextPair, weights: str
    ) -> tuple[Rows, dict[tuple[str, int], HeatMap]]:
        """Rows of all methods, and their maps by method and aim."""
        rows: Rows = []
        kept: dict[tuple[str, int], HeatMap] = {}
        for one in self._asked:
            method, layer = one
            pixels: dict[int, np.ndarray] = {}
            facts: dict[int, dict[str, Cell]] = {}
            asked = self._by(weights) | {"method": method, "layer": layer}
            for aim in aims:
                try:
                    heat = self._map(reading, one, aim.segment)
                    pixels[aim.number] = aim.fitted(heat.pixels())
                except RetinoscopeError as error:
                    rows.append(_row(sample, aim) | asked | {"error": one_line(error)})
                    continue
                kept.setdefault((method, aim.number), heat)
                facts[aim.number] = {
                    "covered": float(heat.covered.mean()),
                    COMPLETENESS: completeness_of(heat),
                }
            able = [aim for aim in aims if aim.number in pixels]
            for aim in able:
                shown = {"own": aim, "other-text": self._other_text(sample, aim, able)}
                for condition, read in shown.items():
                    if read is not None:
                        scores = aim.scores(pixels[read.number], self.rules)
                        base = asked | facts[read.number]
                        rows.append(_row(sample, aim, condition) | base | _cells(scores))
        return rows, kept

    def _by(self, weights: str) -> dict[str, Cell]:
        return {"kind": self._reader.kind, "reads": self._reader.reads, "weights": weights}

    def _other_text(
        self, sample: Sample, aim: GazeTarget, aims: Sequence[GazeTarget]
    ) -> GazeTarget | None:
        """Another segment of the same granularity that shares no letter with this one."""
        able = [
            one
            for one in aims
            if one.segment.granularity == aim.segment.granularity
            and one.segment.start != aim.segment.start
            and not one.segment.overlaps(aim.segment)
            and one.segment.text.lower() != aim.segment.text.lower()
        ]
        if not able:
            return None
        rng = rng_of(self.seed, "other text", sample.id, str(aim.segment.start))
        return able[int(rng.integers(len(able)))]

    def _bounds(self, index: int, sample: Sample, aim: GazeTarget) -> Rows:
        """What any map lies between: people, the centre, another image."""
        height, width = aim.shape
        found = {"centre": aim.scores(centre_prior((width, height)), self.rules)}
        people = aim.people(self.rules)
        if people is not None:
            found["people"] = people
        other = self._other_image(index, aim)
        if other is not None:
            found["other-image"] = aim.scores(other, self.rules)
        mask = _mask(sample, aim.segment) if aim.provenance != "mask" else None
        if mask is not None:
            found["mask"] = aim.scores(mask, self.rules)
        return [_row(sample, aim, name) | _cells(scores) for name, scores in found.items()]

    def _other_image(self, index: int, aim: GazeTarget) -> np.ndarray | None:
        """Where people looked in another image during a segment of the same granularity."""
        partner = self._partners.get(index)
        if partner is None:
            return None
        try:
            other = self.samples[partner]
        except Exception:
            # The partner cannot be read; it has an error row of its own.
            return None
        found = [
            one
            for one in other.attention
            if one.segment is not None
            and one.segment.granularity == aim.segment.granularity
            and one.nothing is None
        ]
        if not found:
            return None
        density = found[aim.number % len(found)].density()
        return None if density is None else aim.fitted(density)

    def _rankings(self, context: _AlignmentContext, index: int, sample: Sample) -> Rows:
        rows: Rows = []
        wholes = gaze_targets_of(sample, ("text",), self.rules.resolution, context.others)
        for aim in wholes:
            if not aim.seen:
                continue
            texts = [aim.segment.description, *self._distractors(index, aim.segment.description)]
            if len(texts) < 2:
                continue
            for weights, reader in context.readers.items():
                base = _row(sample, aim, "ranking") | self._by(weights)
                try:
                    read = [reader.read(sample.image, text) for text in texts]
                    fits = _ranked([one.fit for one in read])
                    rows.append(base | {"method": reader.fits_by} | fits)
                except RetinoscopeError as error:
                    if weights == "trained":
                        rows.append(base | {"error": one_line(error)})
                    break
                for one in self._asked:
                    asked = {"method": one[0], "layer": one[1]}
                    rows.append(base | asked | self._ranking(aim, read, one))
        return rows

    def _ranking(
        self, aim: GazeTarget, read: Sequence[ImageTextPair], asked: MethodAtLayer
    ) -> dict[str, Cell]:
        only_ncc = Rules(("ncc",), self.rules.resolution)
        likeness = []
        for one in read:
            whole = Segment(one.text, one.text, 0, len(one.text), "text")
            try:
                pixels = self._map(one, asked, whole).pixels()
            except RetinoscopeError as error:
                return {"error": one_line(error)}
            score = aim.scores(pixels, only_ncc)["ncc"]
            if not score.defined:
                return {"reason": f"a map of the ranking: {score.reason}"}
            likeness.append(score.value)
        return {"ncc": likeness[0], **_ranked(likeness)}

    def _distractors(self, index: int, text: str) -> list[str]:
        """Descriptions of other images, drawn by the seed."""
        rng = rng_of(self.seed, "distractors", str(index))
        found: list[str] = []
        for place in rng.permutation(len(self.samples)).tolist():
            if len(found) == self.distractors:
                break
            if place == index:
                continue
            try:
                captions = self.samples[place].captions
            except Exception:
                continue
            if captions and captions[0].lower() not in {one.lower() for one in [text, *found]}:
                found.append(captions[0])
        return found


def _read(
    reader: SaliencyModel, sample: Sample, text: str, aims: Sequence[GazeTarget]
) -> tuple[ImageTextPair | None, list[GazeTarget], Rows]:
    """A text, the segments of it that the model can read, and a row for each that it cannot."""
    try:
        reading = reader.read(sample.image, text)
    except RetinoscopeError as error:
        return None, [], [_row(sample, aim) | {"error": one_line(error)} for aim in aims]
    able: list[GazeTarget] = []
    unread: Rows = []
    for aim in aims:
        try:
            reading.check(aim.segment)
            able.append(aim)
        except RetinoscopeError as error:
            unread.append(_row(sample, aim) | {"error": one_line(error)})
    return reading, able, unread


def _row(sample: Sample, aim: GazeTarget, condition: str | None = None) -> dict[str, Cell]:
    return {
        "sample": sample.id,
        "item": aim.number,
        "segment": aim.segment.text,
        "granularity": aim.segment.granularity,
        "provenance": aim.provenance,
        "observers": len(aim.observers),
        "n_fixations": aim.n_fixations,
        "dropped": aim.dropped,
        "condition": condition,
    }


def _cells(scores: Mapping[str, MapScore]) -> dict[str, Cell]:
    why: dict[str, list[str]] = {}
    for name, score in scores.items():
        if score.reason is not None:
            why.setdefault(score.reason, []).append(name)
    reason = "; ".join(f"{', '.join(names)}: {text}" for text, names in why.items())
    return {name: number(score.value) for name, score in scores.items()} | {
        "reason": reason or None
    }


def _ranked(values: Sequence[float]) -> dict[str, Cell]:
    """The first value's rank from 1, and its share of the first place."""
    first, best = values[0], max(values)
    ties = sum(value == first for value in values)
    above = sum(value > first for value in values)
    return {
        "candidates": len(values),
        "preferred": 1 / ties if first == best else 0.0,
        "rank": 1 + above + (ties - 1) / 2,
    }


def _mask(sample: Sample, segment: Segment) -> np.ndarray | None:
    """The true mask of what a word of the first caption names, where that is known."""
    if not sample.objects or segment.description not in sample.captions[:1]:
        return None
    for one in mask_attention(sample):
        if one.segment is not None and (one.segment.start, one.segment.end) == (
            segment.start,
            segment.end,
        ):
            return one.density()
    return None
