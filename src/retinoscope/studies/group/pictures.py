"""Pictures of single images for the report: truth, labels and groups by location."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from ...data import Sample
from ...encoders import Features
from ...grouping import group
from ...store import Json
from .._categories import BACKGROUND, TRUTH, Categories
from .._executor import Example
from .._training_runs import run_columns
from .image_rows import GroupingTask
from .subjects import JOINT, Subject
from .top_down import QUESTION
from .view import View


def picture_of(
    sample: Sample,
    asked: GroupingTask,
    subject: Subject,
    features: Mapping[str, Features],
) -> Example:
    """Returns the facts "classes" by label, "truth" (a PNG of labels in base64), "boxes", "labels"
    (method -> label of each location, 0 the background; "majority" is the truth) and "groups"
    (grouping and layer -> group of each location). The report shows those listed in "shown".
    """
    name = JOINT if JOINT in features else list(features)[-1]
    view = View.on(sample, asked.classes, features[name])
    labels: dict[str, Json] = {"majority": view.cells.argmax(1).tolist()}
    if subject.texts is not None:
        joint = features[JOINT][JOINT][view.placed].astype(np.float64)
        scores = subject.texts.classes @ joint.T
        labels["text"] = (1 + scores.argmax(0)).tolist()
        if subject.texts.background is not None:
            behind = (subject.texts.background @ joint.T).max(0)
            won = behind > scores.max(0)
            labels["text, with background prompts"] = np.where(
                won, 0, 1 + scores.argmax(0)
            ).tolist()
    shown: list[Json] = [method for method in labels if method != "majority"]
    if subject.vlm is not None and subject.words is not None and subject.words.ids:
        lens = _lens_labels(subject, sample, view)
        labels |= lens
        layers = [*lens]
        # The middle layer and the last.
        shown += dict.fromkeys([*layers[len(layers) // 2 :][:1], *layers[-1:]])
    groups: dict[str, Json] = {}
    for layer, of_layer in features.items():
        if of_layer.boxes.shape == features[name].boxes.shape:
            values = of_layer[layer][view.placed]
            for kind in asked.groupings:
                found = group(values, kind, asked.n_groups, asked.seed)
                groups[f"{kind}, {layer}"] = found.tolist()
                shown += [f"{kind}, {layer}"] if layer == name else []
    return Example(
        {
            "sample": sample.id,
            "model": subject.name,
            **run_columns(subject.encoder),
            "size": list(sample.image.size),
            "grid": None if view.grid is None else list(view.grid),
            "boxes": [[float(edge) for edge in box] for box in view.boxes],
            "sets": {},
            "classes": list(asked.classes),
            "truth": _png(view.labels),
            "labels": labels,
            "groups": groups,
            "shown": shown,
        },
        sample.image,
    )


def _lens_labels(subject: Subject, sample: Sample, view: View) -> dict[str, Json]:
    vlm, words = subject.vlm, subject.words
    assert vlm is not None
    assert words is not None
    run = vlm.run(vlm.prompt(sample.image, QUESTION))
    place = {box.tobytes(): k for k, box in enumerate(np.asarray(run.image.boxes, np.float64))}
    order = [place.get(np.asarray(box, np.float64).tobytes()) for box in view.boxes]
    if any(k is None for k in order):
        return {}
    positions = [run.image.positions[k] for k in order if k is not None]
    probs = run.lens(top_k=1, positions=positions).prob(list(words.ids)).double().cpu().numpy()
    by_layer: dict[str, Json] = {}
    labels = 1 + np.array(words.places)
    for layer in range(len(probs[0])):
        scores = probs[:, layer]
        won = 1 - scores.sum(0) > scores.max(0)
        by_layer[f"lens, decoder.{layer}"] = np.where(won, 0, labels[scores.argmax(0)]).tolist()
    return by_layer


def categories_of(facts: Mapping[str, Any]) -> list[Categories]:
    """Returns the labels and groups of one picture, for the microscope."""
    boxes = np.array(facts["boxes"], np.float64).reshape(-1, 4)
    grid = None if facts["grid"] is None else (facts["grid"][0], facts["grid"][1])
    labels = {name: row for name, row in facts["labels"].items() if name != "majority"}
    categories: list[Categories] = []
    if labels:
        values = np.array([*labels.values(), facts["labels"]["majority"]], np.int64)
        categories.append(
            Categories(
                f"labels from text, {facts['model']}",
                (BACKGROUND, *facts["classes"]),
                (*labels, TRUTH),
                values,
                boxes,
                grid,
                "The class whose word or prompt fits each location best.",
            )
        )
    if facts["groups"]:
        values = np.array(list(facts["groups"].values()), np.int64)
        categories.append(
            Categories(
                f"groups without text, {facts['model']}",
                tuple(f"group {k + 1}" for k in range(int(values.max()) + 1)),
                tuple(facts["groups"]),
                values,
                boxes,
                grid,
                "Locations whose features go together; the numbers mean nothing.",
            )
        )
    return categories


def _png(labels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(labels.astype(np.uint8)).save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
