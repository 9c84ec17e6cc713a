"""What frozen towers know in linear form, measured on held-out scenes.

A tower must know kinds before an interface is built on it: an interface cannot tell what its tower
does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import nn
from transformers import Blip2VisionModel

from ...interfaces import to_pixels, tower_tokens
from ...stats import resampled_ratio
from ._held_out import HeldOut
from ._probes import PROBES, Features, Probe, fitted, scored

KINDS_GATE = 0.8
"""Least linear recall of kinds of the contrastive tower."""

_BATCH = 50
_RESAMPLES = 2000
_LEVEL = 0.95
_LOOK = 800
"""Scenes of the quick measurement while a stage runs; a quarter of them judges."""


def gate(towers: Mapping[str, Blip2VisionModel], scenes: HeldOut, n_fit: int) -> dict[str, Any]:
    """Asks every probe of every tower.

    Args:
        towers: "contrastive", "mae" and others to compare them with.
        scenes: held-out scenes; probes are fitted on the first `n_fit` and judged on the others.

    Returns:
        As JSON types: "probes", each with the value and the ends of its interval for each tower
        and for the difference "mae - contrastive" (95% over scenes; of the differences all
        together, by Bonferroni); "kinds_known", whether the contrastive tower passes the gate; and
        "mae_better_in", the probes whose difference favours the MAE tower.
    """
    features = {name: tower_features(tower, scenes.images) for name, tower in towers.items()}
    probes: dict[str, Any] = {}
    better = []
    for name, probe in PROBES.items():
        asked = {tower: _asked(probe, known, scenes, n_fit) for tower, known in features.items()}
        gap = asked["mae"] - asked["contrastive"]
        all_together = 1 - (1 - _LEVEL) / len(PROBES)
        probes[name] = {
            "what": probe.what,
            "towers": {tower: _interval(draws, _LEVEL) for tower, draws in asked.items()},
            "mae - contrastive": _interval(gap, all_together),
        }
        _, low, high = probes[name]["mae - contrastive"]
        if high < 0 if probe.score == "distance" else low > 0:
            better.append(name)
    return {
        "fit_scenes": n_fit,
        "test_scenes": len(scenes) - n_fit,
        "probes": probes,
        "kinds_known": probes["kinds"]["towers"]["contrastive"][0] >= KINDS_GATE,
        "mae_better_in": better,
    }


def kinds_recall(tower: nn.Module, scenes: HeldOut) -> float:
    """A quick measurement of the linear recall of kinds, on the first scenes."""
    few = scenes.first(_LOOK)
    return float(
        _asked(PROBES["kinds"], tower_features(tower, few.images), few, len(few) * 3 // 4)[0]
    )


@torch.inference_mode()
def tower_features(tower: Any, images: UInt8[np.ndarray, "n side side 3"]) -> Features:
    """Returns a tower's tokens for every image."""
    batches = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
    return np.concatenate([tower_tokens(tower, to_pixels(batch)).numpy() for batch in batches])


def _asked(
    probe: Probe, features: Features, scenes: HeldOut, n_fit: int
) -> Float[np.ndarray, " value_then_draw"]:
    """Returns a probe's score on the test scenes, then its scores on resamples of them."""
    rows = probe.rows(features, scenes)
    ridge, penalty = fitted(rows.of(rows.scene < n_fit))
    test = rows.of(rows.scene >= n_fit)
    predicted = ridge.predict(test.features, penalty)
    top, bottom, scene = scored(probe.score, predicted, test, ridge.middle)
    draws = resampled_ratio(top, bottom, scene, _RESAMPLES)
    values = np.concatenate([[top.sum() / bottom.sum()], draws])
    return 1 - values if probe.score == "r2" else values


def _interval(values: Float[np.ndarray, " value_then_draw"], level: float) -> list[float]:
    low, high = np.quantile(values[1:], [(1 - level) / 2, (1 + level) / 2])
    return [round(float(value), 4) for value in (values[0], low, high)]


def gate_lines(found: Mapping[str, Any]) -> list[str]:
    """What `gate` found, in a line per probe, and the verdict."""
    lines = []
    for probe in found["probes"].values():
        values = (f"{tower} {value[0]:.3f}" for tower, value in probe["towers"].items())
        lines.append(f"{probe['what']}: {', '.join(values)}")
    known = "passes" if found["kinds_known"] else "does not pass"
    better = ", ".join(found["mae_better_in"]) or "nothing"
    return [*lines, f"the contrastive tower {known} the gate; the MAE tower is better in {better}"]
