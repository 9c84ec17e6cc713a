"""The grouping study on models whose features are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

import retinoscope as rs
from retinoscope.data import class_names, squares
from retinoscope.encoders import Encoder, Features, TwoTower, load
from retinoscope.encoders.captions import TRAIN_SEED
from retinoscope.errors import InputError, StudyError
from retinoscope.studies import Grouping, open_results, read_categories
from retinoscope.studies.group.planted import LAYER, _label_directions
from retinoscope.studies.group.view import View

CLASSES = class_names(squares(1))
FAST = {"untrained": False, "attribution_images": 0, "groupings": ("kmeans",)}


class Planted(TwoTower):
    """Locations hold their label, and the prompt of a class is that label's direction."""

    locating = "the projector, less what it is without a label"

    def __init__(self, background: bool = True, alike: bool = False) -> None:
        self.name = "planted-tower"
        self.encoder: Encoder = load("planted:one-hot-patch")
        found, self._middle = _label_directions(squares(24), CLASSES)
        self._vectors = found / np.linalg.norm(found, axis=1, keepdims=True)
        self._background, self._alike = background, alike

    @property
    def fingerprint(self) -> str:
        return f"{self.encoder.fingerprint}-{self._background}-{self._alike}"

    def prompts(self, names: Sequence[str]) -> list[str]:
        return [f"a {name}" for name in names]

    def text(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self._one(text.split(" ", 1)[1]) for text in texts])

    def _one(self, name: str) -> np.ndarray:
        if name in CLASSES:
            return self._vectors[0 if self._alike else CLASSES.index(name)]
        if not self._background:
            raise InputError(f"unknown: {name}")
        # Nothing of any class, in a direction that a location without a label has.
        nothing = np.zeros_like(self._middle)
        nothing[-1] = 1.0
        return nothing

    def image(self, image) -> np.ndarray:
        found = self.locations(image)["joint"][:, :-1].sum(0)
        return np.append(found, 0.0) / np.linalg.norm(found)

    def locations(self, image) -> Features:
        plain = self.encoder.features(image, [LAYER])
        joint = plain[LAYER] - self._middle
        # The background prompt wins where no label is as long as this.
        joint[:, -1] = 0.5 * np.linalg.norm(joint, axis=1).max()
        return Features({"joint": joint}, plain.boxes, plain.grid, plain.size)


def _rows(results, **keys):
    return [
        row
        for row in results.summary().to_pylist()
        if all(row[name] == value for name, value in keys.items())
    ]


def test_text_that_matches_reaches_the_bound(tmp_path) -> None:
    results = Grouping(Planted(), squares(6), **FAST).run(tmp_path / "run")
    assert results.errors() == []
    for background in ("none", "prompts"):
        (row,) = _rows(results, kind="top-down", method="text", background=background)
        assert row["value"] == row["bound"] == 1
        assert row["control"] == "shuffled"
        assert row["control_value"] < 0.15
        assert row["difference_low"] > 0.8
        assert row["constant"] < 0.15
        assert row["n"] == 6
        assert row["seen"] == 1
    (named,) = _rows(results, kind="classification")
    assert named["value"] == 1
    assert named["control_value"] == pytest.approx(2.83 / 8, abs=0.1)
    (kmeans,) = _rows(results, kind="bottom-up", method="kmeans")
    assert kmeans["value"] == kmeans["matched"] == kmeans["bound"] == 1
    assert kmeans["control"] == "superpixels", "the strongest null, which colours decide here"
    assert kmeans["difference"] == 0
    nulls = {row["method"]: row["value"] for row in _rows(results, kind="bottom-up", control=None)}
    assert 0.15 < nulls["random"] < nulls["voronoi"] < nulls["superpixels"] == 1
    (one,) = [
        row
        for row in results.extras()["classes"].to_pylist()
        if (row["background"], row["is_control"], row["class"]) == ("prompts", False, "")
    ]
    assert one["iou"] == 1
    assert one["there"] == one["predicted"] == one["right"]


def test_a_text_tower_without_background_words_has_no_background_row(tmp_path) -> None:
    tower = Planted(background=False)
    results = Grouping(tower, squares(2), **FAST).run(tmp_path / "run")
    assert _rows(results, background="prompts") == []
    assert _rows(results, method="text", background="none")[0]["value"] == 1
    asked = Grouping(tower, squares(2), background=("sky",), **FAST)
    with pytest.raises(InputError, match="unknown: sky"):
        asked.run(tmp_path / "asked")


def test_a_vlm_is_asked_by_lens_and_attribution(tmp_path) -> None:
    vlm = rs.load("planted:one-hot-patch")
    study = Grouping(vlm, squares(3), attribution_images=2, groupings=("kmeans",), n_examples=1)
    results = study.run(tmp_path / "run")
    assert results.errors() == []
    lens = _rows(results, method="lens", weights="trained", candidates="all", layer="decoder.0")
    assert [row["background"] for row in lens] == ["none", "rest"]
    assert all(row["value"] == row["bound"] == 1 for row in lens)
    maps = _rows(results, candidates="present", weights="trained", control="shuffled")
    assert {row["method"] for row in maps} == {"chefer", "grad-cam", "gradient-input"}
    assert all(row["value"] > 0.95 > 0.3 > row["control_value"] for row in maps)
    assert {row["n"] for row in maps} == {2}
    untrained = _rows(results, method="lens", weights="untrained", candidates="all")
    assert max(row["value"] for row in untrained) < 0.5
    maps = read_categories(tmp_path / "run", squares(1)[0].id)
    assert [one.name.split(",")[0] for one in maps] == [
        "labels from text",
        "groups without text",
    ]
    assert maps[0].layers[-1] == "truth"
    truth, said = maps[0].values[-1], maps[0].values[0]
    assert (truth == said).all()


def test_bilinear_scores_are_those_of_interpolated_features(tmp_path) -> None:
    run = Grouping(Planted(), squares(3), upsample="bilinear", **FAST).run(tmp_path / "run")
    (row,) = _rows(run, kind="top-down", method="text", background="none")
    assert 0.9 < row["value"] <= 1


def test_interpolated_background_prompts_compete_one_by_one() -> None:
    sample = squares(1)[0]
    boxes = np.array([[0.0, 0.0, 24.0, 48.0], [24.0, 0.0, 48.0, 48.0]])
    view = View.of(sample, CLASSES, boxes, (1, 2))
    # Between the two places neither prompt is as near as the class is everywhere.
    scores = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.6]])
    counts = view.counts(scores, [0], 2, "bilinear")
    # Centres lie at 12 and 36: above 0.6 are the pixels up to 12 + 24 x 0.4.
    between = sum(21.6 < x + 0.5 < 26.4 for x in range(48))
    assert counts[:, 1].tolist() == [(48 - between) * 48, between * 48] + [0] * (len(CLASSES) - 1)
    assert view.counts(scores, [0], 2, "nearest")[0, 1] == 48 * 48


def test_an_interrupted_study_goes_on_to_the_same_results(tmp_path) -> None:
    whole = Grouping(Planted(), squares(4), **FAST).run(tmp_path / "whole")

    def stop(done: int, total: int, what: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    study = Grouping(Planted(), squares(4), **FAST)
    with pytest.raises(KeyboardInterrupt):
        study.run(tmp_path / "run", stop)
    with pytest.raises(InputError):
        open_results(tmp_path / "run")
    again = study.run(tmp_path / "run")
    assert (again.path / "results.parquet").read_bytes() == (
        whole.path / "results.parquet"
    ).read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"classes": ("apple", "cat")}, "expected classes of the data .* got 'cat'"),
        ({"classes": ("apple", "apple")}, "'apple' twice"),
        ({"groupings": ("dbscan",)}, "pc.* as each of groupings"),
        ({"n_groups": 0}, "n_groups from 1 up"),
        ({"attribution_images": -1}, "attribution_images from 0 up"),
        ({"methods": ("tea-leaves",)}, "expected methods of"),
        ({"layers": ("attic",)}, "expected layers of .* got 'attic'"),
        ({"encoders": ("planted:one-hot-patch", "planted:one-hot-patch")}, "twice"),
        ({"template": "a photo"}, "template"),
    ],
)
def test_options_that_cannot_work_are_refused(tmp_path, options, said) -> None:
    with pytest.raises(InputError, match=said):
        Grouping(Planted(), squares(2), **{**FAST, **options}).run(tmp_path / "run")


def test_prompts_that_are_alike_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="'apple' and 'bird'"):
        Grouping(Planted(alike=True), squares(2), **FAST).run(tmp_path / "run")


def test_images_whose_objects_no_location_shows_are_undefined(tmp_path) -> None:
    hidden = [replace(one, ignore=None, others=one.objects) for one in squares(2)]
    results = Grouping(Planted(), hidden, classes=CLASSES, **FAST).run(tmp_path / "run")
    (row,) = _rows(results, kind="bottom-up", method="kmeans")
    assert (row["value"], row["difference"], row["n"]) == (None, None, 0)
    assert row["n_undefined"] == sum(len(one.objects) for one in hidden)


def test_scenes_of_the_training_are_refused(tmp_path) -> None:
    seen = rs.data.scenes(2, TRAIN_SEED)
    with pytest.raises(InputError, match="on which no encoder was trained"):
        Grouping("small:contrastive-max", seen, **FAST).run(tmp_path / "run")


def test_bad_samples_are_rows_with_their_error(tmp_path) -> None:
    plain = list(squares(3))
    small = replace(plain[0].objects[0], mask=np.ones((5, 5), bool))
    bad = replace(plain[0], id="bad", objects=(small,))
    foreign = replace(plain[1], id="foreign", objects=(replace(plain[1].objects[0], name="cat"),))
    samples = [*plain, bad, foreign]
    study = Grouping(Planted(), samples, classes=CLASSES, **FAST)
    results = study.run(tmp_path / "run")
    errors = dict(results.errors())
    assert "image's size 48x48" in errors["bad"]
    assert "got the cat: add it" in errors["foreign"]
    assert _rows(results, kind="top-down", method="text", background="none")[0]["n"] == 3
    too_many = Grouping(Planted(), plain, classes=CLASSES, **FAST, n_groups=37)
    with pytest.raises(StudyError, match=r"1 to 36 .* 36 locations, got 37"):
        too_many.run(tmp_path / "many")


def test_a_model_without_the_layers_that_another_has_is_left_out(tmp_path) -> None:
    study = Grouping(Planted(), squares(2), **FAST, encoders=("small:mae",), layers=("joint",))
    results = study.run(tmp_path / "run")
    assert results.errors() == []
    assert {row["model"] for row in results.summary().to_pylist()} == {"planted-tower"}
