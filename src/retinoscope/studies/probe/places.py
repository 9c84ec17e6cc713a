"""Probes of locations: segmentation, foreground, parts and instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from ...tokens import token_map
from .cases import Labels
from .dense import Dense, Relabel, boundary_overlap, majority
from .gather import Drawn, Gathered, Plan
from .heads import DECAYS, Small, fit_linear, fit_small
from .instances import NONE, best_cover, group_votes, overlaps, panoptic
from .labels import UNKNOWN, control_labels
from .rows import Answer, count_rows, ratio_rows
from .scores import OF_SUMS
from .tasks import Task
from .truth import IGNORED, Cells, Located, Truth

_THRESHOLDS = np.linspace(-4.0, 4.0, 17)
"""Logits from which a location counts as foreground, tried on the validation split."""
_RADII = (1.0, 1.5, 2.0, 3.0)
"""Within how many sides of a location votes fall together, tried on the validation split."""


@dataclass(frozen=True, eq=False)
class Ground:
    """The truth of one dense task on one grid.

    Attributes:
        classes: names of the labels, background first.
        boxes: of the locations of an image, by the image's size.
    """

    classes: tuple[str, ...]
    relabel: Relabel
    truths: Mapping[int, Truth]
    located: Mapping[int, Located]
    plan: Plan
    boxes: Mapping[tuple[int, int], Float[np.ndarray, "n 4"]]

    def labels(self, image: int) -> Int[np.ndarray, " n"]:
        """The label of most pixels in each location, `UNKNOWN` where none is known."""
        found = self._labels.get(image)
        if found is None:
            on = self.located[image]
            found = majority(self.relabel(image, on), on.n, len(self.classes))
            self._labels[image] = found
        return found

    @cached_property
    def _labels(self) -> dict[int, np.ndarray]:
        return {}

    def drawn(self, drawn: Drawn) -> Int[np.ndarray, " n"]:
        """Labels of the locations drawn for training."""
        found = np.empty(len(drawn.image), np.int64)
        for image in np.unique(drawn.image):
            rows = drawn.image == image
            found[rows] = self.labels(int(image))[drawn.place[rows]]
        return found

    def dense(self, images: np.ndarray, relabel: Relabel | None = None) -> Dense:
        chosen = self.relabel if relabel is None else relabel
        return Dense.of(images.tolist(), self.located, chosen, len(self.classes))

    @cached_property
    def test(self) -> Dense:
        return self.dense(self.plan.test)

    @cached_property
    def bound(self) -> dict[str, float]:
        """What no map with one answer per location can pass, by measure."""
        by_class = self.test.bound()
        if len(self.classes) == 2:
            return {"iou": float(by_class[1])}
        return {"miou": float(np.nanmean(by_class))}

    def controlled(self, seed: int) -> Ground:
        """The same with a random label for each kind of location: its class and coarse colour."""
        images = sorted(self.located)
        labels = [self.labels(image) for image in images]
        flat = np.concatenate(labels)
        hues = np.concatenate([self.located[image].hues for image in images])
        known = flat != UNKNOWN
        kinds = list(zip(flat[known].tolist(), hues[known].tolist(), strict=True))
        drawn = control_labels(kinds, flat[known], len(self.classes), seed)
        table = dict(zip(kinds, drawn.tolist(), strict=True))

        def relabel(image: int, on: Located) -> Cells:
            own = self.labels(image)
            label = np.array(
                [table.get((int(a), int(b)), UNKNOWN) for a, b in zip(own, on.hues, strict=True)]
            )
            return _whole(on, label)

        return Ground(self.classes, relabel, self.truths, self.located, self.plan, self.boxes)


def _whole(on: Located, label: np.ndarray) -> Cells:
    """Cells in which each location has one label, `UNKNOWN` ones left out."""
    placed = on.objects.place >= 0
    pixels = np.bincount(on.objects.place[placed], on.objects.count[placed], on.n)
    kept = np.flatnonzero((label != UNKNOWN) & (pixels > 0))
    return Cells(kept, label[kept], pixels[kept].astype(np.int64))


def probe_places(
    task: Task, ground: Ground, gathered: Gathered, number: int, labels: Labels, seed: int
) -> Answer:
    """One linear head for all locations; undefined where they all have one control label.

    Args:
        number: of the probe seed.
    """
    if labels == "control":
        ground = ground.controlled(seed)
    plan = ground.plan
    drawn, val_images = plan.drawn[number], plan.val[number]
    label, weight = ground.drawn(drawn), drawn.weight
    x = gathered.drawn[number]
    if labels == "shuffled":
        order = np.random.default_rng([seed, 29]).permutation(len(label))
        label, weight = label[order], weight[order]
    known = label != UNKNOWN
    if labels == "control" and len(np.unique(label[known])) < 2:
        return Answer((), head="linear", n_parameters=0, n_train=int(known.sum()))
    val = ground.dense(val_images, _mixed(ground, seed) if labels == "shuffled" else None)
    table = val.table()
    binary = task.name == "foreground"

    def reached(scores: np.ndarray) -> float:
        if binary:
            return max(_at(table, scores, float(cut)) for cut in _THRESHOLDS)
        return _value(task, val, scores.argmax(1))

    x_val = gathered.of(val_images)
    head = fit_linear(x[known], label[known], len(ground.classes), x_val, reached, weight[known])
    scores = head.scores(gathered.of(plan.test))
    if binary:
        on_val = head.scores(x_val)
        cut = max(_THRESHOLDS, key=lambda one: _at(table, on_val, float(one)))
        said = (scores[:, 1] - scores[:, 0] > cut).astype(np.int64)
    else:
        said = scores.argmax(1)
    return Answer(
        _dense_rows(ground, said, binary),
        head="linear",
        n_parameters=head.n_parameters,
        strength=head.strength,
        val=head.val,
        converged=head.converged,
        n_train=int(known.sum()),
        bounds=ground.bound if labels != "control" else {},
        said=said,
    )


def _mixed(ground: Ground, seed: int) -> Relabel:
    """The labels of each image's locations in a random order."""

    def relabel(image: int, on: Located) -> Cells:
        own = ground.labels(image)
        return _whole(on, np.random.default_rng([seed, 31, image]).permutation(own))

    return relabel


def _at(table: np.ndarray, scores: np.ndarray, cut: float) -> float:
    """IoU of the foreground where all locations above a logit are it.

    Args:
        table: as `Dense.table`.
    """
    said = scores[:, 1] - scores[:, 0] > cut
    chosen = table[:-1][said]
    hits = chosen[:, 1].sum()
    union = chosen.sum() + table[:, 1].sum() - hits
    return float(hits / union) if union else 0.0


def _value(task: Task, dense: Dense, said: np.ndarray) -> float:
    return float(np.nan_to_num(OF_SUMS[task.measures[0]](dense.counts(said).sum(0)[None])[0]))


def _dense_rows(ground: Ground, said: np.ndarray, binary: bool) -> list:
    rows = list(count_rows(ground.test.counts(said)))
    if binary:
        rows += ratio_rows("boundary_iou", _boundaries(ground, said))
    return rows


def _boundaries(ground: Ground, said: np.ndarray) -> list[tuple[float, float]]:
    pairs: list[tuple[float, float]] = []
    start = 0
    owners = {size: token_map(boxes, size) for size, boxes in ground.boxes.items()}
    for image in ground.plan.test.tolist():
        truth, n = ground.truths[image], ground.located[image].n
        own = said[start : start + n]
        start += n
        instance, place = truth.instance, owners[truth.size]
        mask = np.where(place >= 0, own[np.maximum(place, 0)], 0) > 0
        pairs.append(boundary_overlap(instance > 0, mask, instance != IGNORED))
    return pairs


def constant_places(task: Task, ground: Ground, number: int) -> Answer:
    """One label everywhere: the one that is best on the validation split."""
    if task.name == "instances":
        pairs = [panoptic(np.zeros((0, _n(ground, i)))) for i in ground.plan.test.tolist()]
        best = [(0.0, float(_n(ground, i))) for i in ground.plan.test.tolist()]
        rows = [*ratio_rows("pq", pairs), *ratio_rows("best_iou", best)]
        return Answer(rows, head="constant", n_parameters=0, n_train=0)
    val = ground.dense(ground.plan.val[number])
    best = max(
        range(len(ground.classes)),
        key=lambda label: _value(task, val, np.full(val.n_locations, label)),
    )
    said = np.full(ground.test.n_locations, best)
    return Answer(
        _dense_rows(ground, said, task.name == "foreground"),
        head="constant",
        n_parameters=0,
        n_train=0,
        bounds=ground.bound,
    )


def _n(ground: Ground, image: int) -> int:
    return len(ground.truths[image].items)


def probe_instances(ground: Ground, gathered: Gathered, number: int, seed: int) -> Answer:
    """One small head: object or background, and the way to the object's centre."""
    plan = ground.plan
    drawn = plan.drawn[number]
    owner, offset = _ways(ground, drawn)
    known = owner != UNKNOWN
    x = gathered.drawn[number][known]
    best: tuple[float, float, Small] | None = None
    for decay in DECAYS:
        head = fit_small(
            x, owner[known] > 0, offset[known], drawn.weight[known], decay, seed * 1000 + number
        )
        said = _by_image(ground, gathered, plan.val[number], head)
        for radius in _RADII:
            groups = [_grouped(ground, i, one, radius) for i, one in said.items()]
            pairs = [_quality(ground, i, g) for i, g in zip(said, groups, strict=True)]
            top, bottom = np.sum([pair for pair, _ in pairs], 0)
            value = top / bottom if bottom else 0.0
            if best is None or value > best[0]:
                best = (float(value), radius, head)
    assert best is not None
    value, radius, head = best
    pq: list[tuple[float, float]] = []
    covered: list[tuple[float, float]] = []
    groups: list[np.ndarray] = []
    for image, one in _by_image(ground, gathered, plan.test, head).items():
        group = _grouped(ground, image, one, radius)
        pair, iou = _quality(ground, image, group)
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
        bounds=_instance_bound(ground),
        said=np.concatenate(groups),
    )


def _ways(ground: Ground, drawn: Drawn) -> tuple[np.ndarray, np.ndarray]:
    """The object on most pixels of each drawn location, and the way to its centre."""
    owner = np.empty(len(drawn.image), np.int64)
    offset = np.zeros((len(drawn.image), 2))
    for image in np.unique(drawn.image).tolist():
        rows = np.flatnonzero(drawn.image == image)
        on, items = ground.located[image], ground.truths[image].items
        every = majority(on.objects, on.n, len(items) + 1)
        owner[rows] = every[drawn.place[rows]]
        inside = rows[owner[rows] > 0]
        if len(inside):
            centers = np.array([items[k - 1].center for k in owner[inside]])
            way = centers - on.centers[drawn.place[inside]]
            offset[inside] = way / max(ground.truths[image].size)
    return owner, offset


def _by_image(
    ground: Ground, gathered: Gathered, images: np.ndarray, head: Small
) -> dict[int, np.ndarray]:
    every = head(gathered.of(images))
    ends = np.cumsum([ground.located[int(image)].n for image in images])[:-1]
    return dict(zip(images.tolist(), np.split(every, ends), strict=True))


def _grouped(ground: Ground, image: int, said: np.ndarray, radius: float) -> np.ndarray:
    on, size = ground.located[image], ground.truths[image].size
    boxes = ground.boxes[size]
    side = float(np.nanmedian(boxes[:, 2] - boxes[:, 0]))
    votes = on.centers + said[:, 1:] * max(size)
    return group_votes(said[:, 0] > 0, votes, radius * side)


def _quality(
    ground: Ground, image: int, group: np.ndarray
) -> tuple[tuple[float, float], np.ndarray]:
    on = ground.located[image]
    iou, unknown = overlaps(group, on.objects, _n(ground, image), on.pixels)
    iou = iou[:, _studied(ground, image)]
    return panoptic(iou, unknown), iou


def _studied(ground: Ground, image: int) -> np.ndarray:
    """Objects with pixels of their own; a box without an outline has none."""
    cells = ground.located[image].objects
    return np.isin(np.arange(_n(ground, image)) + 1, cells.label)


def _instance_bound(ground: Ground) -> dict[str, float]:
    found = [
        best_cover(on.objects, _n(ground, image), on.n)[_studied(ground, image)]
        for image in ground.plan.test.tolist()
        if (on := ground.located[image])
    ]
    best = np.concatenate(found) if found else np.zeros(0)
    if not len(best):
        return {}
    hits = best > 0.5
    quality = best[hits].sum() / (hits.sum() + (~hits).sum() / 2)
    return {"pq": float(quality), "best_iou": float(best.mean())}


def instance_truth(ground: Ground) -> np.ndarray:
    """The object on most pixels of each location of the test images, `NONE` on background."""
    found = []
    for image in ground.plan.test.tolist():
        on = ground.located[image]
        found.append(majority(on.objects, on.n, _n(ground, image) + 1) - 1)
    return np.maximum(np.concatenate(found), NONE)
