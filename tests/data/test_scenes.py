"""The drawn world: the same everywhere, and true to what it says about itself."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from retinoscope.data import Object, Sample, run_lengths
from retinoscope.data.scenes import (
    COLORS,
    KINDS,
    MORE_KINDS,
    SIGN_WORDS,
    SceneOptions,
    Scenes,
    draw_arrays,
    export_coco,
    scene,
    scene_texts,
)
from retinoscope.data.scenes._font import ink
from retinoscope.data.scenes._kinds import RGB, shape_of
from retinoscope.data.scenes._layout import layout
from retinoscope.data.scenes._paint import paint
from retinoscope.data.scenes._raster import SUB, fill
from retinoscope.data.scenes._shapes import UNIT
from retinoscope.errors import InputError

DENSE = SceneOptions(min_objects=4, occlusion=True, signs=1.0)
SPARSE = SceneOptions(max_objects=2, signs=0.0)
COUNTS = ("one", "two", "three", "four", "five")


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(Scenes(120, seed=11))


@pytest.fixture(scope="module")
def occluded() -> list[Sample]:
    return list(Scenes(40, seed=12, options=DENSE))


def digest(index: int, seed: int, options: SceneOptions) -> str:
    told = hashlib.sha256()
    for array in draw_arrays(index, seed, options):
        told.update(array.tobytes())
    told.update(repr(scene_texts(index, seed, options)).encode())
    return told.hexdigest()[:16]


@pytest.mark.parametrize(
    ("index", "seed", "options", "expected"),
    [
        (0, 0, SceneOptions(), "def253907983ed89"),
        (7, 0, SceneOptions(), "89d7f3f97c2e3440"),
        (123456, 3, SceneOptions(), "ec1740590ac00ff1"),
        (2, 1, DENSE, "24eb997ed6fd2ee7"),
        (5, 2, SPARSE, "cd849eebd1e6a77d"),
    ],
)
def test_scenes_are_the_same_bytes_as_ever(
    index: int, seed: int, options: SceneOptions, expected: str
) -> None:
    """Where this fails on purpose, VERSION goes up: the pocket model learnt from these pixels."""
    assert digest(index, seed, options) == expected


def test_vertices_are_the_same_integers_as_ever() -> None:
    """They are the only numbers here that come from floats (rounded once, when first used)."""
    told = hashlib.sha256()
    for kind in range(len(KINDS)):
        told.update(shape_of(kind).points.astype("<i8").tobytes())
    assert told.hexdigest()[:16] == "960323d5c2edc722"


def test_a_scene_does_not_depend_on_how_many_are_drawn() -> None:
    few, many = Scenes(3, seed=4), Scenes(1000, seed=4)
    for k in range(3):
        assert few[k].image.tobytes() == many[k].image.tobytes()
        assert few[k].questions == many[k].questions
        assert few[k].id == f"scene-4-{k:06d}"
    assert Scenes(1, seed=4, start=900)[0].image.tobytes() == many[900].image.tobytes()


def test_seeds_and_indices_give_different_scenes() -> None:
    assert len({digest(k, seed, SceneOptions()) for k in range(8) for seed in range(4)}) == 32


@pytest.mark.parametrize("options", [SceneOptions(), DENSE])
def test_arrays_sample_and_texts_tell_the_same(options: SceneOptions) -> None:
    for index in range(20):
        sample = scene(index, 5, options)
        image, label, color = draw_arrays(index, 5, options)
        assert np.array_equal(np.asarray(sample.image), image)
        assert scene_texts(index, 5, options) == (sample.captions[0], sample.questions)
        expected = np.zeros_like(label)
        expected_color = np.zeros_like(color)
        for found in sample.objects:
            expected[found.mask] = 1 + KINDS.index(found.name)
            expected_color[found.mask] = 1 + COLORS.index(str(found.color))
        for sign in sample.signs:
            expected[sign.mask] = 25 + SIGN_WORDS.index(sign.word)
        assert np.array_equal(label, expected)
        assert np.array_equal(color, expected_color)


def test_masks_are_disjoint_and_fill_their_boxes(
    samples: list[Sample], occluded: list[Sample]
) -> None:
    for sample in samples + occluded:
        assert sample.image.size == (144, 144)
        assert sample.image.mode == "RGB"
        masks = [found.mask for found in (*sample.objects, *sample.signs)]
        assert np.sum(masks, axis=0).max() == 1
        for found in (*sample.objects, *sample.signs):
            rows, cols = np.nonzero(found.mask)
            box = (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)
            assert found.box == tuple(map(float, box))


def test_parts_make_up_their_object(samples: list[Sample], occluded: list[Sample]) -> None:
    for sample in samples + occluded:
        for found in sample.objects:
            parts = np.array([part.mask for part in found.parts])
            assert np.array_equal(parts.sum(0), found.mask)
            names = [part.name for part in found.parts]
            assert len(set(names)) == len(names)


def test_every_kind_has_two_to_five_parts_and_fits_the_disc() -> None:
    for kind, name in enumerate(KINDS):
        shape = shape_of(kind)
        assert 2 <= len(shape.parts) <= 5, name
        assert np.hypot(*shape.points.T).max() <= UNIT + 1


def test_objects_keep_apart_unless_occlusion_is_asked_for(samples: list[Sample]) -> None:
    for sample in samples:
        everything = [found.mask for found in (*sample.objects, *sample.signs)]
        for number, mask in enumerate(everything):
            others = np.any([*everything[:number], *everything[number + 1 :], mask & False], axis=0)
            grown = mask.copy()
            for _ in range(2):
                grown[1:] |= grown[:-1]
                grown[:-1] |= grown[1:]
                grown[:, 1:] |= grown[:, :-1]
                grown[:, :-1] |= grown[:, 1:]
            assert not (grown & others).any()


def test_objects_are_shown_in_their_colour(samples: list[Sample]) -> None:
    seen = 0
    for sample in samples:
        pixels = np.asarray(sample.image).astype(int)
        for found in sample.objects:
            distance = np.abs(pixels[found.mask][:, None] - RGB).sum(-1)
            votes = Counter(distance.argmin(1)[distance.min(1) < 60].tolist())
            seen += votes.most_common(1)[0][0] == COLORS.index(str(found.color))
    assert seen == sum(len(sample.objects) for sample in samples)


def test_all_kinds_colours_words_and_counts_appear() -> None:
    kinds: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    colors: Counter[str] = Counter()
    words: Counter[str] = Counter()
    n = 3000
    for index in range(n):
        for question in scene_texts(index, 6)[1]:
            if question.kind == "polling" and question.answer == "yes":
                kinds[question.question.split()[3]] += 1
            elif question.kind == "color":
                colors[question.answer] += 1
            elif question.kind == "count":
                counts[question.answer] += 1
            elif question.kind == "sign":
                words[question.answer] += 1
    assert set(kinds) == set(KINDS)
    assert set(colors) == set(COLORS)
    assert set(words) == set(SIGN_WORDS)
    assert set(counts) == set(COUNTS)
    total = sum(kinds.values())
    assert 2.65 < total / n < 2.95
    assert max(kinds.values()) < 1.4 * total / len(KINDS)
    assert max(colors.values()) < 1.2 * total / len(COLORS)
    assert 0.12 < words.total() / n < 0.18


def centre(found: Object) -> np.ndarray:
    x0, y0, x1, y1 = found.box
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2])


def lies(subject: Object, anchor: Object, direction: str) -> float:
    """How far `subject` lies in `direction`, less how far it lies across it, in pixels."""
    dx, dy = centre(subject) - centre(anchor)
    ahead, across = {
        "left of": (-dx, dy),
        "right of": (dx, dy),
        "above": (-dy, dx),
        "below": (dy, dx),
    }[direction]
    return ahead - abs(across)


def test_relations_hold_in_the_masks(samples: list[Sample]) -> None:
    for sample in samples:
        for relation in sample.relations:
            subject, anchor = sample.objects[relation.subject], sample.objects[relation.object]
            assert lies(subject, anchor, relation.name) > 0
        pairs = Counter((r.subject, r.object) for r in sample.relations)
        assert set(pairs.values()) <= {1}
        assert all((b, a) in pairs for a, b in pairs)


def test_relation_questions_have_one_answer_in_the_masks(samples: list[Sample]) -> None:
    asked = 0
    for sample in samples:
        names = [found.name for found in sample.objects]
        for question in (q for q in sample.questions if q.kind == "relation"):
            words = question.question.removeprefix("What is ").removesuffix("?")
            direction, anchor_name = words.split(" the ")
            anchor = sample.objects[names.index(anchor_name)]
            there = [
                found.name
                for found in sample.objects
                if found is not anchor and lies(found, anchor, direction) > 0
            ]
            assert there == [question.answer]
            assert question.about == (names.index(question.answer),)
            asked += 1
    assert asked > 100


def test_other_questions_hold_in_the_masks(samples: list[Sample], occluded: list[Sample]) -> None:
    for sample in samples + occluded:
        by_name = {found.name: found for found in sample.objects}
        assert len(by_name) == len(sample.objects)
        shown = [found.color for found in sample.objects]
        polls: Counter[str] = Counter()
        for question in sample.questions:
            words = question.question.rstrip("?").split()
            about = [sample.objects[number] for number in question.about]
            match question.kind:
                case "polling":
                    assert words[:2] + words[4:] == ["Is", "there", "in", "this", "image"]
                    assert words[2] == ("an" if words[3] in ("apple", "umbrella") else "a")
                    assert question.answer == ("yes" if words[3] in by_name else "no")
                    assert [found.name for found in about] == [words[3]] * len(about)
                    polls[question.answer] += 1
                case "color":
                    assert question.answer == by_name[words[-1]].color
                    assert about == [by_name[words[-1]]]
                case "kind":
                    assert shown.count(words[-2]) == 1
                    assert by_name[question.answer].color == words[-2]
                    assert about == [by_name[question.answer]]
                case "count":
                    assert COUNTS.index(question.answer) + 1 == len(sample.objects)
                case "sign":
                    assert [question.answer] == [sign.word for sign in sample.signs]
                case other:
                    assert other == "relation"
        assert polls["yes"] == polls["no"] == len(sample.objects)
        kinds = Counter(question.kind for question in sample.questions)
        assert kinds["color"] == len(sample.objects)
        assert kinds["kind"] == sum(shown.count(color) == 1 for color in shown)
        assert kinds["count"] == 1
        assert kinds["sign"] == len(sample.signs)
        assert len({q.question for q in sample.questions}) == len(sample.questions)


def test_captions_name_everything_from_left_to_right(samples: list[Sample]) -> None:
    for sample in samples:
        caption = sample.captions[0]
        sentence, _, sign = caption.removesuffix(".").partition(". A sign says ")
        assert sign == "".join(s.word for s in sample.signs)
        phrases = sentence.replace(" and ", ", ").split(", ")
        expected = [f"{found.color} {found.name}" for found in sample.objects]
        assert [phrase.split(" ", 1)[1] for phrase in phrases] == expected
        for number, phrase in enumerate(phrases):
            article = "an" if phrase.split()[1] == "orange" else "a"
            assert phrase.split()[0] == (article.capitalize() if number == 0 else article)
        across = [centre(found)[0] for found in sample.objects]
        assert all(b - a > -4 for a, b in pairwise(across))


def test_occlusion_covers_but_never_hides(occluded: list[Sample]) -> None:
    cut = 0
    for sample in occluded:
        assert len(sample.objects) >= 4
        assert len(sample.signs) == 1
        masks = [found.mask for found in sample.objects]
        edges = sum(
            (a[1:] & b[:-1]).any() or (a[:, 1:] & b[:, :-1]).any()
            for a in masks
            for b in masks
            if a is not b
        )
        cut += edges > 0
        assert min(mask.sum() for mask in masks) > 60
    assert cut > len(occluded) / 2


def test_occlusion_leaves_65_percent_of_every_object() -> None:
    least = 1.0
    for index in range(40):
        for item, found in zip(
            layout(index, 12, DENSE).items, scene(index, 12, DENSE).objects, strict=True
        ):
            least = min(least, found.area / paint(item).mask.sum())
    assert 0.65 <= least < 0.8


def test_sign_shows_its_word() -> None:
    for index in range(12):
        sample = scene(index, 8, SceneOptions(signs=1.0))
        (sign,) = sample.signs
        x0, y0, x1, y1 = map(int, sign.box)
        grey = np.asarray(sample.image)[y0:y1, x0:x1].mean(-1)
        inked = ink(sign.word)
        assert grey.shape == inked.shape
        contrast = grey[inked] - grey[~inked].mean()
        assert (contrast > 80).all() or (contrast < -80).all()


def test_sequence_behaviour() -> None:
    scenes = Scenes(10, seed=1)
    assert len(scenes) == 10
    assert [sample.id for sample in scenes] == [f"scene-1-{k:06d}" for k in range(10)]
    assert scenes[-1].id == "scene-1-000009"
    part = scenes[2:5]
    assert isinstance(part, Scenes)
    assert [sample.id for sample in part] == [sample.id for sample in list(scenes)[2:5]]
    assert part.fingerprint == Scenes(3, seed=1, start=2).fingerprint
    assert [sample.id for sample in scenes[::4]] == [f"scene-1-{k:06d}" for k in (0, 4, 8)]
    assert len(scenes[5:5]) == 0
    with pytest.raises(IndexError):
        scenes[10]
    different = {
        scenes.fingerprint,
        Scenes(11, seed=1).fingerprint,
        Scenes(10, seed=2).fingerprint,
        Scenes(10, seed=1, start=1).fingerprint,
        Scenes(10, seed=1, options=DENSE).fingerprint,
    }
    assert len(different) == 5


@pytest.mark.parametrize(
    "make",
    [
        lambda: SceneOptions(size=96),
        lambda: SceneOptions(min_objects=0),
        lambda: SceneOptions(min_objects=4, max_objects=3),
        lambda: SceneOptions(max_objects=6),
        lambda: SceneOptions(signs=1.5),
        lambda: Scenes(-1),
        lambda: Scenes(3, seed=-1),
        lambda: Scenes(3, start=2**32),
        lambda: draw_arrays(-1),
    ],
)
def test_wrong_use_is_one_clear_line(make: object) -> None:
    assert callable(make)
    with pytest.raises(InputError) as caught:
        make()
    assert "expected" in str(caught.value) or "scenes are" in str(caught.value)
    assert "\n" not in str(caught.value)


def unpack(segmentation: dict) -> np.ndarray:
    """Uncompressed RLE to a mask, as pycocotools does."""
    height, width = segmentation["size"]
    values = np.arange(len(segmentation["counts"])) % 2 == 1
    return np.repeat(values, segmentation["counts"]).reshape(width, height).T


@given(npst.arrays(bool, npst.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_run_lengths_round_trip(mask: np.ndarray) -> None:
    packed = run_lengths(mask)
    assert sum(packed["counts"]) == mask.size
    assert all(count > 0 for count in packed["counts"][1:])
    assert np.array_equal(unpack(packed), mask)


def test_coco_export_holds_everything(tmp_path) -> None:
    scenes = Scenes(6, seed=3, options=DENSE)
    assert export_coco(scenes, tmp_path / "set") == tmp_path / "set"
    told = json.loads((tmp_path / "set/annotations/instances.json").read_text())
    assert [category["name"] for category in told["categories"]] == list(KINDS)
    names = {category["id"]: category["name"] for category in told["categories"]}
    assert len({entry["id"] for entry in told["annotations"]}) == len(told["annotations"])
    for entry, sample in zip(told["images"], scenes, strict=True):
        with Image.open(tmp_path / "set/images" / entry["file_name"]) as image:
            assert image.tobytes() == sample.image.tobytes()
            assert (entry["width"], entry["height"]) == image.size
        found = [a for a in told["annotations"] if a["image_id"] == entry["id"]]
        assert [names[a["category_id"]] for a in found] == [o.name for o in sample.objects]
        for annotation, thing in zip(found, sample.objects, strict=True):
            assert np.array_equal(unpack(annotation["segmentation"]), thing.mask)
            x, y, width, height = annotation["bbox"]
            assert (x, y, x + width, y + height) == thing.box
            assert annotation["area"] == thing.area
            assert annotation["iscrowd"] == 0
    asked = json.loads((tmp_path / "set/questions.json").read_text())
    assert len(asked) == sum(len(sample.questions) for sample in scenes)
    assert asked[0].keys() == {*("image_id", "file_name", "question", "answer", "kind", "about")}
    with pytest.raises(InputError, match="name another folder"):
        export_coco(scenes, tmp_path / "set")


@given(x0=st.integers(-20, 20), y0=st.integers(-20, 20), w=st.integers(0, 30), h=st.integers(0, 30))
def test_fill_covers_exactly_the_cells_whose_centres_lie_inside(
    x0: int, y0: int, w: int, h: int
) -> None:
    corners = np.array([(x0, y0), (x0 + w, y0), (x0 + w, y0 + h), (x0, y0 + h)]) * SUB
    inside, top = fill([corners], 16, 12)
    whole = np.zeros((16, 12), dtype=bool)
    whole[top : top + len(inside)] = inside
    expected = np.zeros((16, 12), dtype=bool)
    expected[max(y0, 0) : max(y0 + h, 0), max(x0, 0) : max(x0 + w, 0)] = True
    assert np.array_equal(whole, expected)


def test_fill_leaves_holes() -> None:
    outer = np.array([(0, 0), (8, 0), (8, 8), (0, 8)]) * SUB
    inner = np.array([(2, 2), (6, 2), (6, 6), (2, 6)]) * SUB
    inside, _ = fill([outer, inner], 8, 8)
    assert inside.sum() == 48
    assert not inside[2:6, 2:6].any()


@pytest.mark.slow
def test_more_kinds_are_drawn_only_where_they_are_asked_for() -> None:
    more = Scenes(40, seed=3, options=SceneOptions(more_kinds=True))
    plain = Scenes(40, seed=3)
    named = {obj.name for sample in more for obj in sample.objects}
    assert named & set(MORE_KINDS)
    assert named & set(KINDS)
    assert not {obj.name for sample in plain for obj in sample.objects} & set(MORE_KINDS)
    asked = {q.question for sample in more for q in sample.questions if q.answer == "no"}
    assert any(kind in text for kind in MORE_KINDS for text in asked)
    assert more.fingerprint != plain.fingerprint
    assert more.fingerprint == Scenes(40, seed=3, options=SceneOptions(more_kinds=True)).fingerprint


def test_labels_of_more_kinds_come_after_the_signs() -> None:
    options = SceneOptions(more_kinds=True, signs=1.0)
    first = 1 + len(KINDS) + len(SIGN_WORDS)
    labels = set()
    for index in range(12):
        sample = scene(index, 4, options)
        _, label, _ = draw_arrays(index, 4, options)
        for obj in sample.objects:
            if obj.name in MORE_KINDS:
                found = set(np.unique(label[obj.mask]).tolist())
                assert found == {first + MORE_KINDS.index(obj.name)}
                labels |= found
    assert len(labels) > 3
