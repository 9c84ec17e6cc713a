"""Probes of instances: which locations belong to the same object, whatever it is."""

from __future__ import annotations

import numpy as np

from .dense import majority
from .dense_labels import DenseLabels
from .gather import Drawn, Gathered
from .heads import DECAYS, Small, fit_small
from .instances import NONE, best_cover, group_votes, overlaps, panoptic
from .labels import UNKNOWN
from .rows import Answer, ratio_rows

_RADII = (1.0, 1.5, 2.0, 3.0)
"""Radii within which votes are grouped, in location sides; selected on the validation split."""


def probe_instances(dense: DenseLabels, gathered: Gathered, number: int, seed: int) -> Answer:
    """One small head: object or background, and the offset to the object's centre."""
    plan = dense.plan
    drawn = plan.drawn[number]
    owner, offset = _offsets(dense, drawn)
    known = owner != UNKNOWN
    x = gathered.drawn[number][known]
    best: tuple[float, float, Small] | None = None
    for decay in DECAYS:
        head = fit_small(
            x, owner[known] > 0, offset[known], drawn.weight[known], decay, seed * 1000 + number
        )
        outputs = _by_image(dense, gathered, plan.val[number], head)
        for radius in _RADII:
            groups = [_grouped(dense, i, of_image, radius) for i, of_image in outputs.items()]
            pairs = [_quality(dense, i, g) for i, g in zip(outputs, groups, strict=True)]
            top, bottom = np.sum([pair for pair, _ in pairs], 0)
            value = top / bottom if bottom else 0.0
            if best is None or value > best[0]:
                best = (float(value), radius, head)
    assert best is not None
    value, radius, head = best
    pq: list[tuple[float, float]] = []
    covered: list[tuple[float, float]] = []
    groups: list[np.ndarray] = []
    for image, of_image in _by_image(dense, gathered, plan.test, head).items():
        group = _grouped(dense, image, of_image, radius)
        pair, iou = _quality(dense, image, group)
        pq.append(pair)
        covered.append((float(iou.max(0, initial=0.0).sum()), float(iou.shape[1])))
        groups.append(group)
    return Answer(
        [*ratio_rows("pq", pq), *ratio_rows("best_iou", covered)],
        head="small",
        n_parameters=head.n_parameters,
        strength=head.decay,
        val=value,
        n_train=int(known.sum()),
        bounds=_instance_bound(dense),
        said=np.concatenate(groups),
    )


def _offsets(dense: DenseLabels, drawn: Drawn) -> tuple[np.ndarray, np.ndarray]:
    """The majority object of each drawn location, and the offset to its centre."""
    owner = np.empty(len(drawn.image), np.int64)
    offset = np.zeros((len(drawn.image), 2))
    for image in np.unique(drawn.image).tolist():
        rows = np.flatnonzero(drawn.image == image)
        on, items = dense.located[image], dense.truths[image].items
        owners = majority(on.objects, on.n, len(items) + 1)
        owner[rows] = owners[drawn.place[rows]]
        inside = rows[owner[rows] > 0]
        if len(inside):
            centers = np.array([items[k - 1].center for k in owner[inside]])
            distance = centers - on.centers[drawn.place[inside]]
            offset[inside] = distance / max(dense.truths[image].size)
    return owner, offset


def _by_image(
    dense: DenseLabels, gathered: Gathered, images: np.ndarray, head: Small
) -> dict[int, np.ndarray]:
    outputs = head(gathered.of(images))
    ends = np.cumsum([dense.located[int(image)].n for image in images])[:-1]
    return dict(zip(images.tolist(), np.split(outputs, ends), strict=True))


def _grouped(dense: DenseLabels, image: int, outputs: np.ndarray, radius: float) -> np.ndarray:
    on, size = dense.located[image], dense.truths[image].size
    boxes = dense.boxes[size]
    side = float(np.nanmedian(boxes[:, 2] - boxes[:, 0]))
    votes = on.centers + outputs[:, 1:] * max(size)
    return group_votes(outputs[:, 0] > 0, votes, radius * side)


def _quality(
    dense: DenseLabels, image: int, group: np.ndarray
) -> tuple[tuple[float, float], np.ndarray]:
    on = dense.located[image]
    iou, unknown = overlaps(group, on.objects, _n_objects(dense, image), on.pixels)
    iou = iou[:, _studied(dense, image)]
    return panoptic(iou, unknown), iou


def _studied(dense: DenseLabels, image: int) -> np.ndarray:
    """Objects with pixels of their own, which a box without an outline lacks."""
    cells = dense.located[image].objects
    return np.isin(np.arange(_n_objects(dense, image)) + 1, cells.label)


def _instance_bound(dense: DenseLabels) -> dict[str, float]:
    covers = [
        best_cover(on.objects, _n_objects(dense, image), on.n)[_studied(dense, image)]
        for image in dense.plan.test.tolist()
        if (on := dense.located[image])
    ]
    best = np.concatenate(covers) if covers else np.zeros(0)
    if not len(best):
        return {}
    hits = best > 0.5
    quality = best[hits].sum() / (hits.sum() + (~hits).sum() / 2)
    return {"pq": float(quality), "best_iou": float(best.mean())}


def instance_truth(dense: DenseLabels) -> np.ndarray:
    """The majority object of each location of the test images, `NONE` on background."""
    owners = []
    for image in dense.plan.test.tolist():
        on = dense.located[image]
        owners.append(majority(on.objects, on.n, _n_objects(dense, image) + 1) - 1)
    return np.maximum(np.concatenate(owners), NONE)


def constant_instances(dense: DenseLabels) -> Answer:
    """Answers that there is no object."""
    pairs = [panoptic(np.zeros((0, _n_objects(dense, i)))) for i in dense.plan.test.tolist()]
    best = [(0.0, float(_n_objects(dense, i))) for i in dense.plan.test.tolist()]
    rows = [*ratio_rows("pq", pairs), *ratio_rows("best_iou", best)]
    return Answer(rows, head="constant", n_parameters=0, n_train=0)


def _n_objects(dense: DenseLabels, image: int) -> int:
    return len(dense.truths[image].items)
