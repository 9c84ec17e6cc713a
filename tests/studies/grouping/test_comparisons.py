"""Encoders compared by seed: the table of aggregation, and objects on other grounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from retinoscope.data import grounded, squares
from retinoscope.data.scenes import AT_HOME
from retinoscope.encoders import Encoder, Features, TwoTower, load
from retinoscope.encoders.comparison import OBJECTIVES
from retinoscope.errors import InputError
from retinoscope.sources import open_source
from retinoscope.studies import SpuriousGround, aggregation_specs, grounded_specs
from retinoscope.studies.group.aggregation import REFERENCE
from retinoscope.studies.spurious.study import KINDS
from tests.studies.tabled import tabled


def _row(
    objective: str | None, seed: int | None, sample: int, right: int, correct: bool
) -> list[dict]:
    told = {"sample": f"s{sample}", "model": f"{objective}/{seed}", "weights": "trained"}
    told |= {"objective": objective, "training_seed": seed}
    labels = {"kind": "top-down", "method": "text", "is_control": False, "background": "none"}
    labels |= {"candidates": "all", "classes": ["car", "cup"], "right": [right, right]}
    labels |= {"predicted": [10, 10], "there": [10, 10]}
    return [
        told | labels,
        told | {"kind": "classification", "method": "text", "correct": correct},
        told | {"kind": "bottom-up", "method": "kmeans", "layer": "joint", "best": 0.5, "n": 1},
    ]


def test_the_table_is_paired_over_images_and_seeds() -> None:
    rows = []
    for seed, better in ((0, 8), (1, 6)):
        for sample in range(20):
            rows += _row("contrastive-max", seed, sample, better, sample % 2 == 0)
            rows += _row("contrastive-class", seed, sample, better - 3, sample % 2 == 0)
    found = {
        (row["objective"], row["measure"]): row for row in tabled("group", rows, "aggregation")
    }
    labels = found["contrastive-max", "mean IoU of labels from text"]
    assert labels["value"] == pytest.approx((8 / 12 + 6 / 14) / 2)
    assert labels["against"] == "contrastive-class"
    ours = [(b / (20 - b) - (b - 3) / (23 - b)) for b in (8, 6)]
    assert labels["difference"] == pytest.approx(np.mean(ours))
    assert (labels["difference_low"], labels["difference_high"]) == pytest.approx(
        (min(ours), max(ours))
    )
    assert labels["paper"] == 0.329
    accuracy = found["contrastive-max", "accuracy"]
    assert accuracy["value"] == 0.5
    assert accuracy["difference"] == accuracy["difference_low"] == 0
    assert found["contrastive-class", "accuracy"]["difference"] is None
    assert (accuracy["seeds"], accuracy["images"]) == (2, 20)


def test_models_that_are_no_seeds_make_no_table() -> None:
    assert tabled("group", _row(None, None, 0, 5, True), "aggregation") == []


def test_each_objective_is_compared_with_its_own_start() -> None:
    for name, reference in REFERENCE.items():
        own = OBJECTIVES[name]
        change = {"kept": 1.0} if own.kept < 1 else {"aggregation": "class"}
        assert replace(own, **change, what="") == replace(OBJECTIVES[reference], what="")
    assert {*REFERENCE, *REFERENCE.values()} == {
        name for name, one in OBJECTIVES.items() if one.kind == "contrastive"
    }


class Reader(TwoTower):
    """Reads the ground alone, or the object alone, whatever the other is."""

    locating = "nowhere"

    def __init__(self, reads: str, samples) -> None:
        self.name = f"reader of the {reads}"
        self.encoder: Encoder = load("planted:blind")
        self._reads, self._known = reads, []
        for sample in samples:
            target = sample.objects[sample.meta["target"]]
            inner = target.mask.copy()
            # Edges are blended with the ground.
            for axis in (0, 1):
                for step in (-2, 2):
                    inner &= np.roll(target.mask, step, axis)
            self._known.append((inner, np.asarray(sample.image, int)[inner], target.name))

    @property
    def fingerprint(self) -> str:
        return self.name

    def prompts(self, names: Sequence[str]) -> list[str]:
        return list(names)

    def text(self, texts: Sequence[str]) -> np.ndarray:
        return np.eye(len(KINDS))[[KINDS.index(text) for text in texts]]

    def image(self, image) -> np.ndarray:
        pixels = np.asarray(image, int)
        if self._reads == "ground":
            blue = pixels[..., 2].mean() > pixels[..., 0].mean()
            return self.text([AT_HOME["water" if blue else "land"][0]])[0]
        far = [np.abs(pixels[mask] - own).mean() for mask, own, _ in self._known]
        return self.text([self._known[int(np.argmin(far))][2]])[0]

    def locations(self, image) -> Features:
        raise NotImplementedError


def test_a_reader_of_grounds_and_a_reader_of_objects_are_told_apart(tmp_path) -> None:
    samples = grounded(8, seed=5, correlation=None)
    towers = [Reader(reads, samples) for reads in ("ground", "object")]
    results = SpuriousGround(towers[0], samples, encoders=(towers[1],)).run(tmp_path / "run")
    assert results.errors() == []
    found = {
        (row["objective"], row["measure"]): row["value"]
        for row in results.summary().to_pylist()
        if row["group"] == "side"
    }
    ground = {key: value for (name, key), value in found.items() if name == towers[0].name}
    assert ground == {"matched": 1, "mismatched": 0, "gap": 1, "worst group": 0}
    thing = {key: value for (name, key), value in found.items() if name == towers[1].name}
    assert thing == {"matched": 1, "mismatched": 1, "gap": 0, "worst group": 1}
    assert results.n_rows == 2 * 2 * 8, "each scene on both grounds"


def test_other_data_and_other_folders_are_refused(tmp_path) -> None:
    reader = Reader("ground", grounded(1, correlation=None))
    with pytest.raises(InputError, match="grounded:N"):
        SpuriousGround(reader, squares(2)).run(tmp_path / "run")
    for specs in (aggregation_specs, grounded_specs):
        with pytest.raises(InputError, match="train encoders"):
            specs(str(tmp_path))
    assert open_source("grounded:6").fingerprint == grounded(6, correlation=None).fingerprint
