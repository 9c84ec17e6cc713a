"""Targets that a segment's map is compared with: where each observer looked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from ...data import Gaze, Sample, Segment
from ...gaze import centre_prior, pool
from ...stats.maps import METRICS, MapScore, Reference, compare, resample

Points = Float[np.ndarray, "fixation xy"]


@dataclass(frozen=True)
class Rules:
    """How maps are compared.

    Attributes:
        metrics: keys of `retinoscope.stats.maps.METRICS`.
        resolution: limit on the pixels along the longer side; larger maps and densities are
            averaged down to it, which saves time on large images.
        negatives: how metrics that need a density treat a map's negative values.
        repeats: whether a pixel that is fixated twice counts twice (not in AUC-Judd).
        grid: of the earth mover's distance.
    """

    metrics: tuple[str, ...] = tuple(name for name in METRICS if name != "emd")
    resolution: int = 256
    negatives: str = "clip"
    repeats: bool = True
    grid: int = 16


DEFAULT_RULES = Rules()


@dataclass(frozen=True, eq=False)
class GazeTarget:
    """One segment of one sample, and where its observers looked.

    Attributes:
        number: of the segment within the sample.
        observers: one `Gaze` each.
        shape: rows and columns at which maps are compared.
        others: fixations on other images, in pixels at `shape`.
    """

    number: int
    segment: Segment
    observers: tuple[Gaze, ...]
    shape: tuple[int, int]
    others: Points | None

    @property
    def provenance(self) -> str:
        return self.observers[0].provenance

    @property
    def n_fixations(self) -> int:
        return sum(len(gaze.fixations) for gaze in self.observers)

    @property
    def dropped(self) -> int:
        return sum(gaze.dropped for gaze in self.observers)

    @property
    def seen(self) -> tuple[Gaze, ...]:
        """Observers with a fixation on the image during the segment."""
        return tuple(gaze for gaze in self.observers if gaze.nothing is None)

    def fitted(self, values: Float[np.ndarray, "height width"]) -> np.ndarray:
        """Resamples a map of an image to `shape`."""
        return values if values.shape == self.shape else resample(values, self.shape, "area")

    def density(self, gaze: Gaze) -> Float[np.ndarray, "height width"] | None:
        """The density of one observer's fixations at `shape`."""
        density = gaze.density()
        return None if density is None else self.fitted(density)

    def reference(self, gaze: Gaze) -> Reference:
        """The comparison data of one observer."""
        points = _scaled(gaze.fixations, gaze.size, self.shape) if len(gaze.fixations) else None
        return Reference(
            self.density(gaze), points, self.others, centre_prior((self.shape[1], self.shape[0]))
        )

    def scores(
        self, values: Float[np.ndarray, "height width"], rules: Rules
    ) -> dict[str, MapScore]:
        """Scores a map against each observer and averages over observers.

        The score is NaN with a reason where no observer allows the metric.
        """
        if not self.seen:
            why = str(self.observers[0].nothing)
            return {name: MapScore(name, math.nan, 0, {}, why) for name in rules.metrics}
        fitted = self.fitted(values)
        return _mean(
            [_compared(fitted, self.reference(gaze), rules) for gaze in self.seen], rules.metrics
        )

    def people(self, rules: Rules) -> dict[str, MapScore] | None:
        """Each observer's fixations against the map of all others; None with fewer than two."""
        if len(self.seen) < 2:
            return None
        scores = []
        for gaze in self.seen:
            rest = pool([other for other in self.seen if other is not gaze])
            density = self.density(rest)
            assert density is not None
            scores.append(_compared(density, self.reference(gaze), rules))
        return _mean(scores, rules.metrics)


def _compared(values: np.ndarray, reference: Reference, rules: Rules) -> dict[str, MapScore]:
    return compare(
        values,
        reference,
        rules.metrics,
        repeats=rules.repeats,
        negatives=rules.negatives,  # type: ignore[arg-type]
        grid=rules.grid,
    )


def _mean(
    scores_by_observer: Sequence[dict[str, MapScore]], metrics: Sequence[str]
) -> dict[str, MapScore]:
    joined = {}
    for name in metrics:
        scores = [of_observer[name] for of_observer in scores_by_observer]
        good = [score for score in scores if score.defined]
        if good:
            value = math.fsum(score.value for score in good) / len(good)
            joined[name] = replace(good[0], value=value, n=sum(score.n for score in good))
        else:
            joined[name] = scores[0]
    return joined


def gaze_targets_of(
    sample: Sample,
    granularities: Sequence[str],
    resolution: int,
    others: dict[str, dict[str, Points]],
) -> tuple[GazeTarget, ...]:
    """The segments of a sample that people said or read, each with its observers.

    Args:
        others: fixations of other images as shares of their sides, by granularity and sample.
    """
    groups: dict[tuple[object, ...], list[Gaze]] = {}
    for gaze in sample.attention:
        segment = gaze.segment
        if segment is not None and segment.granularity in granularities:
            key = (
                *(segment.granularity, segment.description, segment.start, segment.end),
                gaze.provenance,
            )
            groups.setdefault(key, []).append(gaze)
    shape = shape_at(sample.image.size, resolution)
    targets = []
    for number, gazes in enumerate(groups.values()):
        segment = gazes[0].segment
        assert segment is not None
        away = [
            points
            for name, points in others.get(segment.granularity, {}).items()
            if name != sample.id
        ]
        targets.append(
            GazeTarget(
                number=number,
                segment=segment,
                observers=tuple(gazes),
                shape=shape,
                others=np.concatenate(away) * shape[::-1] if away else None,
            )
        )
    return tuple(targets)


def shape_at(size: tuple[int, int], resolution: int) -> tuple[int, int]:
    """Rows and columns for an image (width, height), at most `resolution` along its longer side."""
    scale = min(1.0, resolution / max(size))
    return max(1, round(size[1] * scale)), max(1, round(size[0] * scale))


def relative_fixations(
    samples: Sequence[Sample], granularities: Sequence[str], most: int, rng: np.random.Generator
) -> dict[str, dict[str, Points]]:
    """Fixations of up to `most` samples as shares of the image's sides, by granularity and id."""
    places = range(len(samples))
    if len(samples) > most:
        places = sorted(rng.choice(len(samples), most, replace=False).tolist())
    fixations: dict[str, dict[str, Points]] = {name: {} for name in granularities}
    for place in places:
        sample = samples[place]
        for granularity, by_id in fixations.items():
            points = [
                gaze.fixations / gaze.size
                for gaze in sample.attention
                if gaze.segment is not None
                and gaze.segment.granularity == granularity
                and len(gaze.fixations)
            ]
            if points:
                by_id[sample.id] = np.concatenate(points)
    return fixations


def _scaled(points: Points, size: tuple[int, int], shape: tuple[int, int]) -> Points:
    scaled = points / size * (shape[1], shape[0])
    # Rounding can push a point beyond the last pixel's edge.
    return np.minimum(scaled, np.nextafter((shape[1], shape[0]), 0))
