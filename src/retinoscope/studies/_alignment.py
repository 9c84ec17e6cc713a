"""Do models look where people look? Maps for text segments against human attention.

Harshit and Tasdizen 2024, "VISTA" (arXiv 2410.04609). The model reads the description that a
person gave as if it were its own; each method makes a map for a word, a phrase or a sentence of it;
the map is compared with where that person looked while they said it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..attribution import SCORES, HeatMap, methods_named
from ..attribution import Score as MapScore
from ..data import Sample, Segment, mask_attention
from ..data.viewing import centre_prior
from ..errors import CapabilityError, InputError, RetinoscopeError
from ..stats.maps import METRICS, Score
from ._aims import DEFAULT_RULES, Aim, Points, Rules, aims_of, relative_fixations
from ._alignment_examples import alignment_example
from ._readable import one_line
from ._shuffled import partners
from ._spoken import Spoken
from ._study import Example, Rows, Study, rng_of
from ._tables import Cell, number
from ._untrained import untrained_copy

if TYPE_CHECKING:
    from ..engine import VLM

ALIGNMENT_METHODS = ("attention", "rollout", "chefer", "grad-cam", "gradient-input")
"""Methods that take no more than two passes a segment."""
LIKELIHOOD = "likelihood"
"""In place of a method, in the ranking: the model's own probability of the description."""
_OTHERS = 100
"""Samples whose fixations are the negatives of the shuffled AUC."""

Asked = tuple[str, int | None]


@dataclass(frozen=True)
class _Context:
    models: Mapping[str, VLM]
    others: dict[str, dict[str, Points]]


@dataclass(frozen=True, eq=False, kw_only=True)
class AttentionAlignment(Study[_Context]):
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
    - "ranking": among the own description and those of other images, each read over this image:
      whether the own one has the map that is most like where people looked (`preferred`, which is
      shared among ties). `likelihood` in place of a method ranks by the model's probability.

    Each map is scored against each observer, and the mean over observers is taken, so that all
    conditions have the same targets. What a metric is not defined for is empty, with `reason`.

    Args:
        methods: names in `retinoscope.attribution.METHODS`.
        layers: for methods that take one; each method's own choice if None, and the block in the
            middle for Grad-CAM.
        granularities: of the segments, among "word", "phrase", "sentence" and "text".
        rules: how maps are compared.
        score: what is explained of a segment, see `retinoscope.attribution.Target`.
        distractors: descriptions of other images in the ranking; 0 for none.
        untrained: also a copy of the model with random weights.
    """

    methods: tuple[str, ...] = ALIGNMENT_METHODS
    layers: tuple[int, ...] | None = None
    granularities: tuple[str, ...] = ("word", "phrase", "sentence")
    rules: Rules = DEFAULT_RULES
    score: MapScore = "log-probability"
    distractors: int = 3
    untrained: bool = True

    name: ClassVar[str] = "alignment"
    needs: ClassVar[str] = (
        "samples that know where people looked while they said or read a text (vista:FOLDER, "
        "gaze:FOLDER with texts, collected:FOLDER, or simulated:N)"
    )
    schema: ClassVar[int] = 1
    columns: ClassVar[tuple[str, ...]] = (
        *("sample", "error", "item", "segment", "granularity", "provenance", "observers"),
        *("n_fixations", "dropped", "weights", "method", "layer", "condition", "covered"),
        *(*METRICS, "reason", "candidates", "preferred", "rank"),
    )

    def _check(self) -> None:
        chosen = methods_named(self.methods)
        refused = {one.name: why for one in chosen if (why := one.refusal(self.vlm))}
        if len(refused) == len(chosen):
            raise CapabilityError(
                f"none of the methods is possible: {next(iter(refused.values()))}"
            )
        if refused:
            name, why = next(iter(refused.items()))
            raise CapabilityError(f"{name}: {why}; leave it out with methods=")
        if self.score not in SCORES:
            raise InputError(f"expected a score of {', '.join(SCORES)}, got {self.score!r}")
        if self.distractors < 0:
            raise InputError(f"expected distractors from 0 up, got {self.distractors}")
        if self.rules.resolution < 8:
            raise InputError(f"expected a resolution from 8 pixels up, got {self.rules.resolution}")
        unknown = [name for name in self.rules.metrics if name not in METRICS]
        if unknown:
            raise InputError(f"expected metrics among {', '.join(METRICS)}, got {unknown[0]!r}")
        if not self._asked:
            raise InputError(f"expected layers of the model, got {self.layers}")

    def _parameters(self) -> dict[str, object]:
        return super()._parameters() | {"rules": vars(self.rules)}

    def _depends_on(self, index: int, prints: Sequence[str], data: str) -> object:
        # Other images' fixations and descriptions stand against this one's.
        return data

    @cached_property
    def _partners(self) -> dict[int, int]:
        return partners(len(self.samples), self.seed)

    @cached_property
    def _asked(self) -> tuple[Asked, ...]:
        """Methods, each with its layers."""
        found: list[Asked] = []
        for method in methods_named(self.methods):
            if method.layers == "none":
                found.append((method.name, None))
            elif self.layers is not None:
                found += [(method.name, layer) for layer in method.layers_of(self.vlm, self.layers)]
            else:
                middle = self.vlm.n_layers // 2 if method.name == "grad-cam" else None
                found.append((method.name, middle))
        return tuple(found)

    def _prepare(self, readable: Sequence[Sample]) -> _Context:
        models = {"trained": self.vlm}
        if self.untrained:
            models["untrained"] = untrained_copy(self.vlm, self.seed)
        rng = rng_of(self.seed, "fixations of other images")
        names = (*self.granularities, "text")
        return _Context(models, relative_fixations(readable, names, _OTHERS, rng))

    def _rows(
        self, context: _Context, index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        aims = aims_of(sample, self.granularities, self.rules.resolution, context.others)
        rows: Rows = []
        examples: list[Example] = []
        for aim in aims:
            rows += self._bounds(index, sample, aim)
        for text in dict.fromkeys(aim.segment.description for aim in aims):
            own = [aim for aim in aims if aim.segment.description == text]
            for weights, model in context.models.items():
                try:
                    spoken = Spoken(model, sample.image, text, self.score)
                except RetinoscopeError as error:
                    # The same text fails in the same way whatever the weights are.
                    if weights == "trained":
                        rows += [_row(sample, aim) | {"error": one_line(error)} for aim in own]
                    break
                found, maps = self._scored(sample, own, spoken, weights)
                rows += found
                if keep and weights == "trained":
                    examples += alignment_example(sample, own, spoken, maps)
        if self.distractors:
            rows += self._rankings(context, index, sample)
        return rows, examples

    def _scored(
        self, sample: Sample, aims: Sequence[Aim], spoken: Spoken, weights: str
    ) -> tuple[Rows, dict[tuple[str, int], HeatMap]]:
        """Rows of all methods, and their maps by method and aim."""
        rows: Rows = []
        kept: dict[tuple[str, int], HeatMap] = {}
        for method, layer in self._asked:
            pixels: dict[int, np.ndarray] = {}
            covered: dict[int, float] = {}
            asked: dict[str, Cell] = {"weights": weights, "method": method, "layer": layer}
            for aim in aims:
                try:
                    heat = spoken.heat_map(method, layer, aim.segment, self.seed)
                    pixels[aim.number] = aim.fitted(heat.pixels())
                except RetinoscopeError as error:
                    rows.append(_row(sample, aim) | asked | {"error": one_line(error)})
                    continue
                kept.setdefault((method, aim.number), heat)
                covered[aim.number] = float(heat.covered.mean())
            able = [aim for aim in aims if aim.number in pixels]
            for aim in able:
                shown = {"own": aim, "other-text": self._other_text(sample, aim, able)}
                for condition, read in shown.items():
                    if read is not None:
                        scores = aim.scores(pixels[read.number], self.rules)
                        base = asked | {"covered": covered[read.number]}
                        rows.append(_row(sample, aim, condition) | base | _cells(scores))
        return rows, kept

    def _other_text(self, sample: Sample, aim: Aim, aims: Sequence[Aim]) -> Aim | None:
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

    def _bounds(self, index: int, sample: Sample, aim: Aim) -> Rows:
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

    def _other_image(self, index: int, aim: Aim) -> np.ndarray | None:
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

    def _rankings(self, context: _Context, index: int, sample: Sample) -> Rows:
        rows: Rows = []
        wholes = aims_of(sample, ("text",), self.rules.resolution, context.others)
        for aim in wholes:
            if not aim.seen:
                continue
            texts = [aim.segment.description, *self._distractors(index, aim.segment.description)]
            if len(texts) < 2:
                continue
            for weights, model in context.models.items():
                base = _row(sample, aim, "ranking") | {"weights": weights}
                try:
                    read = [Spoken(model, sample.image, text, self.score) for text in texts]
                    rows.append(
                        base
                        | {"method": LIKELIHOOD}
                        | _ranked([one.log_probability for one in read])
                    )
                except RetinoscopeError as error:
                    if weights == "trained":
                        rows.append(base | {"error": one_line(error)})
                    break
                for method, layer in self._asked:
                    rows.append(
                        base
                        | {"method": method, "layer": layer}
                        | self._ranking(aim, read, method, layer)
                    )
        return rows

    def _ranking(
        self, aim: Aim, read: Sequence[Spoken], method: str, layer: int | None
    ) -> dict[str, Cell]:
        only_ncc = Rules(("ncc",), self.rules.resolution)
        likeness = []
        for spoken in read:
            whole = Segment(spoken.text, spoken.text, 0, len(spoken.text), "text")
            try:
                pixels = spoken.heat_map(method, layer, whole, self.seed).pixels()
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


def _row(sample: Sample, aim: Aim, condition: str | None = None) -> dict[str, Cell]:
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


def _cells(scores: Mapping[str, Score]) -> dict[str, Cell]:
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
