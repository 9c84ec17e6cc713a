"""Timing, limits and conditions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks._bench import (
    Measure,
    Timing,
    Way,
    alternate,
    equality,
    options_for,
    write_json,
)
from benchmarks._conditions import (
    Hide,
    Remove,
    Scene,
    paper_ablations,
    paper_knockouts,
    single_layer_knockouts,
)
from benchmarks._limits import counting, of_ablations, of_clean, of_knockout
from benchmarks._models import SHAPES, make_model, make_setup
from benchmarks._where import inside

SMALL = ("--size", "small", "--repeats", "2", "--threads", "1")
SCENE = Scene(600, tuple(range(3, 579)), 24)


def test_ways_take_turns_and_units_are_spread() -> None:
    calls: list[str] = []
    ways = {
        "a": Way(lambda unit: calls.append(f"a{unit}")),
        "b": Way(lambda unit: calls.append(f"b{unit}"), units=8, per_round=2),
    }
    timings = alternate(ways, options_for("", "knockouts", SMALL), warm=False)
    assert calls == ["a0", "b0", "b2", "b4", "b6", "a0"]
    assert (timings["b"].units, timings["b"].distinct, len(timings["b"].seconds)) == (8, 4, 4)


def test_a_whole_is_the_median_unit_times_their_number() -> None:
    timing = Timing((1.0, 9.0, 2.0), (0.5, 0.5, 0.5), units=10, distinct=3)
    assert timing.total == 20
    assert timing.total_without == 15


def test_what_is_set_aside_is_the_time_inside_a_module() -> None:
    class Slow(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.matrix_power(x, 50)

    slow, x = Slow(), torch.rand(300, 300)
    way = Way(lambda _: (slow(x), slow(x)))
    timing = alternate({"a": way}, options_for("", "knockouts", SMALL), [slow])["a"]
    for seconds, aside in zip(timing.seconds, timing.aside, strict=True):
        assert 0.5 * seconds < aside < seconds


def test_nested_modules_and_exceptions_count_once() -> None:
    class Outer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.inner(x).shape[0] == 2:
                raise KeyError
            return x

    outer = Outer()
    with inside([outer, outer.inner]) as spent:
        outer(torch.rand(1, 4))
        once = spent.seconds
        with pytest.raises(KeyError):
            outer(torch.rand(2, 4))
        assert spent.depth == 0
    assert 0 < once < spent.seconds
    assert not outer._forward_hooks


def test_a_floor_is_met_or_not() -> None:
    assert Measure("", 3.0, at_least=3.0).met
    assert not Measure("", 2.9, at_least=3.0).met
    assert Measure("", 2.0, at_most=2.0).met
    assert Measure("", 2.0).met is None


def test_unequal_results_end_the_benchmark() -> None:
    logits = torch.rand(3, 9)
    assert equality(logits, logits, 1e-4)["same_argmax"] == 3
    with pytest.raises(SystemExit, match="nothing was timed"):
        equality(logits + 0.1, logits, 1e-4)
    with pytest.raises(SystemExit):
        equality(logits * torch.nan, logits, 1e-4)


def test_results_are_written_whole(tmp_path: Path) -> None:
    path = write_json(tmp_path / "new" / "a.json", {"x": 1})
    assert json.loads(path.read_text("utf-8")) == {"x": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"x": float("nan")})
    assert json.loads(path.read_text("utf-8")) == {"x": 1}


def test_the_papers_conditions() -> None:
    knockouts = paper_knockouts(SCENE, 32)
    assert len(knockouts) == 36
    # Layer-blocks of the six windows, as in the released code.
    assert sum(len(one.layers) for one in knockouts) == 6 * 83
    assert len(knockouts[-1].source) * len(knockouts[-1].target) == 13_248
    assert len(single_layer_knockouts(SCENE, 30)) == 240
    assert [len(SCENE.object(grown)) for grown in range(3)] == [16, 36, 64]
    sizes = [len(one.positions) for one in paper_ablations(SCENE)]
    assert len(sizes) == 18
    assert sizes[4:11] == [5, 10, 20, 40, 60, 100, 250]


def test_the_fewest_pairs_by_hand() -> None:
    # One row from layer 1 of 4 on.
    assert of_knockout(Hide("", (2,), (9,), (1,)), 10, 4) == 3
    # Row 5 in layer 1, rows 5 to 9 in layer 2, the last position in layer 3.
    assert of_knockout(Hide("", (2,), (5,), (1,)), 10, 4) == 1 + 5 + 1
    # Positions 3 to 7 of the image, and 2 and 3 of text; 3 blocks, then one position each.
    assert of_ablations([Remove("", (3, 6))], [10, 11], 8, 4) == (5 + 2 + 3) * 3 + 2
    assert of_clean([10, 11], 8, 4) == (8 + 2 + 3) * 4


def test_the_7b_shape_is_llavas() -> None:
    small = options_for("", "knockouts", SMALL)
    model = make_model(SHAPES["7b"], replace(small, device="meta", dtype="bfloat16"))
    assert sum(p.numel() for p in model.parameters()) / 1e9 == pytest.approx(7.06, abs=0.01)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_counted_rows_of_a_plain_pass_are_all_rows() -> None:
    setup = make_setup(options_for("", "knockouts", SMALL))
    blocks = setup.model.model.language_model.layers
    embeds = torch.rand(2, 5, setup.shape.width)
    with counting(blocks) as counted:
        setup.model.model.language_model(inputs_embeds=embeds)
    assert counted.token_layers == 2 * 5 * setup.shape.layers
