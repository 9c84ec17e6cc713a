"""The study: resumable, the encoder untouched, controls where they belong, bad input refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import retinoscope as rs
from retinoscope.data import squares
from retinoscope.encoders import load
from retinoscope.encoders.captions import TRAIN_SEED
from retinoscope.errors import InputError
from retinoscope.studies import PROBE_TASKS, Probe, open_results
from retinoscope.studies._untrained import untrained_encoder
from retinoscope.studies.probe import setup
from retinoscope.studies.probe.cases import drawn_cases

ONE, OTHER = "planted:one-hot-patch", "planted:global-broadcast"
TASKS = ("name", "size", "color", "present", "foreground", "instances")


@pytest.fixture(scope="module")
def encoder():
    return load(ONE)


@pytest.fixture(scope="module")
def probed(encoder, tmp_path_factory):
    """A run with all its controls."""
    told: list[tuple[int, int, str]] = []
    study = Probe(encoder, squares(50), tasks=TASKS, layers=("projector",), seeds=2)
    before = encoder.checksum()
    results = study.run(
        tmp_path_factory.mktemp("probe") / "run", lambda *progress: told.append(progress)
    )
    assert encoder.checksum() == before
    assert any("features of" in what for _, _, what in told)
    return results


def _rows(results, **where):
    rows = results.summary().to_pylist()
    return [row for row in rows if all(row[key] == value for key, value in where.items())]


def test_a_run_has_every_layer_and_its_controls(probed) -> None:
    rows = _rows(probed)
    assert {row["task"] for row in rows} == set(TASKS) - {"color", "size"}
    named = {row["encoder"] for row in rows}
    assert named == {ONE, f"{ONE}, untrained", "pixels"}
    for row in rows:
        assert row["value_low"] <= row["value"] <= row["value_high"]
        assert (row["n_seeds"] == 2) == (row["kind"] == "encoder")
        controlled = row["kind"] == "encoder" and PROBE_TASKS[row["task"]].controlled
        assert (row["control"] is not None) == controlled
        assert (row["shuffled"] is not None) == controlled
        own = [one for one in rows if one["task"] == row["task"] and one["kind"] != "pixels"]
        assert len({one["n_parameters"] for one in own}) == 1, "heads of one size"
    (name,) = _rows(probed, task="name", measure="class_accuracy", encoder=ONE)
    assert name["value"] == 1
    assert name["shuffled_low"] < name["chance"] + 0.1
    # A square's name is its colour: a random label for each is as easy to learn as the name.
    assert name["control"] > 0.7
    (inside,) = _rows(probed, task="foreground", measure="iou", encoder=ONE)
    assert inside["value"] == inside["bound"] == 1
    assert 0.2 < inside["constant"] < 0.4


def test_the_facts_say_what_was_done(probed) -> None:
    facts = json.loads((probed.path / "probe.json").read_text("utf-8"))
    assert sum(facts["images"][name] for name in ("train", "val", "test")) == 50
    for one in facts["encoders"]:
        assert one["checksum"]["before"] == one["checksum"]["after"]
    whys = {(one["task"], one["why"]) for one in facts["left_out"]}
    assert ("size", "fewer than two classes with positives") in whys
    assert ("color", "fewer than two classes with positives") in whys
    assert facts["width"] == min(
        width
        for one in facts["encoders"]
        if one["kind"] == "encoder"
        for width in one["layers"].values()
    )


def test_a_control_with_one_kind_of_case_is_undefined(encoder, tmp_path) -> None:
    alike = [
        replace(one, objects=tuple(replace(obj, name="thing") for obj in one.objects))
        for one in squares(40)
    ]
    study = Probe(encoder, alike, tasks=("relation",), layers=("projector",), seeds=1)
    (row,) = _rows(study.run(tmp_path / "run"), kind="encoder", measure="accuracy")
    assert row["value"] is not None
    assert row["shuffled"] is not None
    assert (row["control"], row["selectivity"]) == (None, None)


def test_scenes_of_the_training_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="on which no encoder was trained"):
        Probe("small:mae", rs.data.scenes(20, TRAIN_SEED)).run(tmp_path / "run")


@pytest.mark.parametrize("spec", [f"simulated:4:{TRAIN_SEED}", f"color:simulated:4:{TRAIN_SEED}"])
def test_a_seed_inside_the_datas_name_is_seen(spec: str) -> None:
    for samples in (rs.sources.open_source(spec), list(rs.sources.open_source(spec)[:2])):
        with pytest.raises(InputError, match=f"seed {TRAIN_SEED}"):
            rs.encoders.check_unseen(["small:mae"], samples)
    rs.encoders.check_unseen(["small:mae"], rs.sources.open_source("simulated:4:3", TRAIN_SEED))
    rs.encoders.check_unseen(["pocket"], rs.sources.open_source(spec))


def test_an_untrained_copy_sees_images_of_the_same_size() -> None:
    large = load("small:mae", enlarge=2)
    fresh = untrained_encoder(large, 0)
    assert fresh.layers == large.layers
    image = rs.data.scenes(1)[0].image
    np.testing.assert_array_equal(fresh.features(image).boxes, large.features(image).boxes)


def test_rare_answers_stay_among_the_cases_that_are_drawn() -> None:
    label = np.zeros((50, 2), bool)
    label[:49, 0] = True
    label[7, 1] = True
    kept = drawn_cases(label, 5, np.random.default_rng(0))
    assert 5 <= len(kept) <= 7
    assert all(len(np.unique(label[kept, k])) == 2 for k in range(2))
    names = drawn_cases(np.array([0] * 49 + [3]), 5, np.random.default_rng(0))
    assert 49 in names


def test_pairs_are_told_apart_only_where_the_interval_excludes_0(encoder, tmp_path) -> None:
    study = Probe(
        encoder,
        squares(50),
        encoders=(OTHER,),
        tasks=("name", "present", "foreground"),
        layers=("projector",),
        seeds=1,
        controls=False,
    )
    rows = study.run(tmp_path / "run").extras()["comparison"].to_pylist()
    assert {(row["a"], row["b"]) for row in rows} == {(ONE, OTHER)}
    for row in rows:
        assert row["difference"] == pytest.approx(row["a_value"] - row["b_value"])
        outside = row["difference_low"] > 0 or row["difference_high"] < 0
        assert (row["verdict"] in ("higher", "lower")) == outside
    found = {(row["task"], row["measure"]): row["verdict"] for row in rows}
    assert found["foreground", "iou"] == found["name", "accuracy"] == "higher"
    assert found["present", "map"] == "not told apart", "both hold all names"


def test_an_interrupted_run_ends_in_the_same_bytes(encoder, tmp_path) -> None:
    def study() -> Probe:
        return Probe(
            encoder,
            squares(30),
            tasks=("name", "foreground"),
            layers=("projector",),
            seeds=2,
            controls=False,
        )

    whole = study().run(tmp_path / "whole")

    def stop(done: int, total: int, what: str) -> None:
        if "projector: foreground, seed 0" in what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study().run(tmp_path / "cut", stop)
    with pytest.raises(InputError, match="not finished"):
        _ = open_results(tmp_path / "cut")
    # The second time nothing is left but to write what is made of all probes.
    for _ in range(2):
        again = study().run(tmp_path / "cut")
        for name in ("results.parquet", "probe.json", "examples.json"):
            assert (again.path / name).read_bytes() == (whole.path / name).read_bytes()
    with pytest.raises(InputError, match="another run"):
        replace(study(), seed=5).run(tmp_path / "cut")


def test_a_probe_that_fails_is_one_row_and_can_be_tried_again(
    encoder, tmp_path, monkeypatch
) -> None:
    study = Probe(
        encoder,
        squares(30),
        tasks=("name", "foreground"),
        layers=("vision.0", "projector"),
        seeds=1,
        controls=False,
    )
    whole = study.run(tmp_path / "whole")
    fitted = setup.probe_locations

    def failing(task, dense, gathered, *given):
        if gathered.width == width:
            raise MemoryError("no room")
        return fitted(task, dense, gathered, *given)

    facts = json.loads((whole.path / "probe.json").read_text("utf-8"))
    width = facts["encoders"][0]["layers"]["projector"]
    monkeypatch.setattr(setup, "probe_locations", failing)
    results = study.run(tmp_path / "run")
    ((failed, error),) = results.failures()
    assert failed == f"{ONE} projector: foreground, seed 0"
    assert "no room" in error
    monkeypatch.undo()
    assert study.run(tmp_path / "run").failures() == [(failed, error)]
    again = study.run(tmp_path / "run", retry_failed=True)
    assert again.table.to_pylist() == whole.table.to_pylist()
    assert (again.path / "probe.json").read_bytes() == (whole.path / "probe.json").read_bytes()


class _Broken:
    """Squares, one of them with a mask of another size."""

    def __init__(self, n: int, bad: int) -> None:
        self.squares, self.bad = squares(n), bad

    def __len__(self) -> int:
        return len(self.squares)

    def __getitem__(self, index: int):
        sample = self.squares[index]
        if index == self.bad:
            wrong = replace(sample.objects[0], mask=np.ones((3, 3), bool))
            return replace(sample, objects=(wrong,))
        return sample


def test_a_bad_sample_is_one_row_and_the_others_go_on(encoder, tmp_path) -> None:
    study = Probe(
        encoder,
        _Broken(30, 4),  # type: ignore[arg-type]
        tasks=("name",),
        layers=("projector",),
        seeds=1,
        controls=False,
    )
    results = study.run(tmp_path / "run")
    ((sample, error),) = results.failures()
    assert sample == "squares-0-4"
    assert "image's size 48x48" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ("tea",)}, "tasks of name, color"),
        ({"tasks": ("name", "name")}, "different tasks"),
        ({"tasks": ()}, "at least one"),
        ({"layers": ("vision.99",)}, r"layers of vision\.0.*got 'vision\.99'"),
        ({"classes": ("apple", "bird")}, "class list"),
        ({"samples": squares(6)}, "at least 10 different images"),
        ({"samples": []}, "empty data set"),
        ({"vlm": None}, "None: load it"),
        ({"exact": "reference"}, "no interventions"),
        ({"locations": 3}, "locations from 100 up"),
        ({"seeds": 0}, "seeds from 1 up"),
        ({"tasks": ("parts",)}, "at least one of parts"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(encoder, tmp_path, options, message) -> None:
    given = {"vlm": encoder, "samples": squares(12), "layers": ("projector",)} | options
    # Numbers are checked where they are given, the rest before anything is written.
    with pytest.raises(InputError, match=message):
        Probe(**given).run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_encoder_twice_is_refused(encoder, tmp_path) -> None:
    with pytest.raises(InputError, match="twice"):
        Probe(encoder, squares(12), encoders=(encoder,)).run(tmp_path / "run")


def test_the_public_name() -> None:
    assert rs.studies.Probe is Probe
