"""The comparison of heat maps: on planted models, by hand, and its leaderboard."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import retinoscope as rs
from retinoscope.answers.tasks import PromptOptions
from retinoscope.errors import IntegrationWarning
from retinoscope.reporting import write_report
from retinoscope.saliency import METHODS, HeatMap, Target, resolve
from retinoscope.stats import maps
from retinoscope.studies import AttributionLocalisation, Results, Study, TokenAblation, open_results
from retinoscope.studies.attend.options import BASELINES
from retinoscope.studies.attend.scores import baseline, scores
from retinoscope.studies.attend.summary import MEASURES
from retinoscope.studies.attend.targets import explained
from tests.studies.tabled import tabled

ONE = PromptOptions(max_objects=1, max_questions=1, absent=False)
FEW = ("attention", "chefer", "knockout-effect")


def study(vlm: rs.VLM, samples: Any, **options: Any) -> AttributionLocalisation:
    settings = {"methods": FEW, "prompts": ONE, "score": "logit", "controls": 1} | options
    return AttributionLocalisation(vlm, samples, **settings)


@pytest.fixture(scope="module")
def direct() -> rs.VLM:
    return rs.load("planted:direct")


@pytest.fixture(scope="module")
def results(direct: rs.VLM, tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("attend") / "run"
    return study(direct, rs.data.squares(4)).run(folder)


def test_rows_of_every_method_layer_and_control(results: Results) -> None:
    rows = results.table.to_pylist()
    trained = [row for row in rows if row["weights"] == "trained"]
    per_target = 4 + 1 + 1 + len(BASELINES)
    assert len(trained) == 4 * per_target
    assert len(rows) - len(trained) == 6, "the untrained copy on one image, without baselines"
    for row in rows:
        assert row["error"] is None
        assert row["task"] == "generative"
        assert row["area"] == pytest.approx(4 / 36)
    with_curves = {row["sample"] for row in rows if row["insertion"] is not None}
    assert len(with_curves) == 1
    # Blocks without any attention to the image have a constant map: undefined, with a reason.
    idle = [row for row in trained if row["method"] == "attention" and row["layer"] == 0]
    assert all(row["pointing"] is None and row["mass"] is None for row in idle)
    assert all(row["reason"] == "the map adds up to 0; the map is constant" for row in idle)


@pytest.mark.parametrize("kind", ["attend", "ablation"])
def test_integrations_that_do_not_add_up_are_counted(
    direct: rs.VLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """In the rows, the results and the report, and not by a warning for each."""
    made: dict[str, Study] = {
        "attend": study(direct, rs.data.squares(2), methods=("integrated-gradients",)),
        "ablation": TokenAblation(
            direct,
            rs.data.squares(2),
            tasks=("generative",),
            conditions=("object", "gradient"),
            sizes=(5,),
            gradient_steps=2,
        ),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error", IntegrationWarning)
        monkeypatch.setattr("retinoscope.tokens._integrated.COMPLETE", -1.0)
        found = made[kind].run(tmp_path / "run")
    errors = [row["completeness"] for row in found.table.to_pylist()]
    told = sum(error is not None for error in errors)
    assert told
    assert told < len(errors)
    assert found.incomplete == (told, told)
    assert f"{told} of {told} rows" in write_report(tmp_path / "run").read_text("utf-8")
    monkeypatch.setattr("retinoscope.tokens._integrated.COMPLETE", 1e9)
    assert open_results(tmp_path / "run").incomplete == (0, told)


def test_the_mechanism_is_found_where_it_is_planted(results: Results) -> None:
    found = {
        (row["method"], row["layer"]): row
        for row in results.summary().to_pylist()
        if row["weights"] == "trained"
    }
    # Exact effects and relevancy lie on the object; raw attention reads all patches alike.
    for method in ("knockout-effect", "chefer"):
        # Between the centres of boxes some of it lies beside the object.
        assert found[method, None]["mass"] > 0.75
        assert found[method, None]["pointing"] == 1
        assert found[method, None]["difference"] > 0.5
        assert found[method, None]["insertion"] > 0.9 > 0.1 > found[method, None]["deletion"]
    assert found["attention", 2]["n_undefined"] == 4, "even attention is a constant map"
    assert found["attention", 2]["mass"] == pytest.approx(4 / 36, abs=1e-3)
    assert found["random", None]["ap"] < 0.4
    assert set(MEASURES) <= set(results.summary().column_names)


def test_the_leaderboard_orders_methods_and_pairs_them_with_the_best(results: Results) -> None:
    rows = results.extras()["leaderboard"].to_pylist()
    ap = [row for row in rows if row["measure"] == "ap"]
    assert [row["place"] for row in ap] == list(range(len(ap)))
    values = [row["value"] for row in ap]
    assert values == sorted(values, reverse=True)
    best = ap[0]
    assert best["method"] == best["best"]
    assert best["behind"] is None
    last = next(row for row in ap if row["method"] == "random")
    assert last["behind"] == pytest.approx(last["value"] - best["value"])
    # All four images say so; no test of four can reject at 5%, so there is no interval.
    assert (last["behind_p"], last["behind_high"]) == (2 / 2**4, None)


def test_it_goes_on_where_it_stopped(direct: rs.VLM, results: Results, tmp_path: Path) -> None:
    samples = rs.data.squares(4)

    def stop(done: int, total: int, what: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study(direct, samples).run(tmp_path / "run", stop)
    again = study(direct, samples).run(tmp_path / "run")
    assert again.table.equals(results.table)
    assert (
        open_results(tmp_path / "run")
        .extras()["leaderboard"]
        .equals(results.extras()["leaderboard"])
    )


def test_examples_hold_the_maps(results: Results) -> None:
    example = results.examples()[0]
    assert len(example["maps"]) == 4 + 1 + 1 + len(BASELINES)  # type: ignore[arg-type]
    first: Any = example["maps"][0]  # type: ignore[index]
    assert (first["method"], first["layer"], len(first["values"])) == ("attention", 0, 36)


def test_all_three_tasks_are_explained_at_the_right_place(direct: rs.VLM) -> None:
    sample = rs.data.squares(1)[0]
    tasks = ("generative", "polling", "question")
    found = explained(direct, sample, tasks, PromptOptions(absent=True), "logit", 16)
    assert [one.item for one in found] == list(range(len(found)))
    named = [one for one in found if one.task == "generative"]
    assert [one.label for one in named] == [obj.name for obj in sample.objects]
    said = direct.run(direct.prompt(sample.image, named[0].text)).generate(16)
    for one in found:
        goal = one.goal(direct, sample, "incremental")
        assert goal.score == "logit"
        if one.task == "generative":
            # What is explained is what the model chose there.
            assert goal.run.logits.argmax() == goal.ids[0]
            assert goal.text == repr(one.label)
            assert one.continuation == tuple(said.token_ids.tolist()[: len(one.continuation)])
        if one.task == "polling":
            assert goal.text == "'yes' minus 'no'"


def test_scores_are_those_of_the_pixels() -> None:
    edges = [(x, y, x + 4.0, y + 4.0) for y in (0.0, 4.0) for x in (0.0, 4.0)]
    heat = HeatMap(Image.new("RGB", (8, 8)), np.array(edges), np.array([3, 1, -1, 0.0]), "m", "t")
    mask = np.zeros((8, 8), bool)
    mask[:3, :3] = True
    found = scores(heat, mask, ~mask)
    pixels = heat.pixels()
    assert found["pointing"] == maps.pointing_game(pixels, mask).value
    assert found["mass"] == pytest.approx(np.maximum(pixels, 0)[mask].sum() / pixels.clip(0).sum())
    assert found["ap"] == maps.average_precision(pixels, mask).value
    assert found["shuffled_mass"] == pytest.approx(1 - float(found["mass"] or 0))
    assert found["area"] == 9 / 64
    assert found["reason"] is None
    assert scores(heat, mask, None).keys() == {
        key for key in found if not key.startswith("shuffled")
    }


def test_baselines_look_at_no_model() -> None:
    edges = [(x, y, x + 4.0, y + 4.0) for y in (0.0, 4.0, 8.0) for x in (0.0, 4.0, 8.0)]
    boxes = np.array([*edges, (math.nan,) * 4])
    like = HeatMap(Image.new("RGB", (12, 12)), boxes, np.zeros(10), "m", "t")
    centre = baseline("centre", like, 0, "a")
    assert centre.values.argmax() == 4
    assert centre.values[9] == 0
    assert centre.values[4] == 1
    noise = [baseline("random", like, seed, name).values for seed, name in ((0, "a"), (0, "b"))]
    assert not np.array_equal(*noise)
    assert np.array_equal(noise[0], baseline("random", like, 0, "a").values)


def row(sample: str, method: str, layer: int | None, ap: float | None) -> Mapping[str, Any]:
    blank = dict.fromkeys(MEASURES)
    return blank | {
        "sample": sample,
        "item": 0,
        "error": None,
        "task": "generative",
        "weights": "trained",
        "method": method,
        "layer": layer,
        "ap": ap,
        "pointing": ap,
        "shuffled_ap": 0.1,
        "area": 0.1,
    }


def leaders(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in tabled("attend", rows, "leaderboard") if one["measure"] == "ap"]


def test_a_layer_is_judged_on_images_that_did_not_choose_it() -> None:
    """Layer 0 is best on samples a and c, layer 1 on b and d: each counts where it lost."""
    rows = []
    for sample, first in (("a", True), ("b", False), ("c", True), ("d", False)):
        rows.append(row(sample, "attention", 0, 0.9 if first else 0.2))
        rows.append(row(sample, "attention", 1, 0.3 if first else 0.8))
        rows.append(row(sample, "chefer", None, 0.5))
    ap = leaders(rows)
    assert [one["method"] for one in ap] == ["chefer", "attention"]
    assert ap[1]["value"] == pytest.approx((0.3 + 0.2 + 0.3 + 0.2) / 4)
    assert ap[1]["layers"] == "0, 1"
    assert ap[1]["behind"] == pytest.approx(-0.25)
    assert ap[0]["above"] == pytest.approx(0.4)


def test_of_equal_layers_the_first_counts_however_their_sums_are_rounded() -> None:
    # Added in these orders their means are 0.5666666666666667 and 0.5666666666666668.
    down, up = (0.5, 0.9, 0.3), (0.3, 0.5, 0.9)
    rows = [
        row(sample, "attention", layer, value)
        for half in ("ace", "bdf")
        for layer, values in ((0, down), (1, up))
        for sample, value in zip(half, values, strict=True)
    ]
    assert leaders(rows)[0]["layers"] == "0"


def test_undefined_maps_are_counted_and_in_no_mean() -> None:
    rows = [row(sample, "attention", None, ap) for sample, ap in (("a", 0.4), ("b", None))]
    rows += [row(sample, "chefer", None, ap) for sample, ap in (("a", 0.3), ("b", 0.9))]
    (first, second) = tabled("attend", rows)
    assert (first["method"], first["ap"], first["n"], first["n_undefined"]) == (
        *("attention", 0.4),
        *(2, 1),
    )
    assert second["ap"] == pytest.approx(0.6)
    ap = leaders(rows)
    assert [(one["method"], one["n"], one["n_undefined"]) for one in ap] == [
        ("chefer", 2, 0),
        ("attention", 1, 1),
    ]
    assert ap[1]["behind"] == pytest.approx(0.1), "only where both are defined"


def test_an_object_outside_the_image_that_the_model_sees_is_a_row_with_its_error(
    direct: rs.VLM, tmp_path: Path, without_mask: Any
) -> None:
    samples = rs.data.squares(2)
    broken = [without_mask(samples[0], 0), samples[1]]
    found = study(direct, broken, methods=("attention",), controls=0).run(tmp_path / "run")
    ((sample, error),) = found.errors()
    assert sample == samples[0].id
    assert "mask is empty" in error
    assert found.summary().num_rows


def test_refusals(direct: rs.VLM, tmp_path: Path) -> None:
    samples = rs.data.squares(1)
    for options, message in (
        ({"methods": ("tea-leaves",)}, "got 'tea-leaves'"),
        ({"layers": (9,)}, "layers from 0 to 3 for attention, got 9"),
        ({"layers": (4,), "methods": ("attention",)}, "layers from 0 to 3 for attention, got 4"),
        ({"layers": (1, 9)}, "layers from 0 to 3 for attention, got 9"),
        ({"tasks": ("poetry",)}, "got 'poetry'"),
        ({"tasks": ()}, "got none"),
        ({"score": "odds"}, "got 'odds'"),
        ({"controls": -1}, "controls from 0 up"),
        ({"curve_steps": 0}, "curve_steps from 1 up"),
        ({"methods": ("rise",), "steps": {"rise": 0}}, "steps from 1 up"),
        ({"steps": 5}, "expected a method that takes a number of them, got attention, chefer"),
        ({"methods": ("gradient-input",), "layers": (1,)}, "expected a method that takes a layer"),
        ({"steps": {"rise": 9}}, "expected a method that takes a number of them, got"),
    ):
        with pytest.raises(rs.InputError, match=message):
            study(direct, samples, **options).run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_number_of_steps_is_for_all_methods_that_take_some(direct: rs.VLM) -> None:
    one = study(direct, rs.data.squares(1), methods=("attention", "smooth-grad", "rise"), steps=9)
    assert one._parameters()["steps"] == {"smooth-grad": 9, "rise": 9}


def test_methods_that_the_model_does_not_allow(
    direct: rs.VLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = direct.capabilities.refusing("gradients", "they are switched off here")
    monkeypatch.setattr(direct, "capabilities", refusing)
    one = study(direct, rs.data.squares(1), methods=())
    assert one._asked.methods == [
        *("attention", "rollout", "lens-probability", "knockout-effect", "ablation-effect"),
        *("rise", "occlusion"),
    ]
    with pytest.raises(rs.CapabilityError, match="switched off here"):
        study(direct, rs.data.squares(1)).run(tmp_path / "run")


def test_a_sure_model_has_hardly_any_slope_in_a_log_probability(direct: rs.VLM) -> None:
    """Why `--score logit` is there: the gradient of log 1 is 0."""
    sample = rs.data.squares(1)[0]
    run = direct.run(direct.prompt(sample.image, sample.questions[0].question))
    index = int(run.logits.argmax())
    sure, logit = (resolve(run, Target.token(index, s)) for s in ("log-probability", "logit"))  # type: ignore[arg-type]
    slopes = [METHODS["chefer"](run, goal).values.max() for goal in (sure, logit)]
    assert slopes[1] > 1
    assert slopes[0] < 0.02 * slopes[1]
