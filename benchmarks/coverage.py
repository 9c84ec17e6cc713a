"""How often 95% intervals hold the truth, by simulation: small samples, dependent items, ratios,
paired differences, and the best of several.

python -m benchmarks.coverage                    2000 replications, a table
python -m benchmarks.coverage --replications 200 a quick look

Every shape draws data whose truth is known. `naive` is what was used before: a percentile bootstrap
over images, and for a peak the interval of the candidate that is largest.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from retinoscope.stats import (
    Interval,
    cluster_mean,
    cluster_ratio,
    cluster_share,
    cross_fitted,
    paired_difference,
    simultaneous_level,
)

from ._bench import RESULTS, write_json

Draw = Callable[[np.random.Generator], tuple[Interval | bool, Interval | bool]]
"""One replication: ours and the naive one, as an interval of `truth` or as what it held."""


@dataclass(frozen=True)
class Shape:
    """Data of one kind.

    Attributes:
        name: for the table.
        truth: what the interval should hold; of a `Draw` that answers itself it is not read.
        draw: one replication.
    """

    name: str
    truth: float
    draw: Draw


@dataclass(frozen=True)
class Row:
    """How often the interval of a shape held the truth."""

    name: str
    coverage: float
    naive: float
    error: float
    replications: int


def clustered(
    generator: np.random.Generator, n: int, items: int, share: float, dependence: float
) -> np.ndarray:
    """(n, items) booleans; two of one image correlate by `dependence` (beta-binomial)."""
    if not dependence:
        return generator.random((n, items)) < share
    size = (1 - dependence) / dependence
    own = generator.beta(share * size, (1 - share) * size, (n, 1))
    return generator.random((n, items)) < own


def percentile(
    generator: np.random.Generator, top: np.ndarray, bottom: np.ndarray, draws: int = 400
) -> Interval:
    """The percentile bootstrap over images of a ratio of sums."""
    n = len(top)
    weights = generator.multinomial(n, np.full(n, 1 / n), draws).astype(float)
    below = weights @ bottom
    ratios = (weights @ top)[below > 0] / below[below > 0]
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Interval(float(top.sum() / bottom.sum()), float(low), float(high), n, n, 0.95, "")


def shares(n: int, items: int, share: float, dependence: float) -> Shape:
    """A share of items that depend on each other within images."""

    def draw(generator: np.random.Generator) -> tuple[Interval, Interval]:
        hits = clustered(generator, n, items, share, dependence).sum(1).astype(float)
        totals = np.full(n, float(items))
        return cluster_share(hits, totals), percentile(generator, hits, totals)

    alike = f", correlated {dependence:g}" if items > 1 else ""
    return Shape(f"share {share:g}: {n} images of {items}{alike}", share, draw)


def uneven(n: int, share: float) -> Shape:
    """A share of tokens, of objects of 5, 20 or 80 tokens."""

    def draw(generator: np.random.Generator) -> tuple[Interval, Interval]:
        totals = generator.choice((5.0, 20.0, 80.0), n)
        own = generator.beta(share * 4, (1 - share) * 4, n)
        hits = generator.binomial(totals.astype(int), own).astype(float)
        return cluster_share(hits, totals), percentile(generator, hits, totals)

    return Shape(f"share {share:g} of 5 to 80 tokens: {n} images", share, draw)


def kept(n: int, items: int, before: float, after: float) -> Shape:
    """Accuracy after over accuracy before: questions that stay right, and some new ones."""
    fresh = 0.1

    def draw(generator: np.random.Generator) -> tuple[Interval, Interval]:
        right = clustered(generator, n, items, before, 0.3)
        still = right & clustered(generator, n, items, after, 0.3)
        new = ~right & (generator.random((n, items)) < fresh)
        top, bottom = (still | new).sum(1).astype(float), right.sum(1).astype(float)
        return cluster_ratio(top, bottom), percentile(generator, top, bottom)

    truth = (before * after + (1 - before) * fresh) / before
    return Shape(f"ratio {truth:.2f}: {n} images of {items}", truth, draw)


def means(n: int) -> Shape:
    """A mean of a normal score."""

    def draw(generator: np.random.Generator) -> tuple[Interval, Interval]:
        values = generator.normal(size=n)
        return cluster_mean(values), percentile(generator, values, np.ones(n))

    return Shape(f"mean of a normal score: {n} images", 0.0, draw)


def differences(n: int, items: int, shift: float) -> Shape:
    """A paired difference of shares."""

    def draw(generator: np.random.Generator) -> tuple[Interval, Interval]:
        both = clustered(generator, n, items, 0.6, 0.3)
        a = both & (generator.random((n, items)) < 0.9)
        b = both & (generator.random((n, items)) < 0.9 - shift / 0.6)
        groups = np.repeat(np.arange(n), items)
        seed = int(generator.integers(1 << 30))
        ours = paired_difference(a.ravel(), b.ravel(), groups, 500, seed)
        change = (a.astype(float) - b).sum(1)
        return ours, percentile(generator, change, np.full(n, float(items)))

    return Shape(f"paired difference {shift:g}: {n} images of {items}", shift, draw)


def peaks(name: str, n: int, places: int, items: int, share: float, alike: float) -> Shape:
    """The best of several with one truth; a place shares a part `alike` of its images' own level
    with the other places. Of single questions (`items` 1) the least counts, as of windows."""
    smallest = items == 1

    def draw(generator: np.random.Generator) -> tuple[Interval, Interval]:
        if items == 1:
            base = generator.random((n, 1)) < share
            own = generator.random((n, places)) < share
            top = np.where(generator.random((n, places)) < alike, base, own).astype(float)
        else:
            base, own = (generator.beta(share * 8, (1 - share) * 8, (n, k)) for k in (1, places))
            level = np.where(generator.random((n, places)) < alike, base, own)
            top = generator.binomial(items, level).astype(float)
        bottom = np.full_like(top, items)
        halves = generator.permutation(n) % 2
        found = cross_fitted(top, bottom, halves, smallest)
        means = top.sum(0)
        best = int(means.argmin() if smallest else means.argmax())
        ours = cluster_share(found.numerator, found.denominator)
        return ours, percentile(generator, top[:, best], bottom[:, best])

    return Shape(f"{name}, flat, alike {alike:g}", share, draw)


def bands(n: int, places: int, alike: float) -> Shape:
    """Whether a band holds a whole flat curve; the naive one is of 95% at each place."""

    def draw(generator: np.random.Generator) -> tuple[bool, bool]:
        base, own = (generator.beta(2, 6, (n, k)) for k in (1, places))
        level = np.where(generator.random((n, places)) < alike, base, own)
        top = generator.binomial(12, level).astype(float)
        whole = np.full(n, 12.0)
        wide = simultaneous_level(places)
        ours, plain = (
            all(not cluster_share(one, whole, level=level).excludes(0.25) for one in top.T)
            for level in (wide, 0.95)
        )
        return ours, plain

    return Shape(f"band of {places} layers, {n} images, alike {alike:g}", 0.25, draw)


SHAPES = (
    shares(10, 1, 0.5, 0),
    shares(10, 5, 0.5, 0.3),
    shares(10, 5, 0.9, 0.3),
    shares(10, 1, 0.9, 0),
    shares(100, 5, 0.97, 0.2),
    shares(100, 5, 0.97, 0.5),
    shares(100, 5, 0.97, 0.9),
    uneven(12, 0.25),
    uneven(60, 0.25),
    kept(10, 3, 0.8, 0.7),
    kept(30, 3, 0.8, 0.7),
    kept(100, 3, 0.8, 0.7),
    means(10),
    differences(10, 3, 0.2),
    differences(60, 3, 0.1),
    differences(100, 1, 0.05),
    peaks("best of 33 layers, 12 images", 12, 33, 12, 0.25, 0.0),
    peaks("best of 33 layers, 12 images", 12, 33, 12, 0.25, 0.9),
    peaks("best of 33 layers, 60 images", 60, 33, 12, 0.25, 0.0),
    peaks("best of 33 layers, 60 images", 60, 33, 12, 0.25, 0.9),
    peaks("least of 26 windows, 60 questions", 60, 26, 1, 0.8, 0.0),
    peaks("least of 26 windows, 60 questions", 60, 26, 1, 0.8, 0.8),
    bands(12, 33, 0.0),
    bands(60, 33, 0.0),
    bands(60, 33, 0.9),
)


def measure(shape: Shape, replications: int, seed: int = 0) -> Row:
    """Coverage of one shape, over the same data for both intervals."""
    generator = np.random.default_rng(seed)
    held = np.zeros((replications, 2))
    for number in range(replications):
        held[number] = [
            one if isinstance(one, bool) else one.low - 1e-12 <= shape.truth <= one.high + 1e-12
            for one in shape.draw(generator)
        ]
    coverage, naive = held.mean(0).tolist()
    error = math.sqrt(0.95 * 0.05 / replications)
    return Row(shape.name, coverage, naive, error, replications)


def rejections(replications: int, seed: int = 0) -> Mapping[str, float]:
    """How often 20 images of 5 dependent pairs are called different, of none that are: the paired
    test over images, and McNemar's over pairs."""
    from scipy.stats import binomtest

    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(20), 5)
    ours = pairs = 0
    for number in range(replications):
        a, b = (np.repeat(generator.random(20) < 0.5, 5) for _ in range(2))
        ours += paired_difference(a, b, groups, 500, number).significant
        one, other = int((a & ~b).sum()), int((b & ~a).sum())
        pairs += one + other > 0 and binomtest(one, one + other).pvalue < 0.05
    return {"paired test": ours / replications, "McNemar over pairs": pairs / replications}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--replications", type=int, default=2000)
    given = parser.parse_args(argv)
    rows = []
    print("| data | coverage | before |\n|---|---|---|")
    for shape in SHAPES:
        row = measure(shape, given.replications)
        rows.append(row)
        print(f"| {row.name} | {row.coverage:.3f} | {row.naive:.3f} |", flush=True)
    found = rejections(given.replications)
    told = ", ".join(f"{name} {100 * share:.1f}%" for name, share in found.items())
    print(f"\nNo difference, 20 images of 5 equal pairs, called different: {told}.")
    print(f"Monte Carlo error of a coverage of .95: {rows[0].error:.3f}.")
    result = {
        "benchmark": "coverage",
        "command": f"python -m benchmarks.coverage --replications {given.replications}",
        "rows": [asdict(row) for row in rows],
        "rejections": dict(found),
    }
    write_json(RESULTS / "coverage.json", result)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
