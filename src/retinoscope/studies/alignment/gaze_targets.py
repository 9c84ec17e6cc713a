"""What a map for a text segment is held against: where each observer looked."""

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
        resolution: maps and densities are compared with at most so many pixels along the longer
            side (means over areas), which saves time on large images.
        negatives: what metrics that need a density do with a map's negative values.
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
        number: which one of the sample.
        observers: one `Gaze` each.
        shape: rows and columns at which maps are compared.
        others: fixations of other images, in pixels at that size.
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
        return sum(len(one.fixations) for one in self.observers)

    @property
    def dropped(self) -> int:
        return sum(one.dropped for one in self.observers)

    @property
    def seen(self) -> tuple[Gaze, ...]:
        """Observers who looked at the image during the segment."""
        return tuple(one for one in self.observers if one.nothing is None)

    def fitted(self, values: Float[np.ndarray, "height width"]) -> np.ndarray:
        """A map of any image at the size at which maps are compared."""
        return values if values.shape == self.shape else resample(values, self.shape, "area")

    def density(self, gaze: Gaze) -> Float[np.ndarray, "height width"] | None:
        """Where one observer looked, at that size."""
        found = gaze.density()
        return None if found is None else self.fitted(found)

    def reference(self, gaze: Gaze) -> Reference:
        """What maps are compared with, of one observer."""
        points = _scaled(gaze.fixations, gaze.size, self.shape) if len(gaze.fixations) else None
        return Reference(
            self.density(gaze), points, self.others, centre_prior((self.shape[1], self.shape[0]))
        )

    def scores(
        self, values: Float[np.ndarray, "height width"], rules: Rules
    ) -> dict[str, MapScore]:
        """A map against each observer, then the mean over observers; NaN with a reason where no
        observer allows the metric."""
        if not self.seen:
            why = str(self.observers[0].nothing)
            return {name: MapScore(name, math.nan, 0, {}, why) for name in rules.metrics}
        ours = self.fitted(values)
        return _mean(
            [_compared(ours, self.reference(one), rules) for one in self.seen], rules.metrics
        )

    def people(self, rules: Rules) -> dict[str, MapScore] | None:
        """Each observer's own fixations against the map of all others; None with fewer than two."""
        if len(self.seen) < 2:
            return None
        found = []
        for one in self.seen:
            rest = pool([other for other in self.seen if other is not one])
            ours = self.density(rest)
            assert ours is not None
            found.append(_compared(ours, self.reference(one), rules))
        return _mean(found, rules.metrics)


def _compared(ours: np.ndarray, reference: Reference, rules: Rules) -> dict[str, MapScore]:
    return compare(
        ours,
        reference,
        rules.metrics,
        repeats=rules.repeats,
        negatives=rules.negatives,  # type: ignore[arg-type]
        grid=rules.grid,
    )


def _mean(found: Sequence[dict[str, MapScore]], metrics: Sequence[str]) -> dict[str, MapScore]:
    joined = {}
    for name in metrics:
        scores = [one[name] for one in found]
        good = [one for one in scores if one.defined]
        if good:
            value = math.fsum(one.value for one in good) / len(good)
            joined[name] = replace(good[0], value=value, n=sum(one.n for one in good))
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
    found = []
    for number, gazes in enumerate(groups.values()):
        segment = gazes[0].segment
        assert segment is not None
        away = [
            points
            for name, points in others.get(segment.granularity, {}).items()
            if name != sample.id
        ]
        found.append(
            GazeTarget(
                number=number,
                segment=segment,
                observers=tuple(gazes),
                shape=shape,
                others=np.concatenate(away) * shape[::-1] if away else None,
            )
        )
    return tuple(found)


def shape_at(size: tuple[int, int], resolution: int) -> tuple[int, int]:
    """Rows and columns of an image (width, height) with at most so many along the longer side."""
    scale = min(1.0, resolution / max(size))
    return max(1, round(size[1] * scale)), max(1, round(size[0] * scale))


def relative_fixations(
    samples: Sequence[Sample], granularities: Sequence[str], most: int, rng: np.random.Generator
) -> dict[str, dict[str, Points]]:
    """Fixations of up to `most` samples as shares of the image's sides, by granularity and id."""
    places = range(len(samples))
    if len(samples) > most:
        places = sorted(rng.choice(len(samples), most, replace=False).tolist())
    found: dict[str, dict[str, Points]] = {name: {} for name in granularities}
    for place in places:
        sample = samples[place]
        for granularity, by_id in found.items():
            points = [
                one.fixations / one.size
                for one in sample.attention
                if one.segment is not None
                and one.segment.granularity == granularity
                and len(one.fixations)
            ]
            if points:
                by_id[sample.id] = np.concatenate(points)
    return found


def _scaled(points: Points, size: tuple[int, int], shape: tuple[int, int]) -> Points:
    scaled = points / size * (shape[1], shape[0])
    # Rounding can carry a point on the last pixel's edge over it.
    return np.minimum(scaled, np.nextafter((shape[1], shape[0]), 0))
