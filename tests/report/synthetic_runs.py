"""Run directories with made-up numbers, in the schema that the studies write."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from retinoscope.store import RunDirectory, new_manifest
from retinoscope.studies.token_sets import NOTHING, OBJECT, RING_1, RING_2, NamedSet

GRID, SIDE, LAYERS = 12, 144, 8
NAMES = ("car", "fish", "tree", "mushroom", "key", "boat")
WINDOWS = {
    "early": (0, 2),
    "early-mid": (1, 3),
    "mid": (3, 4),
    "mid-late": (4, 5),
    "late": (5, 7),
    "all": (0, 7),
}

Rows = list[dict[str, object]]


def _bernoulli(rng: np.random.Generator, p: float) -> bool:
    return bool(rng.random() < p)


def ablation_rows(sample: str, rng: np.random.Generator, effect: bool = True) -> Rows:
    registers = NamedSet("registers")
    loss = {OBJECT: 0.8, RING_1: 0.93, RING_2: 0.95, registers: 0.06} if effect else {}
    sizes = {OBJECT: 11, RING_1: 25, RING_2: 43, registers: 5}
    rows: Rows = []
    for task in ("generative", "polling", "question"):
        for item in range(2):
            for mode in ("paper", "corrected"):
                base: dict[str, object] = {
                    "sample": sample,
                    "error": None,
                    "item": item,
                    "object": NAMES[item],
                    "task": task,
                    "kind": {"generative": "caption", "question": "color"}.get(task, task),
                    "question": "Describe this image.",
                    "answer": "yes" if task == "polling" else NAMES[item],
                    "mode": mode,
                    "fill": "mean",
                    "kept": None,
                    "baseline_correct": True,
                    "probability_before": 0.9,
                    "answer_before": NAMES[item],
                }

                def add(name: NamedSet, n: int, p: float, base: dict[str, object] = base) -> None:
                    right = not _bernoulli(rng, p)
                    after = {"probability_after": 0.8 * right, "answer_after": "tree"}
                    found = {**name.columns, "n_tokens": n, "correct": right}
                    rows.append(base | found | after)

                add(NamedSet(NOTHING), 0, 0.0)
                for name, n in sizes.items():
                    add(name, n, loss.get(name, 0.05))
                    if name != registers:
                        add(name.control, n, 0.05)
                for n in (5, 20, 60):
                    add(NamedSet("random", n_drawn=n), n, n / 300)
                    add(NamedSet("gradient", n_drawn=n), n, n / 130)
    return rows


def lens_rows(
    sample: str,
    rng: np.random.Generator,
    peak: float,
    half: float | None = None,
    lens: str = "logit",
) -> Rows:
    """`half` is the peak of tokens that are covered at least half; the same by default."""
    places = [("object", 0.0), ("object", 0.5), ("background", None)]
    places += [("shuffled", 0.0), ("shuffled", 0.5)]
    rows: Rows = []
    for weights in ("trained", "untrained"):
        for group, cover in places:
            for layer in range(LAYERS + 1):
                share = peak if half is None or cover != 0.5 else half
                share /= 1 + math.exp(-(layer - 4.5) * 1.6)
                share *= (group == "object") * (weights == "trained")
                n = 100 if group == "background" else 12 if cover == 0 else 6
                strict = int(rng.binomial(n, min(1.0, share + 0.01)))
                rows.append(
                    {
                        "sample": sample,
                        "error": None,
                        "item": 0,
                        "object": "car",
                        "color": "red",
                        "lens": lens,
                        "other_lens": None,
                        "layer": layer,
                        "group": group,
                        "cover": cover,
                        "weights": weights,
                        "n_tokens": n,
                        "strict": strict,
                        "lenient": min(n, strict + 1),
                        "colour": int(rng.binomial(n, 0.1)),
                        "any_kind": min(n, strict + 2),
                    }
                )
    return rows


def knockout_rows(sample: str, rng: np.random.Generator, effect: bool = True) -> Rows:
    kept = {RING_1: {"mid": 0.6, "mid-late": 0.5, "late": 0.9, "all": 0.3}} if effect else {}
    rows: Rows = []
    others = [NamedSet(name) for name in ("rest", "last-row", "question")]
    slides = [("sliding", (k, k + 2)) for k in (0, 3, 5)]
    for source in (OBJECT, RING_1, RING_2, *others, RING_1.control):
        name = source.token_set
        for target in ("last", "last-row", "question"):
            if name == target or (name, target) == ("question", "last-row"):
                continue
            for window, (start, stop) in (*WINDOWS.items(), *slides):
                p = kept.get(source, {}).get(window, 0.98) if target == "last" else 0.99
                right = _bernoulli(rng, p)
                rows.append(
                    {
                        "sample": sample,
                        "error": None,
                        "item": 0,
                        "object": "car",
                        "question": "What color is the car?",
                        "answer": "red",
                        "kind": "color",
                        "mode": "corrected",
                        **source.columns,
                        "target": target,
                        "window": window,
                        "first_layer": start,
                        "last_layer": stop,
                        "width": stop - start + 1,
                        "n_source": 25,
                        "n_edges": 25 * (stop - start + 1),
                        "baseline_correct": True,
                        "correct": right,
                        "probability_before": 0.9,
                        "probability_after": 0.9 * right,
                        "answer_before": "red",
                        "answer_after": "red" if right else "blue",
                    }
                )
    return rows


def _boxes() -> list[list[float]]:
    side = SIDE / GRID
    return [
        [c * side, r * side, (c + 1) * side, (r + 1) * side]
        for r in range(GRID)
        for c in range(GRID)
    ]


def _disc(row: int, column: int, radius: int) -> list[int]:
    return [
        r * GRID + c
        for r in range(GRID)
        for c in range(GRID)
        if max(abs(r - row), abs(c - column)) <= radius
    ]


def _picture() -> bytes:
    image = Image.new("RGB", (SIDE, SIDE), (203, 210, 190))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((24, 40, 62, 58), 6, (190, 40, 40))
    draw.ellipse((30, 54, 40, 64), (40, 40, 40))
    draw.ellipse((90, 84, 128, 108), (50, 90, 180))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _example(study: str, name: str) -> dict[str, object]:
    shared: dict[str, object] = {
        "sample": "scene-0",
        "size": [SIDE, SIDE],
        "grid": [GRID, GRID],
        "boxes": _boxes(),
        "image": "examples/00000-0.png",
        "question": "Describe this image.",
    }
    if study == "lens":
        words = {
            str(layer): [
                name if k in _disc(3, 3, 1) and layer > 3 else NAMES[(k * 7 + layer) % 6]
                for k in range(GRID * GRID)
            ]
            for layer in (0, 2, 4, 6, 8)
        }
        sets = {name: _disc(3, 3, 1), "fish": _disc(8, 9, 1)}
        return shared | {"sets": sets, "words": {"logit": words}}
    return shared | {
        "task": "generative",
        "object": name,
        "answer": name,
        "before": f"a red {name} and a blue fish.",
        "after": {
            RING_1.label: "a blue fish.",
            RING_1.control.label: f"a red {name} and a blue fish.",
        },
        "sets": {
            OBJECT.label: _disc(3, 3, 1),
            RING_1.label: _disc(3, 3, 2),
            RING_1.control.label: _disc(9, 3, 2),
        },
    }


def write_run(
    folder: Path,
    study: str,
    model: str,
    rows: Callable[[str, np.random.Generator], Rows],
    samples: int = 16,
    failing: tuple[str, ...] = (),
    object_name: str = "car",
) -> Path:
    manifest = new_manifest(
        study=study,
        parameters={"tasks": ["generative"], "fill": "mean"},
        model={"name": model, "fingerprint": f"{model}-0123456789abcdef"},
        data={"fingerprint": "fedcba9876543210", "samples": samples},
        seeds={"study": 0},
        dtype="float32",
        device="cpu",
        command=f"retinoscope {study} {model} scenes:{samples} --out runs/{study}",
    )
    with RunDirectory.open(folder, manifest, schema=1) as directory:
        columns = rows("", np.random.default_rng(0))[0].keys()
        for k in range(samples):
            name = f"scene-{k}"
            directory.write(f"{k:05d}", rows(name, np.random.default_rng([k, len(study)])))
        for k, error in enumerate(failing):
            empty = dict.fromkeys(columns) | {"sample": f"bad-{k}", "error": error}
            directory.write(f"bad-{k}", [empty])
        directory.write_file("examples/00000-0.png", _picture())
        text = json.dumps([_example(study, object_name)])
        directory.write_file("examples.json", text.encode())
        directory.finish()
    return folder


PEAKS = {"pocket": 0.7, "pocket-sentences": 0.08, "pocket-none": 0.02}


def write_demo(folder: Path) -> Path:
    write_run(folder / "pocket" / "ablation", "ablation", "pocket", ablation_rows)
    write_run(folder / "pocket" / "knockout", "knockout", "pocket", knockout_rows)
    for model, peak in PEAKS.items():
        write_run(
            folder / model / "lens",
            "lens",
            model,
            lambda sample, rng, peak=peak: lens_rows(sample, rng, peak),
            failing=("the mask is empty: give one with a pixel",) if model == "pocket" else (),
        )
    return folder
