"""Labels of objects, pairs and images, and their control labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int

from ...errors import InputError
from .split import Split
from .tasks import ABOVE, BELOW, LEFT, RELATIONS, RIGHT, SIZES
from .truth import Truth

UNKNOWN = -1
"""Stands for a missing label."""


@dataclass(frozen=True)
class LeftOut:
    """Something that could not be asked about, and why; `n` counts objects, images or classes."""

    task: str
    what: str
    why: str
    n: int


@dataclass(frozen=True, eq=False)
class Labelled:
    """One task's cases.

    Attributes:
        classes: label names.
        image: (n,) image of each case.
        members: (n, 1 or 2) numbers of its objects among all objects; (n, 0) for whole images.
        label: (n,) index in `classes`; (n, classes) booleans for several labels at once.
        kind: what the control label of each case depends on.
    """

    classes: tuple[str, ...]
    image: Int[np.ndarray, " n"]
    members: Int[np.ndarray, "n members"]
    label: Int[np.ndarray, " n"] | Bool[np.ndarray, "n label"]
    kind: Sequence[Hashable] = field(repr=False)

    def of(self, images: Int[np.ndarray, " image"]) -> Int[np.ndarray, " case"]:
        """The cases of these images."""
        return np.flatnonzero(np.isin(self.image, images))


@dataclass(frozen=True, eq=False)
class Names:
    """The names asked about: those with a case in every training split and in the test split.

    Attributes:
        index: name -> its number, without the names left out.
    """

    classes: tuple[str, ...]

    @property
    def index(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.classes)}


def usable_classes(
    task: str,
    counts: Mapping[int, Counter[str]],
    splits: Sequence[Split],
    given: Sequence[str] | None = None,
    most: int | None = None,
) -> tuple[tuple[str, ...], list[LeftOut]]:
    """Classes with positives in the splits that need them, in alphabetical order, and the others.

    Args:
        counts: image -> how often it has each class.
        given: the user's class list.
        most: keep only this many classes, the most frequent ones.

    Raises:
        InputError: a label outside the class list, or a list that names a class twice.
    """
    total = sum(counts.values(), Counter())
    if given is not None:
        if len(set(given)) < len(given):
            raise InputError(f"expected different classes, got {sorted(given)}: name each once")
        outside = sorted(set(total) - set(given))
        if outside:
            raise InputError(
                f"expected names of the class list ({', '.join(given)}), got {outside[0]!r}"
                + (f" and {len(outside) - 1} more" if len(outside) > 1 else "")
                + ": add it to the list, or leave the list out"
            )
    left: list[LeftOut] = []
    ranked = sorted(total, key=lambda name: (-total[name], name))
    kept = set(ranked if most is None else ranked[:most])
    left += [
        LeftOut(task, name, f"beyond the {most} most frequent", total[name])
        for name in ranked
        if name not in kept
    ]
    parts = [("test split", splits[0].test)]
    parts += [(f"training split of seed {k}", split.train) for k, split in enumerate(splits)]
    for where, images in parts:
        present = {name for image in images for name in counts.get(int(image), ())}
        for name in sorted(kept - present):
            left.append(LeftOut(task, name, f"no positives in the {where}", total[name]))
        kept &= present
    left += [
        LeftOut(task, name, "in the class list, and in no image", 0)
        for name in sorted(set(given or ()) - set(total))
    ]
    return tuple(sorted(kept)), left


def objects_of(truths: Mapping[int, Truth]) -> list[tuple[int, int]]:
    """Image and index of every object, in order; its position in this list is its number."""
    return [(i, k) for i in sorted(truths) for k in range(len(truths[i].items))]


def label_objects(
    task: str,
    truths: Mapping[int, Truth],
    splits: Sequence[Split],
    names: Sequence[str],
) -> tuple[Labelled | None, list[LeftOut]]:
    """The cases of "name", "color", "size" and "relation".

    Args:
        names: objects with another name are not asked about.
    """
    known = set(names)
    places = objects_of(truths)
    items = [truths[i].items[k] for i, k in places]
    image = np.array([i for i, _ in places], np.int64)
    if task == "relation":
        return _relations(truths, splits, known)
    if task == "size":
        areas = np.array([item.area for item in items])
        trained = np.isin(image, splits[0].train)
        if not trained.any():
            return None, [LeftOut(task, "all", "no objects in the training split", 0)]
        edges = np.quantile(areas[trained], [1 / 3, 2 / 3])
        texts = [SIZES[int(step)] for step in np.searchsorted(edges, areas, side="right")]
    else:
        texts = [item.name if task == "name" else item.color for item in items]
    asked = [
        number
        for number, (item, text) in enumerate(zip(items, texts, strict=True))
        if text is not None and item.name in known
    ]
    return _labelled(
        task,
        splits,
        image[asked],
        np.array(asked, np.int64)[:, None],
        [str(texts[number]) for number in asked],
        [(items[number].name, items[number].hue) for number in asked],
        SIZES if task == "size" else None,
    )


def _relations(
    truths: Mapping[int, Truth], splits: Sequence[Split], known: set[str]
) -> tuple[Labelled | None, list[LeftOut]]:
    place = {pair: number for number, pair in enumerate(objects_of(truths))}
    image: list[int] = []
    members: list[tuple[int, int]] = []
    texts: list[str] = []
    kinds: list[Hashable] = []
    for i, truth in sorted(truths.items()):
        # Data lists objects in a systematic order (scenes: from left to right).
        flips = np.random.default_rng([7, i]).random((len(truth.items),) * 2) < 0.5
        for a in range(len(truth.items)):
            for b in range(a + 1, len(truth.items)):
                first_index, second_index = (b, a) if flips[a, b] else (a, b)
                first, second = truth.items[first_index], truth.items[second_index]
                text = _relation(first.center, second.center)
                if text is None or not {first.name, second.name} <= known:
                    continue
                image.append(i)
                members.append((place[i, first_index], place[i, second_index]))
                texts.append(text)
                kinds.append((first.name, second.name))
    return _labelled(
        "relation",
        splits,
        np.array(image, np.int64),
        np.array(members, np.int64).reshape(-1, 2),
        texts,
        kinds,
        RELATIONS,
    )


def _relation(one: tuple[float, float], other: tuple[float, float]) -> str | None:
    """The relation along the axis on which the centres differ more; None if both differ equally."""
    dx, dy = one[0] - other[0], one[1] - other[1]
    if abs(dx) == abs(dy):
        return None
    if abs(dx) > abs(dy):
        return LEFT if dx < 0 else RIGHT
    return ABOVE if dy < 0 else BELOW


def _labelled(
    task: str,
    splits: Sequence[Split],
    image: np.ndarray,
    members: np.ndarray,
    texts: Sequence[str],
    kinds: Sequence[Hashable],
    order: Sequence[str] | None,
) -> tuple[Labelled | None, list[LeftOut]]:
    counts: dict[int, Counter[str]] = {}
    for i, text in zip(image.tolist(), texts, strict=True):
        counts.setdefault(i, Counter())[text] += 1
    classes, left = usable_classes(task, counts, splits)
    if order is not None:
        classes = tuple(name for name in order if name in classes)
    if len(classes) < 2:
        return None, [*left, LeftOut(task, "all", "fewer than two classes with positives", 0)]
    index = {name: number for number, name in enumerate(classes)}
    label = np.array([index.get(text, UNKNOWN) for text in texts], np.int64)
    keep = np.flatnonzero(label != UNKNOWN)
    case = Labelled(
        classes,
        image[keep],
        members[keep],
        label[keep],
        [kinds[number] for number in keep.tolist()],
    )
    return case, left


def label_images(
    truths: Mapping[int, Truth], splits: Sequence[Split], names: Sequence[str]
) -> tuple[Labelled | None, list[LeftOut]]:
    """The cases of "present": for every image, which names are in it.

    A name needs images with it and images without it, in training and in test.
    """
    images = np.array(sorted(truths), np.int64)
    present = np.array(
        [[any(item.name == name for item in truths[i].items) for name in names] for i in images]
    ).reshape(len(images), len(names))
    parts = [("test split", splits[0].test)]
    parts += [(f"training split of seed {k}", split.train) for k, split in enumerate(splits)]
    left: list[LeftOut] = []
    kept = list(range(len(names)))
    for where, chosen in parts:
        inside = present[np.isin(images, chosen)]
        for number in list(kept):
            missing = [
                w
                for w, n in (("with", inside[:, number]), ("without", ~inside[:, number]))
                if not n.any()
            ]
            if missing:
                why = f"no images {missing[0]} it in the {where}"
                left.append(LeftOut("present", names[number], why, int(present[:, number].sum())))
                kept.remove(number)
    if not kept:
        return None, [*left, LeftOut("present", "all", "no name is in some images only", 0)]
    classes = tuple(names[number] for number in kept)
    empty = np.zeros((len(images), 0), np.int64)
    return Labelled(classes, images, empty, present[:, kept], [0] * len(images)), left


def control_labels(
    kinds: Sequence[Hashable], label: Int[np.ndarray, " n"], n_classes: int, seed: int
) -> Int[np.ndarray, " n"]:
    """A random label for each kind of case, distributed like the real labels.

    After Hewitt and Liang 2019 (arXiv 1909.03368, section 2): equal inputs get equal labels, which
    can only be memorised.
    """
    share = np.bincount(label, minlength=n_classes) / max(1, len(label))
    rng = np.random.default_rng([seed, 11])
    drawn: dict[Hashable, int] = {
        kind: int(rng.choice(n_classes, p=share)) for kind in sorted(set(kinds), key=repr)
    }
    return np.array([drawn[kind] for kind in kinds], np.int64)
