"""The best of several is judged on other images, and curves are corrected for their length."""

import math

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retinoscope.stats import cluster_share, half_of, holm, paired_difference, wilson
from retinoscope.store import ResultsScan
from retinoscope.studies import _parts
from retinoscope.studies._best import Candidates, CandidateSums
from retinoscope.studies._best import peak as peak_of
from retinoscope.studies.registry import columns_of, summaries_of
from retinoscope.studies.token_sets import RING_1
from tests.studies.tabled import tabled

LAYERS = Candidates(("layer",), label=lambda layer: f"layer {layer}")


def peak(candidates, ours, control, **options):
    """Of rows, in two frames."""
    sums = []
    for rows in (ours, control):
        sums.append(None if rows is None else CandidateSums(candidates))
        for some in () if rows is None else (rows[::2], rows[1::2]):
            sums[-1].add(some.with_columns(pl.col("sample").cast(pl.Categorical)), pl.col("value"))
    return peak_of(candidates, *sums, **options)


def _rows(values: np.ndarray) -> pl.DataFrame:
    """(images, layers) shares."""
    return pl.DataFrame(
        [
            {"sample": f"image {i}", "layer": layer, "value": float(value)}
            for i, row in enumerate(values)
            for layer, value in enumerate(row)
        ]
    )


def test_each_half_is_judged_at_the_layer_that_the_other_chose():
    names = [f"image {i}" for i in range(8)]
    side = half_of(names)
    first = np.array([side[name] == 0 for name in names])
    values = np.zeros((8, 3))
    values[first, 0], values[~first, 0] = 0.9, 0.15
    values[first, 2], values[~first, 2] = 0.2, 0.8
    found = peak(LAYERS, _rows(values), None)
    assert (found["place"], found["n_candidates"]) == ("layer 0", 3)
    # Half 0 is judged at layer 2, the best of half 1, and half 1 at layer 0.
    assert found["chosen"] == "layer 2; layer 0"
    assert found["value"] == pytest.approx((0.2 + 0.15) / 2)
    expected = cluster_share(np.where(first, 0.2, 0.15))
    ends = (found["value_low"], found["value_high"])
    assert ends == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_the_control_is_taken_at_the_same_places_and_paired():
    generator = np.random.default_rng(0)
    values = generator.uniform(0, 0.2, (12, 4))
    values[:, 1] += 0.7
    control = generator.uniform(0, 0.2, (12, 4))
    found = peak(LAYERS, _rows(values), _rows(control))
    assert found["chosen"] == "layer 1"
    difference = paired_difference(values[:, 1], control[:, 1])
    assert found["difference"] == pytest.approx(difference.value)
    assert found["difference_p"] == difference.p
    assert found["control"] == pytest.approx(control[:, 1].mean())


def test_a_flat_curve_has_no_peak_on_other_images():
    """33 layers of truth .25 on 12 images: the highest layer's own interval misses .25 often."""
    generator = np.random.default_rng(1)
    inside = naive = 0
    bias = []
    for _ in range(60):
        values = generator.binomial(12, generator.beta(2, 6, (12, 33))) / 12
        found = peak(LAYERS, _rows(values), None)
        inside += found["value_low"] <= 0.25 <= found["value_high"]
        bias.append(found["value"] - 0.25)
        best = cluster_share(values[:, values.mean(0).argmax()])
        naive += not best.excludes(0.25)
    assert inside / 60 >= 0.95 - 2.6 * math.sqrt(0.95 * 0.05 / 60)
    assert abs(np.mean(bias)) < 0.02
    assert naive < inside


def test_one_image_and_no_values_have_no_peak():
    found = peak(LAYERS, _rows(np.array([[0.1, 0.2]])), None)
    assert found == {"n_candidates": 2, "place": "layer 1"}
    empty = pl.DataFrame({"sample": ["a"], "layer": [0], "value": [None]})
    assert peak(LAYERS, empty, None) == {"n_candidates": 0}


def _knockout(n: int = 20) -> list[dict]:
    rows = []
    for i in range(n):
        for window in ("all", "early", "mid", "late"):
            for tokens in (RING_1, RING_1.control):
                hit = tokens == RING_1 and (window in ("all", "mid"))
                rows.append(
                    {
                        "sample": f"s{i}",
                        "item": 0,
                        "error": None,
                        **tokens.columns,
                        "target": "last",
                        "window": window,
                        "first_layer": 0,
                        "last_layer": 3,
                        "width": 4,
                        "n_source": 4,
                        "n_edges": 4,
                        "baseline_correct": True,
                        "correct": not hit,
                        "kind": "name",
                        "probability_before": 0.9,
                        "probability_after": 0.1 if hit else 0.9,
                    }
                )
    return rows


def test_the_window_that_matters_most_is_judged_beside_its_control():
    (row,) = tabled("knockout", _knockout(), "peaks")
    assert (row["windows"], row["place"], row["chosen"]) == ("named", "mid", "mid")
    assert row["n_candidates"] == 3, "all layers are no window"
    assert (row["value"], row["control"], row["difference"]) == (0, 1, -1)
    assert row["difference_p"] < 1e-4
    assert row["value_high"] == pytest.approx(wilson(0, 20).high)


def test_windows_are_corrected_together_and_their_band_is_wider():
    table = tabled("knockout", _knockout())
    rows = [row for row in table if not row["is_control"]]
    plain = [row["difference_p"] for row in rows]
    assert [row["difference_p_corrected"] for row in rows] == holm(plain)
    for row in rows:
        level = 1 - 0.05 / 4
        expected = wilson(round(20 * row["accuracy"]), 20, level)
        ends = (row["accuracy_band_low"], row["accuracy_band_high"])
        assert ends == pytest.approx((expected.low, expected.high))
    controls = [row for row in table if row["is_control"]]
    assert all(row["difference_p_corrected"] is None for row in controls)


def test_layers_are_corrected_together_at_each_cover():
    rows = [
        {
            "sample": f"s{i}",
            "item": 0,
            "error": None,
            "weights": "trained",
            "group": group,
            "cover": cover,
            "layer": layer,
            "n_tokens": 4,
            "lenient": None,
            "strict": 3 if layer == 2 and group == "object" else 0,
        }
        for i in range(8)
        for group, cover in (("object", 0.0), ("object", 0.5), ("background", None))
        for layer in range(4)
    ]
    table = tabled("lens", rows)
    curve = [row for row in table if row["cover"] == 0.5]
    assert [row["difference_p_corrected"] for row in curve] == [1, 1, 4 * 2 / 2**8, 1]


def test_looking_is_scanned_over_blocks_and_over_heads():
    rows = [
        {
            "sample": f"s{i}",
            "item": 0,
            "error": None,
            "weights": "trained",
            "row": "word",
            "layer": layer,
            "head": head,
            "shuffled_inside": 0.1,
            "inside": 0.9 if (layer, head) == (1, 0) else 0.2,
        }
        for i in range(8)
        for layer in range(3)
        for head in (-1, 0, 1)
    ]
    blocks, heads = tabled("look", rows, "peaks")
    assert (blocks["among"], blocks["n_candidates"]) == ("blocks", 3)
    assert (heads["chosen"], heads["n_candidates"]) == ("layer 1, head 0", 6)
    assert heads["difference"] == pytest.approx(0.8)


def test_parts_of_a_table_give_what_the_whole_gives(tmp_path, monkeypatch):
    """A curve whose rows are in several parts is corrected as a whole."""
    rows = _knockout(8)
    table = pa.Table.from_pylist(rows)
    file = tmp_path / "results.parquet"
    pq.write_table(table, file)
    monkeypatch.setattr(_parts, "BLOCK_ROWS", 10)
    main, extras = summaries_of("knockout")
    scan = ResultsScan(file, table.schema, table.num_rows)
    kinds = columns_of("knockout")
    cut = main.over(scan, kinds).to_pylist()
    peaks = extras["peaks"].over(scan, kinds).to_pylist()
    monkeypatch.undo()
    assert cut == tabled("knockout", rows)
    assert peaks == tabled("knockout", rows, "peaks")
