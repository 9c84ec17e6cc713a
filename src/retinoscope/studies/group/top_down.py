"""Labels of locations from text: cosine, lens and attribution, as counts against the masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ...grouping import counts_of, shuffled, text_scores
from ...saliency import Exact, Method, Target, resolve
from .._executor import Rows
from .._map_options import COMPLETENESS
from ..summary import Record
from .subjects import JOINT, Subject, Texts
from .view import Counts, Upsample, View

if TYPE_CHECKING:
    from ...engine import Run

WITH, WITHOUT, REST, TRUTH = "prompts", "none", "rest", "truth"
"""Rules for the background: prompts for it compete; its pixels do not count; it gets the rest
of the probability after the classes' words; it is a class like others."""
ALL, PRESENT = "all", "present"
"""Which classes compete: all of the list, or those in the image."""
TOP_DOWN, CLASSIFICATION = "top-down", "classification"
BOUND, MAJORITY = "bound", "majority"
QUESTION = "What is in this image?"

Scores = Float[np.ndarray, "label location"]


def text_rows(
    subject: Subject, view: View, locations: np.ndarray, seed: int, upsample: Upsample
) -> Rows:
    """Returns rows by cosine with prompts, and with the prompts swapped between classes."""
    texts = subject.texts
    assert texts is not None
    every = range(view.n_classes)
    rows: Rows = []
    pairs: list[tuple[bool, Texts]] = [(False, texts)]
    if subject.weights == "trained" and view.n_classes > 1:
        pairs.append((True, texts.swapped(seed)))
    for swapped, vectors in pairs:
        scores = _joint_scores(locations, vectors.classes)
        counts = view.counts(scores, every, 0, upsample)
        rows.append(_row(view, "text", JOINT, WITHOUT, ALL, counts, swapped))
        if vectors.background is not None:
            # Each prompt separately: interpolating the largest score differs from the largest of
            # interpolated scores.
            behind = _joint_scores(locations, vectors.background)
            with_it = np.concatenate([behind, scores])
            counts = view.counts(with_it, every, len(behind), upsample)
            rows.append(_row(view, "text", JOINT, WITH, ALL, counts, swapped))
    return rows


def _joint_scores(locations: np.ndarray, vectors: np.ndarray) -> Scores:
    """Computes dot products with text vectors of length 1, after the checks of `text_scores`.

    A location's length is the same for all classes, so the largest is the same as by cosine; and
    interpolated dot products are those of interpolated features.
    """
    text_scores(locations, vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float64) @ locations.astype(np.float64).T


def lens_rows(
    subject: Subject, view: View, run: Run, seed: int, upsample: Upsample, restricted: bool
) -> Rows:
    """Returns rows by the lens's probability of class words, by layer, and with swapped words."""
    words, vlm = subject.words, subject.vlm
    assert words is not None
    assert vlm is not None
    if not words.ids:
        return []
    positions = np.array(run.image.positions)[view.placed]
    lens = run.lens(top_k=1, positions=positions.tolist())
    probs = lens.prob(list(words.ids)).double().cpu().numpy()
    rest = np.maximum(1.0 - probs.sum(0, keepdims=True), 0.0)
    order = shuffled(len(words.ids), seed)
    rows: Rows = []
    for layer in range(probs.shape[1]):
        by_class, behind = probs[:, layer], rest[:, layer]
        name = f"decoder.{layer}"
        for swapped, scores in ((False, by_class), (True, by_class[order])):
            if swapped and (subject.weights != "trained" or len(words.ids) < 2):
                continue
            counts = view.counts(scores, words.places, 0, upsample)
            rows.append(_row(view, "lens", name, WITHOUT, ALL, counts, swapped))
            counts = view.counts(np.concatenate([behind, scores]), words.places, 1, upsample)
            rows.append(_row(view, "lens", name, REST, ALL, counts, swapped))
        if restricted:
            rows += _present(view, "lens", name, by_class, words.places, upsample)
    for row in rows:
        row["left_out"] = ", ".join(words.left_out) or None
    return rows


def _present(
    view: View, method: str, layer: str, scores: Scores, places: Sequence[int], upsample: Upsample
) -> Rows:
    """Returns the row with only the classes in the image competing; none for a single class."""
    inside = [k for k, place in enumerate(places) if place in view.present]
    if len(inside) < 2:
        return []
    chosen = [places[k] for k in inside]
    counts = view.counts(scores[inside], chosen, 0, upsample)
    return [_row(view, method, layer, WITHOUT, PRESENT, counts)]


def text_present_rows(
    subject: Subject, view: View, locations: np.ndarray, upsample: Upsample
) -> Rows:
    """As `text_rows`, with only the classes in the image competing."""
    assert subject.texts is not None
    scores = _joint_scores(locations, subject.texts.classes)
    return _present(view, "text", JOINT, scores, range(view.n_classes), upsample)


def attribution_rows(
    subject: Subject,
    view: View,
    run: Run,
    methods: Sequence[Method],
    seed: int,
    upsample: Upsample,
    exact: Exact,
) -> Rows:
    """Returns rows by maps of the words of the classes in the image: the largest map wins.

    The control of each method are the same maps, swapped between classes.
    """
    words, vlm = subject.words, subject.vlm
    assert words is not None
    assert vlm is not None
    pieces = dict(zip(words.places, words.ids, strict=True))
    chosen = [place for place in view.present if place in pieces]
    if len(chosen) < 2:
        return []
    goals = [resolve(run, Target.token(pieces[place], "logit"), exact) for place in chosen]
    order = shuffled(len(chosen), seed)
    rows: Rows = []
    for method in methods:
        layers = method.layers_of(vlm)
        layer = layers[len(layers) // 2]
        heats = [method(run, goal, layer=layer, seed=seed) for goal in goals]
        maps = np.stack([heat.values for heat in heats])[:, view.placed]
        errors = [heat.completeness for heat in heats if heat.completeness is not None]
        name = "" if layer is None else f"decoder.{layer}"
        for swapped, scores in ((False, maps), (True, maps[order])):
            counts = view.counts(scores, chosen, 0, upsample)
            row = _row(view, method.name, name, WITHOUT, PRESENT, counts, swapped)
            rows.append(row | {COMPLETENESS: max(errors, default=None)})
    return rows


def bound_rows(view: View) -> Rows:
    """Returns the content of locations, which bounds every label map, and their majority labels."""
    location, label = np.nonzero(view.cells)
    rows: list[dict[str, Any]] = [
        {
            "kind": TOP_DOWN,
            "method": BOUND,
            "classes": [view.name(one) for one in label.tolist()],
            "there": view.cells[location, label].tolist(),
            "locations": location.tolist(),
            "seen": view.seen,
        }
    ]
    for rule, cells in ((TRUTH, view.cells), (WITHOUT, view.foreground)):
        labels = cells.argmax(1)
        # Without a class, any of them will do: none of the location's pixels counts.
        labels = labels if rule == TRUTH else np.maximum(labels, 1)
        rows.append(_row(view, MAJORITY, "", rule, ALL, counts_of(cells, labels)))
    return rows


def classification_row(subject: Subject, vector: np.ndarray, view: View) -> Record | None:
    """Whether the prompt most similar to the whole image names one of its objects.

    Args:
        subject: the model.
        vector: vector of the image, in the space of texts.
        view: the image.

    Returns:
        The row; None for an image without an object of the classes.
    """
    assert subject.texts is not None
    truth = {label - 1 for label in np.unique(view.labels).tolist() if 0 < label <= view.n_classes}
    if not truth:
        return None
    best = int((subject.texts.classes @ vector).argmax())
    return {
        "kind": CLASSIFICATION,
        "method": "text",
        "layer": "image",
        "correct": best in truth,
        "chance": len(truth) / view.n_classes,
    }


def _row(
    view: View,
    method: str,
    layer: str,
    background: str,
    candidates: str,
    counts: Counts,
    is_control: bool = False,
) -> dict[str, Any]:
    labels = np.flatnonzero(counts.any(1))
    right, predicted, there = counts[labels].T.tolist()
    return {
        "kind": TOP_DOWN,
        "method": method,
        "is_control": is_control,
        "layer": layer,
        "background": background,
        "candidates": candidates,
        "classes": [view.name(label) for label in labels.tolist()],
        "right": right,
        "predicted": predicted,
        "there": there,
        "seen": view.seen,
    }
