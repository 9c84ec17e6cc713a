"""Training runs of one objective are one encoder, whose interval is also over them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from retinoscope.studies.probe.compare import average_probes, compare_probes, group_of

N = 60


def _rows(encoder: str, right: float, layer: str = "vision.1", val: float = 0.5) -> list[dict]:
    """One probe of names with two classes, right in so many cases."""
    rng = np.random.default_rng(3)
    rows = []
    for image in range(N):
        hit = int(rng.random() < right)
        rows.append(
            {
                "sample": f"s{image:02d}",
                "task": "name",
                "encoder": encoder,
                "kind": "encoder",
                "of": encoder,
                "place": 0,
                "layer": layer,
                "depth": 0,
                "labels": "true",
                "seed": 0,
                "content": "counts",
                "classes": [0, 1],
                "right": [hit, 0],
                "said": [hit, 1 - hit],
                "there": [1, 0],
                "head": "linear",
                "n_parameters": 10,
                "n_train": 5,
                "val": val,
                "n_classes": 2,
            }
        )
    return rows


def _compared(*rows: list[dict]) -> list[dict]:
    table = pa.Table.from_pylist([row for part in rows for row in part])
    found = compare_probes(table).to_pylist()
    return [row for row in found if row["measure"] == "accuracy"]


def test_seeds_of_training_are_not_part_of_a_name() -> None:
    assert [group_of(name) for name in ("mae/0", "mae/12", "small:mae", "org/model")] == [
        *("mae", "mae", "small:mae"),
        "org/model",
    ]


def test_runs_that_agree_are_told_apart_and_runs_that_do_not_are_not() -> None:
    same = _compared(
        *(_rows(f"a/{k}", 0.9) for k in range(3)), *(_rows(f"b/{k}", 0.6) for k in range(3))
    )
    (row,) = same
    assert (row["a"], row["b"], row["a_runs"], row["b_runs"]) == ("a", "b", 3, 3)
    assert row["verdict"] == "higher"
    # As much apart on average, and more between the runs of one than between the two.
    wide = _compared(
        *(_rows(f"a/{k}", right) for k, right in enumerate((1.0, 0.9, 0.8))),
        *(_rows(f"b/{k}", right) for k, right in enumerate((1.0, 0.8, 0.0))),
    )
    assert wide[0]["verdict"] == "not told apart"
    assert wide[0]["difference_high"] - wide[0]["difference_low"] > 2 * (
        row["difference_high"] - row["difference_low"]
    )


def test_the_layer_is_chosen_by_validation_and_one_for_all_runs() -> None:
    rows = [
        *_rows("a/0", 0.2, "vision.0", val=0.9),
        *_rows("a/1", 0.2, "vision.0", val=0.6),
        *_rows("a/0", 1.0, "vision.1", val=0.1),
        *_rows("a/1", 1.0, "vision.1", val=0.7),
        *_rows("b", 0.5),
    ]
    (row,) = _compared(rows)
    assert (row["a_layer"], row["b_layer"]) == ("vision.0", "vision.1")
    assert row["verdict"] == "lower", "whatever the test images would have chosen"


def test_the_mean_over_runs_has_their_spread() -> None:
    table = pa.Table.from_pylist([*_rows("a/0", 0.6), *_rows("a/1", 0.9)])
    (row,) = (r for r in average_probes(table).to_pylist() if r["measure"] == "accuracy")
    single = [
        r["value"]
        for k, right in ((0, 0.6), (1, 0.9))
        for r in average_probes(pa.Table.from_pylist(_rows(f"a/{k}", right))).to_pylist()
        if r["measure"] == "accuracy"
    ]
    assert row["value"] == pytest.approx(np.mean(single))
    assert row["run_sd"] == pytest.approx(np.std(single, ddof=1))
    assert (row["n_runs"], row["encoder"]) == (2, "a")
    assert row["value_low"] < min(single) + 0.05
    assert row["value_high"] > max(single) - 0.05
