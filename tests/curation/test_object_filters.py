"""Each filter on samples of which the answer is known."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from stand_in import Model, sample

from retinoscope.answers.hallucination import HallucinationFilter
from retinoscope.curation import (
    Area,
    AtMost,
    BaselineCorrect,
    First,
    Hallucination,
    HasQuestion,
    OneInstance,
    SampleView,
    SurvivesCrop,
    paper_filters,
)
from retinoscope.curation._crop_filter import corners, vertices_inside
from retinoscope.data import Object
from retinoscope.errors import InputError

CAR, FISH = ("car", 2, 2, 10), ("fish", 30, 30, 12)


def kept(one, given, model=None):
    view = SampleView(given, model or Model())
    return [i for i, v in one.keep(view, range(len(given.objects))).items() if v.kept]


def test_one_instance_counts_crowds():
    assert kept(OneInstance(), sample(0, CAR, FISH, ("car", 40, 2, 5))) == [1]
    assert kept(OneInstance(), sample(0, CAR, FISH, crowds=("fish",))) == [0]


def test_area_bounds_are_strict():
    given = sample(0, CAR, FISH)
    assert kept(Area(100, 144), given) == []
    assert kept(Area(99, 144), given) == [0]
    assert kept(Area(100, 145), given) == [1]
    assert kept(Area(None, 101), given) == [0]
    with pytest.raises(InputError, match="larger number"):
        Area(2000, 1000)


def test_paper_mode_takes_the_area_that_the_annotation_states():
    given = sample(0, CAR, FISH)
    car = replace(given.objects[0], stated_area=98.5)
    given = replace(given, objects=(car, given.objects[1]))
    assert kept(Area(99, 200), given) == [0, 1]
    # The car covers 100 pixels; nothing is stated of the fish, which covers 144.
    assert kept(Area(99, 200, "paper"), given) == [1]


def test_at_most_counts_every_annotation():
    assert kept(AtMost(2), sample(0, CAR, FISH)) == [0, 1]
    assert kept(AtMost(2), sample(0, CAR, FISH, crowds=("dog",))) == []


def test_first_is_of_those_that_are_left():
    view = SampleView(sample(0, CAR, FISH, ("dog", 50, 50, 5)), None)
    assert [i for i, v in First(1).keep(view, [1, 2]).items() if v.kept] == [1]


def test_has_question_wants_the_object_alone():
    assert kept(HasQuestion(), sample(0, FISH, CAR)) == [1]


def test_an_object_outside_the_crop_is_dropped():
    wide = sample(0, ("car", 0, 10, 8), ("fish", 40, 10, 8), size=(128, 64))
    assert kept(SurvivesCrop("corrected"), wide) == [1]
    assert kept(SurvivesCrop("paper"), wide) == [1]


def test_the_papers_crop_rule_wants_three_vertices_inside():
    # The crop begins at x = 32: the square's two right corners are inside, its left ones are not.
    cut = sample(0, ("car", 28, 10, 8), size=(128, 64))
    assert kept(SurvivesCrop("corrected"), cut) == [0]
    assert kept(SurvivesCrop("paper"), cut) == []


def test_vertices_of_polygons_and_of_outlines():
    mask = np.zeros((64, 128), bool)
    mask[10:18, 28:36] = True
    assert len(corners(mask)) == 4
    assert vertices_inside(Object("car", mask, (28, 10, 36, 18)), (128, 64)) == 2
    polygon = (28.0, 10.0, 36.0, 10.0, 36.0, 14.0, 36.0, 18.0)
    told = Object("car", mask, (28, 10, 36, 18), polygons=(polygon,))
    assert vertices_inside(told, (128, 64)) == 3
    # The square is 32 to 96, 0 to 64: its left edge is inside, its right and its lower one are not.
    corner = (32.0, 0.0, 95.9, 0.0, 95.9, 63.9, 32.0, 63.9)
    assert vertices_inside(Object("car", mask, (0, 0, 1, 1), polygons=(corner,)), (128, 64)) == 4
    edge = (32.0, 0.0, 96.0, 0.0, 96.0, 64.0, 32.0, 64.0)
    assert vertices_inside(Object("car", mask, (0, 0, 1, 1), polygons=(edge,)), (128, 64)) == 1
    touching = np.zeros((4, 4), bool)
    touching[0, 0] = touching[1, 1] = True
    assert len(corners(touching)) == 7


def test_hallucination_keeps_what_is_seen_and_drops_what_is_said_anyway():
    given = sample(0, CAR, FISH)
    assert kept(Hallucination(), given) == [0, 1]
    # The fish in every caption: the car's tokens do not carry it.
    assert kept(Hallucination(), given, Model({"car": "car and a fish"})) == [0]
    assert kept(Hallucination(), given, Model({"car": "scarf"})) == [1]
    assert kept(Hallucination("paper"), given, Model({"car": "scarf"})) == [0, 1]
    settings = {"mode": "paper", "fill": "grey", "seed": 3}
    assert Hallucination("paper", "grey", 3).settings == settings
    assert asdict(HallucinationFilter("paper", "grey", 3)) == settings


def test_captions_are_recorded():
    view = SampleView(sample(0, CAR, FISH), Model())
    verdict = Hallucination().judge(view, 0)
    assert verdict.heard == {"caption": "a car and a fish", "caption_replaced": "a fish"}


def test_baseline_correct_by_task():
    given = sample(0, CAR, FISH)
    assert kept(BaselineCorrect("generative"), given) == [0, 1]
    assert kept(BaselineCorrect("generative"), given, Model({"car": "dog"})) == [1]
    assert kept(BaselineCorrect("polling"), given) == [0, 1]
    assert kept(BaselineCorrect("question"), given) == [0]
    with pytest.raises(InputError, match="task"):
        BaselineCorrect("riddle")


def test_one_caption_serves_all_filters():
    model = Model()
    view = SampleView(sample(0, CAR), model)
    BaselineCorrect("generative").judge(view, 0)
    Hallucination().judge(view, 0)
    # The caption (once as a text, once for its logits) and that of the replaced image.
    assert model.runs == 3


def test_the_papers_filters_in_its_order():
    names = [one.name for one in paper_filters()]
    assert names == [
        *("one-instance", "area", "at-most", "first", "survives-crop", "hallucination"),
    ]
    assert paper_filters()[1].settings == {"low": 1000, "high": 2000, "mode": "paper"}
    assert {f.settings.get("mode") for f in paper_filters("corrected")} == {None, "corrected"}


def test_a_filter_without_its_model_is_refused():
    with pytest.raises(InputError, match="expected a model"):
        Hallucination().judge(SampleView(sample(0, CAR), None), 0)
