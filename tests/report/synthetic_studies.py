"""Made-up rows of every further study, with an effect or none, in the schema that it writes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from synthetic_runs import Rows, ablation_rows, knockout_rows, lens_rows

Maker = Callable[[str, np.random.Generator], Rows]


def _near(rng: np.random.Generator, value: float) -> float:
    return float(np.clip(rng.normal(value, 0.05), 0, 1))


def flow_rows(sample: str, rng: np.random.Generator, effect: bool) -> Rows:
    kept = {"image:generated": 0.2} if effect else {}
    rows: Rows = []
    for edges, is_control in (
        *(("none", False), ("image:query", False)),
        *(("image:generated", False), ("image:generated", True)),
    ):
        f1 = _near(rng, 0.9 if is_control else kept.get(edges, 0.9))
        base: dict[str, object] = {"sample": sample, "error": None, "item": 0}
        base |= {"task": "description", "weights": "trained", "reading": "generated"}
        base |= {"edges": edges, "is_control": is_control, "layers": "all", "n_generated_keys": 3}
        base |= {"first_layer": 0, "last_layer": 7, "n_layers": 8, "n_edges": 40}
        base |= {"changed": True, "f1": f1, "precision": f1, "recall": f1}
        base |= {f"truth_{name}": 0.9 for name in ("f1", "precision", "recall")}
        base |= dict.fromkeys(
            ("correct_before", "correct_after", "probability_before", "probability_after")
        )
        rows.append(base | dict.fromkeys(("rank_before", "rank_after")))
    return rows


def look_rows(sample: str, rng: np.random.Generator, effect: bool) -> Rows:
    rows: Rows = []
    for kind in ("predicting", "word"):
        for layer in range(3):
            for head in (-1, 0):
                inside = _near(rng, 0.8 if effect and layer == 1 else 0.3)
                rows.append(
                    {"sample": sample, "error": None, "item": 0, "weights": "trained"}
                    | {"row": kind, "layer": layer, "head": head, "to_image": 0.5}
                    | {"inside": inside, "peak": inside, "chance": 0.1}
                    | {"shuffled_inside": _near(rng, 0.3), "shuffled_peak": 0.1}
                )
    return rows


def reprompt_rows(sample: str, rng: np.random.Generator, effect: bool) -> Rows:
    rows: Rows = []
    for selector, share in (
        *(("attention", 0.1), ("attention", 1.0)),
        *(("random", 0.1), ("naive", None)),
    ):
        right = 0.3 if selector == "random" or (share == 0.1 and not effect) else 0.95
        for item in range(2):
            rows.append(
                {"sample": sample, "error": None, "item": item, "selector": selector}
                | {"share": share, "correct": bool(rng.random() < right), "probability": right}
                | {"n_kept": 9, "union": 0.2, "n_context": 40, "n_visual": 144}
                | {"context_bytes": 100, "whole_bytes": 1000}
            )
    return rows


def attend_rows(sample: str, rng: np.random.Generator, effect: bool) -> Rows:
    rows: Rows = []
    found = {"lens-probability": 1.0, "chefer": 1.0} if effect else {}
    for method in ("lens-probability", "chefer", "attention", "random"):
        hit = float(rng.random() < found.get(method, 0.2))
        base: dict[str, object] = {"sample": sample, "error": None, "item": 0}
        base |= {"task": "generative", "weights": "trained", "method": method, "layer": None}
        base |= dict.fromkeys(("mass", "ap", "iou_best", "iou_area", "iou_otsu"), _near(rng, hit))
        base |= {"pointing": hit, "shuffled_pointing": float(rng.random() < 0.2)}
        base |= {"shuffled_mass": 0.1, "shuffled_ap": 0.1, "area": 0.1}
        rows.append(base | dict.fromkeys(("insertion", "deletion", "spearman", "completeness")))
    return rows


def alignment_rows(sample: str, rng: np.random.Generator, effect: bool) -> Rows:
    rows: Rows = []
    for condition in ("own", "other-text", "people", "centre"):
        ncc = _near(rng, {"own": 0.7 if effect else 0.3, "people": 0.9}.get(condition, 0.3))
        of_map = condition in ("own", "other-text")
        rows.append(
            {"sample": sample, "error": None, "item": 0, "provenance": "human"}
            | {"granularity": "word", "condition": condition, "reason": ""}
            | {"kind": "VLM" if of_map else None, "weights": "trained" if of_map else None}
            | {"method": "attention" if of_map else None, "layer": None, "ncc": ncc}
            | dict.fromkeys(("candidates", "preferred", "rank"))
        )
    return rows


def group_rows(sample: str, rng: np.random.Generator, effect: bool) -> Rows:
    """Bottom-up alone: groups of features against groups that know nothing of them."""
    nulls = ("random", "voronoi", "superpixels")
    rows: Rows = []
    for method in ("kmeans", *nulls, "bound"):
        best = _near(rng, {"kmeans": 0.8 if effect else 0.3, "bound": 0.95}.get(method, 0.3))
        rows.append(
            {"sample": sample, "error": None, "item": 0, "kind": "bottom-up", "model": "m"}
            | {"weights": "trained", "method": method, "layer": "vision.6", "part": "vision"}
            | {"layer_number": 6, "best": 2 * best, "matched": 2 * best, "n": 2}
            | {"n_undefined": 0, "n_groups": 4, "seen": 1.0}
            | dict.fromkeys(("background", "candidates", "is_control"))
        )
    return rows


def spurious_rows(sample: str, rng: np.random.Generator, effect: bool) -> Rows:
    rows: Rows = []
    for objective in ("grounded-max", "grounded-class"):
        for seed in range(3):
            for home in (True, False):
                fooled = not home and not (effect and objective == "grounded-max")
                right = bool(rng.random() < (0.3 if fooled else 0.95))
                rows.append(
                    {"sample": sample, "error": None, "item": 0}
                    | {"model": f"small:{objective}/{seed}", "objective": objective}
                    | {"training_seed": seed, "side": "land"}
                    | {"ground": "land" if home else "sea", "correct": right}
                    | {"side_correct": right}
                )
    return rows


def interfaces_rows(sample: str, rng: np.random.Generator, effect: bool) -> Rows:
    """Questions alone, of two interfaces: the second one cannot answer what the first one can."""
    rows: Rows = []
    for interface in ("projector", "qformer"):
        for item, measure in enumerate(("present", "absent", "color", "relation", "count")):
            right = 0.2 if effect and interface == "qformer" else 0.95
            rows.append(
                {"sample": sample, "error": None, "item": item, "interface": interface}
                | {"measure": measure, "size": "large", "answer": "red", "said": "red"}
                | {"score": float(rng.random() < right), "probability": right}
            )
    return rows


MAKERS: dict[str, Callable[[bool], Maker]] = {
    "ablation": lambda effect: lambda s, r: ablation_rows(s, r, effect),
    "lens": lambda effect: lambda s, r: lens_rows(s, r, 0.7 if effect else 0.0),
    "knockout": lambda effect: lambda s, r: knockout_rows(s, r, effect),
    "flow": lambda effect: lambda s, r: flow_rows(s, r, effect),
    "look": lambda effect: lambda s, r: look_rows(s, r, effect),
    "reprompt": lambda effect: lambda s, r: reprompt_rows(s, r, effect),
    "attend": lambda effect: lambda s, r: attend_rows(s, r, effect),
    "alignment": lambda effect: lambda s, r: alignment_rows(s, r, effect),
    "group": lambda effect: lambda s, r: group_rows(s, r, effect),
    "spurious": lambda effect: lambda s, r: spurious_rows(s, r, effect),
    "interfaces": lambda effect: lambda s, r: interfaces_rows(s, r, effect),
}
"""Study -> rows with an effect (True), or with none."""
