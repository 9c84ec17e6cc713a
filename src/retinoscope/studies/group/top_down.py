"""Labels of locations from text: cosine, lens and attribution, as counts against the masks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ...grouping import counts_of, shuffled, text_scores
from ...saliency import Exact, Method, Target, resolve
from .._executor import Rows
from .._map_options import COMPLETENESS
from .._tables import Cell
from .subjects import JOINT, Subject, Texts
from .view import Counts, Upsample, View

if TYPE_CHECKING:
    from ...engine import Run

WITH, WITHOUT, REST, TRUTH = "prompts", "none", "rest", "truth"
"""What becomes of the background: prompts for it compete; its pixels do not count; it has what the
classes' words leave of the probability; it is a class like others."""
ALL, PRESENT = "all", "present"
"""Which classes compete: all of the list, or those that are in the image."""
TOP_DOWN, CLASSIFICATION = "top-down", "classification"
BOUND, MAJORITY = "bound", "majority"
QUESTION = "What is in this image?"

Scores = Float[np.ndarray, "label location"]


def packed(view: View, counts: Counts) -> str:
    """Counts by class as JSON ("" is the background), without what is not there nor predicted."""
    kept = {view.name(label): row.tolist() for label, row in enumerate(counts) if row.any()}
    return json.dumps(kept, separators=(",", ":"), ensure_ascii=False)


def packed_cells(view: View) -> str:
    """Pixels by class at each location as JSON; locations without any are left out."""
    rows = [
        {view.name(label): int(row[label]) for label in np.flatnonzero(row).tolist()}
        for row in view.cells
        if row.any()
    ]
    return json.dumps(rows, separators=(",", ":"), ensure_ascii=False)


def text_rows(
    subject: Subject, view: View, locations: np.ndarray, seed: int, upsample: Upsample
) -> Rows:
    """Cosine with prompts; beside it every class with another one's prompt."""
    texts = subject.texts
    assert texts is not None
    every = range(view.n_classes)
    rows: Rows = []
    pairs: list[tuple[str, Texts]] = [("text", texts)]
    if subject.weights == "trained" and view.n_classes > 1:
        pairs.append(("text, shuffled", texts.swapped(seed)))
    for method, vectors in pairs:
        scores = _joint_scores(locations, vectors.classes)
        rows.append(
            _row(view, method, JOINT, WITHOUT, ALL, view.counts(scores, every, 0, upsample))
        )
        if vectors.background is not None:
            # Each prompt by itself: the largest of interpolated scores is not that of the largest.
            behind = _joint_scores(locations, vectors.background)
            with_it = np.concatenate([behind, scores])
            counts = view.counts(with_it, every, len(behind), upsample)
            rows.append(_row(view, method, JOINT, WITH, ALL, counts))
    return rows


def _joint_scores(locations: np.ndarray, vectors: np.ndarray) -> Scores:
    """Dot products with text vectors of length 1, after the checks of `text_scores`.

    A location's length is the same for all classes, so the largest is the same as of the cosine;
    and interpolated dot products are those of interpolated features.
    """
    text_scores(locations, vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float64) @ locations.astype(np.float64).T


def lens_rows(
    subject: Subject, view: View, run: Run, seed: int, upsample: Upsample, restricted: bool
) -> Rows:
    """Probability of class words in the lens, by layer; beside it words that are swapped."""
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
        ours, behind = probs[:, layer], rest[:, layer]
        name = f"decoder.{layer}"
        for method, scores in (("lens", ours), ("lens, shuffled", ours[order])):
            if method != "lens" and (subject.weights != "trained" or len(words.ids) < 2):
                continue
            counts = view.counts(scores, words.places, 0, upsample)
            rows.append(_row(view, method, name, WITHOUT, ALL, counts))
            counts = view.counts(np.concatenate([behind, scores]), words.places, 1, upsample)
            rows.append(_row(view, method, name, REST, ALL, counts))
        rows += _present(view, "lens", name, ours, words.places, upsample) if restricted else []
    for row in rows:
        row["left_out"] = ", ".join(words.left_out) or None
    return rows


def _present(
    view: View, method: str, layer: str, scores: Scores, places: Sequence[int], upsample: Upsample
) -> Rows:
    """Only the classes in the image compete; of images with one class all would be right."""
    inside = [k for k, place in enumerate(places) if place in view.present]
    if len(inside) < 2:
        return []
    chosen = [places[k] for k in inside]
    counts = view.counts(scores[inside], chosen, 0, upsample)
    return [_row(view, method, layer, WITHOUT, PRESENT, counts)]


def text_present_rows(
    subject: Subject, view: View, locations: np.ndarray, upsample: Upsample
) -> Rows:
    """As `text_rows`, where only the classes in the image compete."""
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
    """Maps of the words of the classes in the image: each location goes to the largest.

    Beside each method the same maps, given to one another's classes.
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
        for told, scores in ((method.name, maps), (f"{method.name}, shuffled", maps[order])):
            counts = view.counts(scores, chosen, 0, upsample)
            row = _row(view, told, name, WITHOUT, PRESENT, counts)
            rows.append(row | {COMPLETENESS: max(errors, default=None)})
    return rows


def bound_rows(view: View) -> Rows:
    """What each location shows, which bounds every label map; and the most frequent label there."""
    rows: Rows = [
        {"kind": TOP_DOWN, "method": BOUND, "cells": packed_cells(view), "seen": view.seen}
    ]
    for rule, cells in ((TRUTH, view.cells), (WITHOUT, view.foreground)):
        labels = cells.argmax(1)
        # Where no class is, any of them: none of its pixels counts.
        labels = labels if rule == TRUTH else np.maximum(labels, 1)
        rows.append(_row(view, MAJORITY, "", rule, ALL, counts_of(cells, labels)))
    return rows


def classification_row(subject: Subject, vector: np.ndarray, view: View) -> dict[str, Cell] | None:
    """Whether the prompt most similar to the whole image names one of its objects.

    Args:
        vector: of the image, in the space of texts.

    Returns:
        None for an image without an object of the classes.
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
    view: View, method: str, layer: str, background: str, candidates: str, counts: Counts
) -> dict[str, Cell]:
    return {
        "kind": TOP_DOWN,
        "method": method,
        "layer": layer,
        "background": background,
        "candidates": candidates,
        "counts": packed(view, counts),
        "seen": view.seen,
    }
