"""Training runs of one objective are one encoder, whose interval is also over them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.studies.tabled import tabled

N = 60


def _rows(
    name: str, run: int | None, right: float, layer: str = "vision.1", val: float = 0.5
) -> list[dict]:
    """One probe of names with two classes, right in so many cases."""
    encoder = name if run is None else f"{name}/{run}"
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
                "objective": None if run is None else name,
                "training_seed": run,
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
    found = tabled("probe", [row for part in rows for row in part], "comparison")
    return [row for row in found if row["measure"] == "accuracy"]


def _averaged(rows: list[dict]) -> list[dict]:
    return [row for row in tabled("probe", rows, "groups") if row["measure"] == "accuracy"]


def test_encoders_that_are_no_training_runs_stand_alone() -> None:
    rows = [*_rows("mae", 0, 0.9), *_rows("mae", 12, 0.9), *_rows("org/1", None, 0.9)]
    found = [(row["encoder"], row["n_runs"]) for row in _averaged(rows)]
    assert found == [("mae", 2), ("org/1", 1)]
    whole = [row["encoder"] for row in tabled("probe", rows) if row["measure"] == "accuracy"]
    assert whole == ["mae/0", "mae/12", "org/1"]


def test_runs_that_agree_are_told_apart_and_runs_that_do_not_are_not() -> None:
    same = _compared(
        *(_rows("a", k, 0.9) for k in range(3)), *(_rows("b", k, 0.6) for k in range(3))
    )
    (row,) = same
    assert (row["a"], row["b"], row["a_runs"], row["b_runs"]) == ("a", "b", 3, 3)
    assert row["verdict"] == "higher"
    # As much apart on average, and more between the runs of one than between the two.
    wide = _compared(
        *(_rows("a", k, right) for k, right in enumerate((1.0, 0.9, 0.8))),
        *(_rows("b", k, right) for k, right in enumerate((1.0, 0.8, 0.0))),
    )
    assert wide[0]["verdict"] == "not told apart"
    assert wide[0]["difference_high"] - wide[0]["difference_low"] > 2 * (
        row["difference_high"] - row["difference_low"]
    )


def test_the_layer_is_chosen_by_validation_and_one_for_all_runs() -> None:
    rows = [
        *_rows("a", 0, 0.2, "vision.0", val=0.9),
        *_rows("a", 1, 0.2, "vision.0", val=0.6),
        *_rows("a", 0, 1.0, "vision.1", val=0.1),
        *_rows("a", 1, 1.0, "vision.1", val=0.7),
        *_rows("b", None, 0.5),
    ]
    (row,) = _compared(rows)
    assert (row["a_layer"], row["b_layer"]) == ("vision.0", "vision.1")
    assert row["verdict"] == "lower", "whatever the test images would have chosen"


def test_the_mean_over_runs_has_their_spread() -> None:
    (row,) = _averaged([*_rows("a", 0, 0.6), *_rows("a", 1, 0.9)])
    single = [
        one["value"] for k, right in ((0, 0.6), (1, 0.9)) for one in _averaged(_rows("a", k, right))
    ]
    assert row["value"] == pytest.approx(np.mean(single))
    assert row["run_sd"] == pytest.approx(np.std(single, ddof=1))
    assert (row["n_runs"], row["encoder"]) == (2, "a")
    assert row["value_low"] < min(single) + 0.05
    assert row["value_high"] > max(single) - 0.05
