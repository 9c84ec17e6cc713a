"""Results of grouping on the planted encoders, whose features are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...data import Sample, class_names
from ...encoders import load
from ...engine import VLM
from ...grouping import group, jaccard, shuffled
from ...pocket.planted import PREFIX
from ...stats import cell_bound, mean_iou
from .._planted import Measured
from .view import View

LAYER = "projector"
_GROUPS = 8


def measure(vlm: VLM, samples: Sequence[Sample]) -> Measured:
    """Measures overlap of groups with objects, and mean IoU with matching text vectors.

    At the projector. The text vector of a class is what the projector of the model "one-hot-patch"
    outputs for a patch of that class, minus its output for one without any: the direction in which
    these models write a label. The background has no label: it wins if no class has a positive
    score.
    """
    classes = class_names(samples)
    encoder = load(vlm)
    vectors, middle = _label_directions(samples, classes)
    order = shuffled(len(classes))
    counts: dict[str, list[np.ndarray]] = {"text": [], "shuffled": []}
    overlaps: dict[str, list[float]] = {"kmeans": [], "pc-both-signs": []}
    named: list[float] = []
    cells = []
    for sample in samples:
        features = encoder.features(sample.image, [LAYER])
        view = View.on(sample, classes, features)
        values = features[LAYER][view.placed].astype(np.float64)
        cells.append(view.cells)
        # The best classes of the mean location, as many as the image has.
        whole = vectors @ (values.mean(0) - middle)
        top = np.argsort(-whole, kind="stable")[: len(view.present)]
        named.append(float(np.isin(top, view.present).mean()))
        for name, chosen in (("text", vectors), ("shuffled", vectors[order])):
            scores = chosen @ (values - middle).T
            # Half of a label's own length: scores below it show nothing of the class.
            behind = np.full((1, view.n), 0.5 * (vectors**2).sum(1).mean())
            both = np.concatenate([behind, scores])
            counts[name].append(view.counts(both, range(len(classes)), 1, "nearest"))
        for method, of_method in overlaps.items():
            groups = group(values, method, _GROUPS)  # type: ignore[arg-type]
            of_method += jaccard(view.instances, view.whole, groups).best.tolist()
    bound = float(np.nanmean(cell_bound(np.concatenate(cells))))
    together = np.concatenate(cells).sum(0)
    constant = float((together / together.sum()).max() / (together > 0).sum())
    return {
        "classes of the whole image that matching text names": float(np.mean(named)),
        "mean IoU of labels from matching text, with background": _value(counts["text"]),
        "the same from shuffled text": _value(counts["shuffled"]),
        "overlap of k-means groups with objects": float(np.mean(overlaps["kmeans"])),
        "overlap of groups by principal components with objects": float(
            np.mean(overlaps["pc-both-signs"])
        ),
        "bound of the grid (of the data)": bound,
        "one label for everything (of the data)": constant,
    }


def _value(counts: Sequence[np.ndarray]) -> float:
    return mean_iou(np.stack(counts)).value


def _label_directions(
    samples: Sequence[Sample], classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Each class's direction, and the output without any class, in the planted projector."""
    encoder = load(f"{PREFIX}one-hot-patch")
    sums = np.zeros((len(classes) + 1, encoder.features(samples[0].image, [LAYER])[LAYER].shape[1]))
    seen = np.zeros(len(classes) + 1)
    for sample in samples:
        features = encoder.features(sample.image, [LAYER])
        view = View.on(sample, classes, features)
        labels = view.cells.argmax(1)
        np.add.at(sums, labels, features[LAYER][view.placed])
        seen += np.bincount(labels, minlength=len(seen))
    means = sums / np.maximum(seen, 1)[:, None]
    directions = np.where(seen[1:, None] > 0, means[1:] - means[0], 0.0)
    return directions, means[0]
