"""What the contrastive encoders of the comparison know of words: of a whole image, and of a place.

For each of them, over its seeds: how well the image's vector tells the colours (and kinds) that are
in an image from those that are not (share of pairs in the right order), and how often the locations
of an object, averaged over its mask, are nearest to the object's own colour (or kind). Prompts are
"a red." and "a car."; chance is one half, and one in 8 colours or 24 kinds. Prints a table in
Markdown, intervals over images.

    python -m benchmarks.encoder_words encoders --scenes 100
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import retinoscope as rs
from retinoscope import stats
from retinoscope.data.scenes import COLORS, KINDS
from retinoscope.encoders.captions import held_out
from retinoscope.encoders.packed import PackedEncoders

MEASURES = ("colour, image", "colour, place", "kind, image", "kind, place")
SEED = 2


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, np.ndarray]]:
    """Prints the table; returns encoder -> measure -> one value per image, NaN where undefined."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="what `retinoscope train encoders` wrote")
    parser.add_argument("--scenes", type=int, default=100)
    options = parser.parse_args(arguments)
    samples = rs.data.scenes(options.scenes, SEED)
    held_out(samples)
    shown = list(samples)
    packed = PackedEncoders(options.folder)
    print(f"{options.scenes} scenes of seed {SEED}; 95% intervals over images\n")
    print(f"| encoder | seeds | {' | '.join(MEASURES)} |")
    print("|---|---|" + "---|" * len(MEASURES))
    found: dict[str, dict[str, np.ndarray]] = {}
    for name in packed.names:
        if not name.startswith("contrastive"):
            continue
        seeds = packed.seeds(name)
        each = [measured(f"small:{name}/{seed}@{options.folder}", shown) for seed in seeds]
        found[name] = {what: np.mean([one[what] for one in each], axis=0) for what in MEASURES}
        cells = " | ".join(interval(found[name][what]) for what in MEASURES)
        print(f"| {name} | {len(seeds)} | {cells} |", flush=True)
    return found


def measured(spec: str, samples: Sequence[rs.data.Sample]) -> dict[str, np.ndarray]:
    """One value per image of each of `MEASURES`."""
    two = rs.encoders.load_contrastive(spec)
    words = {"colour": tuple(COLORS), "kind": tuple(KINDS)}
    texts = {what: two.text(two.prompts(names)) for what, names in words.items()}
    rows: dict[str, list[float]] = {what: [] for what in MEASURES}
    for sample in samples:
        image, places = two.image(sample.image), two.locations(sample.image)
        shares = [covered(thing.mask, places.boxes) for thing in sample.objects]
        for what, names in words.items():
            own = [str(thing.color if what == "colour" else thing.name) for thing in sample.objects]
            there = np.array([name in own for name in names])
            scores = texts[what] @ image
            pairs = scores[there][:, None] > scores[~there][None]
            rows[f"{what}, image"].append(float(pairs.mean()) if pairs.size else np.nan)
            nearest = [
                names[int((texts[what] @ (share @ places["joint"])).argmax())] for share in shares
            ]
            right = [a == b for a, b in zip(nearest, own, strict=True)]
            rows[f"{what}, place"].append(float(np.mean(right)))
    return {what: np.array(values) for what, values in rows.items()}


def covered(mask: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The share of an object's pixels in each box."""
    inside = [mask[int(y0) : int(y1), int(x0) : int(x1)].sum() for x0, y0, x1, y1 in boxes]
    return np.array(inside, dtype=float) / max(1, sum(inside))


def interval(values: np.ndarray) -> str:
    """Mean and 95% interval of what is defined."""
    known = values[~np.isnan(values)]
    mean = stats.cluster_mean(known)
    return f"{100 * mean.value:.1f} [{100 * mean.low:.1f}, {100 * mean.high:.1f}]"


if __name__ == "__main__":
    main()
