"""Scenes with small objects, repeated kinds and grounds."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

import retinoscope as rs
from retinoscope.answers import words as answer_words
from retinoscope.data import Object, Question, Sample
from retinoscope.data.scenes import (
    AT_HOME,
    COLORS,
    KINDS,
    MORE_KINDS,
    MORE_WORDS,
    VARIED,
    SceneOptions,
    Scenes,
    draw_arrays,
    export_coco,
    plural,
    scene_texts,
)
from retinoscope.data.scenes._kinds import RGB
from retinoscope.data.scenes._layout import layout
from retinoscope.data.scenes._paint import paint
from retinoscope.data.scenes._world import FINE, SIZE, SceneItem
from retinoscope.errors import InputError
from retinoscope.pocket.vocabulary import words
from retinoscope.recipes.pocket._bank import _suffix

COUNTS = ("one", "two", "three", "four", "five")
FURTHER = {"position", "twin-color", "count-color", "count-kind", "polling-adversarial"}
TWINS = SceneOptions(min_objects=2, repeats=1.0, signs=0.0)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(Scenes(150, seed=21, options=VARIED))


def asked(samples: list[Sample], kind: str) -> Iterator[tuple[Sample, Question, list[Object]]]:
    for sample in samples:
        for question in sample.questions:
            if question.kind == kind:
                yield sample, question, [sample.objects[number] for number in question.about]


def centre(found: Object) -> tuple[float, float]:
    x0, y0, x1, y1 = found.box
    return (x0 + x1) / 2, (y0 + y1) / 2


def digest(index: int, seed: int, options: SceneOptions) -> str:
    told = hashlib.sha256()
    for array in draw_arrays(index, seed, options):
        told.update(array.tobytes())
    told.update(repr(scene_texts(index, seed, options)).encode())
    return told.hexdigest()[:16]


@pytest.mark.parametrize(
    ("index", "seed", "options", "expected"),
    [
        (0, 0, VARIED, "e6295b1b9fad6aad"),
        (8, 1, VARIED, "4a3ce53cd5f3968d"),
        (123456, 3, VARIED, "8189c5e3b44f186d"),
        (2, 1, TWINS, "2f010d1f40c36bd8"),
        (5, 2, SceneOptions(small=1.0, occlusion=True, signs=1.0), "2e2120dd16d84e91"),
        (5, 2, SceneOptions(grounds=1.0, more_kinds=True), "7b85766bb57443a1"),
    ],
)
def test_varied_scenes_are_the_same_bytes_as_ever(
    index: int, seed: int, options: SceneOptions, expected: str
) -> None:
    assert digest(index, seed, options) == expected


def test_scenes_on_grounds_are_the_same_bytes_as_ever() -> None:
    """They share their backgrounds with varied scenes, but not their questions."""
    told = hashlib.sha256()
    for sample in (*rs.data.grounded(4, 3), rs.data.grounded(4, 3).on_other_ground()[1]):
        told.update(sample.image.tobytes())
        told.update(repr((sample.id, sample.captions, sample.questions)).encode())
    assert told.hexdigest()[:16] == "f7b45f4a34d6523f"


def test_a_scene_does_not_depend_on_how_many_are_drawn() -> None:
    few, many = Scenes(2, seed=4, options=VARIED), Scenes(1000, seed=4, options=VARIED)
    for k in range(2):
        assert few[k].image.tobytes() == many[k].image.tobytes()
        assert few[k].questions == many[k].questions


def test_options_without_effect_leave_names_and_scenes_as_they_were() -> None:
    plain = "SceneOptions(size=144, min_objects=1, max_objects=5, occlusion=False, signs=0.15)"
    assert repr(SceneOptions()) == repr(SceneOptions(small=0, repeats=0.0)) == plain
    assert repr(SceneOptions(more_kinds=True)) == plain
    assert repr(SceneOptions(small=1)) == plain.replace(")", ", small=1.0)")
    assert Scenes(10, seed=1).fingerprint == (
        "8335932d44fdec8105fb2f25bb2ce4855947b58efb680aae6cbd67b538a90200"
    )
    options = [SceneOptions(), VARIED, replace(VARIED, small=0.5), replace(VARIED, repeats=0.0)]
    assert len({Scenes(3, options=each).fingerprint for each in options}) == len(options)
    assert not {question.kind for question in scene_texts(3)[1]} & FURTHER


def test_banks_of_different_scenes_have_different_folders() -> None:
    options = [
        SceneOptions(),
        SceneOptions(more_kinds=True),
        SceneOptions(signs=0.0),
        VARIED,
        replace(VARIED, more_kinds=True),
        replace(VARIED, grounds=0.5),
    ]
    names = [_suffix(each) for each in options]
    assert names[:2] == ["", "-more-kinds"]
    assert len(set(names)) == len(names)


def test_the_shares_are_those_asked_for() -> None:
    n = 1500
    layouts = [layout(index, 5, VARIED) for index in range(n)]
    radii = np.array([item.radius / FINE for each in layouts for item in each.items])
    assert ((radii >= 6) & (radii <= 12) | (radii >= 17) & (radii <= 30)).all()
    assert 0.37 < (radii <= 12).mean() < 0.43
    several = [each for each in layouts if len(each.items) > 1]
    pairs = [
        [item for item in each.items if kinds[item.kind] == 2]
        for each in several
        if max((kinds := Counter(item.kind for item in each.items)).values()) == 2
    ]
    assert 0.31 < len(pairs) / len(several) < 0.39
    assert {len(pair) for pair in pairs} == {2}
    assert 0.43 < np.mean([one.color == two.color for one, two in pairs]) < 0.57
    grounds = Counter(each.ground for each in layouts)
    assert 0.36 < grounds[None] / n < 0.44
    assert 0.27 < grounds["water"] / n < 0.33
    matching = [
        KINDS[each.items[each.target].kind] in AT_HOME[each.ground]
        for each in layouts
        if each.ground is not None and each.target is not None
    ]
    assert len(matching) == n - grounds[None]
    assert 0.93 < np.mean(matching) < 0.97
    assert Counter(len(each.items) for each in layouts).keys() == {1, 2, 3, 4, 5}


def test_every_kind_has_a_shape_of_its_own_at_the_least_size() -> None:
    seen: dict[bytes, str] = {}
    for kind, name in enumerate(KINDS):
        item = SceneItem(
            kind, 0, 72 * FINE, 72 * FINE, 6 * FINE, 0, False, (256, 218), (0, 0, 0), 0
        )
        painted = paint(item)
        assert painted.mask.sum() >= 40, name
        assert max(painted.mask.shape) <= 16
        assert seen.setdefault(painted.mask.tobytes(), name) == name


def test_small_objects_are_shown_in_their_colour(samples: list[Sample]) -> None:
    """The darkened edges of yellow and orange are brown, which counts only where it is alone."""
    seen = 0
    for sample in samples:
        pixels = np.asarray(sample.image).astype(int)
        for found in (one for one in sample.objects if one.area < 300):
            distance = np.abs(pixels[found.mask][:, None] - RGB).sum(-1)
            votes = Counter(distance.argmin(1)[distance.min(1) < 60].tolist())
            if len(votes) > 1:
                del votes[COLORS.index("brown")]
            assert votes.most_common(1)[0][0] == COLORS.index(str(found.color))
            seen += 1
    assert seen > 100


def test_the_ground_is_drawn_and_its_target_named(samples: list[Sample]) -> None:
    for sample in samples:
        ground = sample.meta.get("ground")
        assert ("target" in sample.meta) == (ground is not None)
        whole = np.any([found.mask for found in sample.objects], axis=0)
        red, _, blue = np.asarray(sample.image)[~whole].mean(0)
        if ground is not None:
            assert (blue > red) == (ground == "water")
            home = AT_HOME["water"] + AT_HOME["land"]
            target = sample.objects[sample.meta["target"]].name
            assert {one.name for one in sample.objects if one.name in home} == {target}


def test_captions_name_every_object_with_its_colour(samples: list[Sample]) -> None:
    for sample in samples:
        phrases = sample.captions[0].removesuffix(".").replace(" and ", ", ").split(", ")
        named = [phrase.split(" ", 1)[1] for phrase in phrases]
        assert named == [f"{found.color} {found.name}" for found in sample.objects]


def test_questions_about_a_kind_or_colour_are_asked_where_it_occurs_once(
    samples: list[Sample],
) -> None:
    skipped = 0
    for sample in samples:
        names = Counter(found.name for found in sample.objects)
        shown = Counter(found.color for found in sample.objects)
        once = {name for name, count in names.items() if count == 1}
        skipped += len(once) < len(names)
        asked_of = Counter(q.kind for q in sample.questions)
        assert asked_of["color"] == len(once)
        for question in sample.questions:
            word = question.question.rstrip("?").split()
            match question.kind:
                case "color" | "relation":
                    assert word[-1] in once
                case "kind":
                    assert shown[word[3]] == 1
                case "position":
                    assert word[2] in once
                case "polling" | "polling-adversarial":
                    assert (question.answer == "yes") == (word[3] in names)
                    assert len(question.about) == names[word[3]]
                    assert all(sample.objects[i].name == word[3] for i in question.about)
        polls = Counter(q.answer for q in sample.questions if q.kind == "polling")
        assert polls["yes"] == polls["no"] == len(names)
        texts = [q.question for q in sample.questions if q.kind != "polling-adversarial"]
        assert len(set(texts)) == len(texts)
    assert skipped > 20


def test_relations_have_one_answer_in_the_masks(samples: list[Sample]) -> None:
    ahead = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}
    for sample, question, about in asked(samples, "relation"):
        direction, name = question.question.removeprefix("What is ").rstrip("?").split(" the ")
        (anchor,) = (one for one in sample.objects if one.name == name)
        there = []
        for one in sample.objects:
            (dx, dy), (sx, sy) = np.subtract(centre(one), centre(anchor)), ahead[direction]
            forward, across = dx * sx + dy * sy, abs(dx * sy + dy * sx)
            if one is not anchor and forward > across:
                there.append(one)
        assert there == about
        assert about[0].name == question.answer


def test_positions_hold_in_the_masks(samples: list[Sample]) -> None:
    answers: Counter[str] = Counter()
    for _, question, (found,) in asked(samples, "position"):
        across = "left" in question.question
        at = centre(found)[0 if across else 1] / SIZE
        low, high = ("left", "right") if across else ("top", "bottom")
        assert question.answer == (low if at < 1 / 3 else high if at > 2 / 3 else "middle")
        answers[question.answer] += 1
    assert answers.keys() == {"left", "right", "top", "bottom", "middle"}
    assert answers["middle"] < answers.total() / 2


def test_twins_are_told_by_their_place() -> None:
    twins = list(Scenes(60, seed=3, options=TWINS))
    words_ = Counter()
    for sample, question, (found,) in asked(twins, "twin-color"):
        _, _, _, _, side, name = question.question.rstrip("?").split()
        (other,) = (one for one in sample.objects if one.name == name and one is not found)
        axis, sign = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1)}[side]
        assert (centre(other)[axis] - centre(found)[axis]) * sign > 0
        assert question.answer == found.color != other.color
        words_[side] += 1
    assert words_["left"] == words_["right"] > 10
    assert words_["top"] == words_["bottom"] > 0


def test_counts_hold_in_the_masks(samples: list[Sample]) -> None:
    for kind in ("count-color", "count-kind"):
        answers: Counter[str] = Counter()
        for sample, question, about in asked(samples, kind):
            word = question.question.split()[2]
            there = [
                one
                for one in sample.objects
                if word == (one.color if kind == "count-color" else plural(one.name))
            ]
            assert about == there
            assert question.answer == COUNTS[len(there) - 1]
            answers[question.answer] += 1
        assert 0.35 < answers["one"] / answers.total() < 0.65


def test_counts_by_kind_need_repeats() -> None:
    options = replace(VARIED, repeats=0.0)
    for index in range(40):
        assert "count-kind" not in {q.kind for q in scene_texts(index, 1, options)[1]}


def test_adversarial_polling_asks_for_what_is_usually_there(samples: list[Sample]) -> None:
    for sample in samples:
        ground = sample.meta.get("ground")
        polls = [q for q in sample.questions if q.kind == "polling-adversarial"]
        assert bool(polls) == (ground is not None)
        if ground is None:
            continue
        answers = [q.answer for q in polls]
        half = len(polls) // 2
        assert answers == ["yes"] * half + ["no"] * half
        assert sample.meta["target"] in polls[0].about
        for question in polls[half:]:
            assert question.question.split()[3] in AT_HOME[ground]
        assert len({q.question for q in polls}) == len(polls)


def test_the_words_are_the_pocket_models_and_a_few_more(samples: list[Sample]) -> None:
    known = {*words(), *MORE_WORDS}
    assert not {*words()} & {*MORE_WORDS}
    used = {
        word
        for sample in samples
        for text in (*sample.captions, *(q.question for q in sample.questions))
        for word in text.lower().translate(str.maketrans("", "", ".,?")).split()
    }
    used |= {q.answer for sample in samples for q in sample.questions}
    assert used <= known


def test_plurals_are_those_that_answers_are_matched_with() -> None:
    for kind in (*KINDS, *MORE_KINDS):
        if kind not in ("cactus", "snowman"):
            assert plural(kind) == answer_words.plural(kind)
    assert (plural("cactus"), plural("snowman")) == ("cacti", "snowmen")
    with pytest.raises(InputError, match="expected one of the drawn kinds"):
        plural("horse")


def test_coco_export_is_read_again(tmp_path) -> None:
    twins = Scenes(5, seed=3, options=replace(TWINS, small=0.4, grounds=1.0))
    read = rs.data.coco(export_coco(twins, tmp_path / "set"))
    assert len(read) == len(twins)
    for one, two in zip(twins, read, strict=True):
        assert [(a.name, a.box) for a in one.objects] == [(b.name, b.box) for b in two.objects]
        for a, b in zip(one.objects, two.objects, strict=True):
            np.testing.assert_array_equal(a.mask, b.mask)
        assert one.questions == two.questions
        assert one.image.tobytes() == two.image.tobytes()
        assert len({found.name for found in two.objects}) < len(two.objects)


@pytest.mark.parametrize("name", ["small", "repeats", "grounds"])
@pytest.mark.parametrize("wrong", [-0.1, 1.5, float("nan"), "much", None])
def test_a_share_out_of_range_is_one_clear_line(name: str, wrong: object) -> None:
    with pytest.raises(InputError, match=f"expected {name}, a share, from 0 to 1, got") as caught:
        SceneOptions(**{name: wrong})  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=name):
        rs.data.scenes(3, **{name: wrong})  # pyright: ignore[reportArgumentType]
