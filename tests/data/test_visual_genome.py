"""Visual Genome's files, as they are released."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import retinoscope as rs
from retinoscope.errors import InputError

OBJECTS = [
    {"object_id": 7, "names": ["Dog"], "x": 2, "y": 1, "w": 4, "h": 3, "synsets": ["dog.n.01"]},
    {"object_id": 8, "names": ["ball"], "x": 9, "y": 5, "w": 4, "h": 2, "synsets": []},
    {"object_id": 9, "names": ["speck"], "x": 30, "y": 30, "w": 1, "h": 1, "synsets": []},
]


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    (tmp_path / "VG_100K").mkdir()
    (tmp_path / "VG_100K_2").mkdir()
    Image.new("RGB", (12, 8), "green").save(tmp_path / "VG_100K" / "5.jpg")
    Image.new("RGB", (10, 6), "blue").save(tmp_path / "VG_100K_2" / "3.jpg")
    _write(
        tmp_path,
        image_data=[
            {"image_id": 5, "width": 12, "height": 8, "url": "x"},
            {"image_id": 3, "width": 10, "height": 6, "url": "x"},
        ],
        objects=[{"image_id": 3, "objects": []}, {"image_id": 5, "objects": OBJECTS}],
        attributes=[
            {"image_id": 5, "attributes": [{"object_id": 7, "attributes": ["furry", "Grey"]}]}
        ],
        relationships=[
            {
                "image_id": 5,
                "relationships": [
                    _relation(7, "NEAR", 8),
                    _relation(7, "on", 99),
                ],
            }
        ],
        question_answers=[
            {
                "id": 5,
                "qas": [
                    {"question": "What color is the dog?", "answer": "Gray."},
                    {"question": "How many balls?", "answer": "1."},
                    {
                        "question": "What is near the dog?",
                        "answer": "A ball.",
                        "a_objects": [{"object_id": 8}],
                    },
                ],
            }
        ],
    )
    return tmp_path


def _relation(subject: int, predicate: str, other: int) -> dict[str, Any]:
    ends = {"subject": {"object_id": subject}, "object": {"object_id": other}}
    return {"predicate": predicate, **ends}


def _write(folder: Path, **parts: Any) -> None:
    for name, content in parts.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def test_everything_is_read(genome: Path) -> None:
    samples = rs.sources.open_source(f"vg:{genome}")
    assert [sample.id for sample in samples] == ["5", "3"]
    first, second = samples
    assert [(o.name, o.color, o.boxed) for o in first.objects] == [
        ("dog", "gray", True),
        ("ball", None, True),
    ]
    dog, ball = first.objects
    assert dog.box == (2, 1, 6, 4)
    assert np.array_equal(np.argwhere(dog.mask)[[0, -1]], [[1, 2], [3, 5]])
    assert dog.area == 12
    # It sticks out of the image by a pixel.
    assert (ball.box, ball.area) == ((9, 5, 12, 7), 6)
    assert [(r.subject, r.name, r.object) for r in first.relations] == [(0, "near", 1)]
    assert [(q.answer, q.kind, q.about) for q in first.questions] == [
        ("Gray", "color", (0,)),
        ("1", "count", ()),
        ("A ball", "question", (1,)),
    ]
    assert first.meta["unseen"] == (9,)
    assert first.meta["unmatched"] == 1
    assert first.meta["synsets"] == (("dog.n.01",), ())
    assert second.objects == () == second.questions
    assert second.image.size == (10, 6)


def test_the_fingerprint_sees_every_file(genome: Path) -> None:
    before = rs.data.visual_genome(genome).fingerprint
    assert rs.data.visual_genome(genome).fingerprint == before
    assert rs.data.visual_genome(genome)[:1].fingerprint != before
    _write(genome, attributes=[])
    assert rs.data.visual_genome(genome).fingerprint != before


def test_it_can_be_opened_again_by_what_the_run_keeps(genome: Path) -> None:
    samples = rs.data.visual_genome(genome)[:1]
    again = rs.sources.reopen_source(rs.sources.source_of(samples) or {})
    assert [sample.id for sample in again] == ["5"]
    assert again.fingerprint == samples.fingerprint  # type: ignore[attr-defined]


def test_missing_images(genome: Path) -> None:
    (genome / "VG_100K" / "5.jpg").unlink()
    with pytest.raises(InputError, match=r"no 5\.jpg in .* 1 of the 2 images .* skip_missing=True"):
        rs.data.visual_genome(genome)
    assert [one.id for one in rs.data.visual_genome(genome, skip_missing=True)] == ["3"]


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("objects", None, "got no objects.json"),
        ("image_data", "[]", "expected a list of images"),
        ("image_data", '[{"image_id": 5}]', "image number 1: field 'width'"),
        ("objects", "{}", "expected a JSON list of objects"),
        ("objects", '[{"image_id": 5, "objects": []}', "expected a JSON list of objects"),
        ("objects", '[{"objects": []}]', "expected the image's id"),
        ("objects", '[{"image_id": 5}, {"image_id": 5}]', "one element for image 5, got two"),
    ],
)
def test_files_of_another_form(genome: Path, name: str, text: str | None, match: str) -> None:
    file = genome / f"{name}.json"
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(InputError, match=match) as error:
        rs.data.visual_genome(genome)
    assert "\n" not in str(error.value)


def test_an_image_of_another_size(genome: Path) -> None:
    Image.new("RGB", (13, 8)).save(genome / "VG_100K" / "5.jpg")
    with pytest.raises(InputError, match=r"12x8 .* got 13x8"):
        _ = rs.data.visual_genome(genome)[0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"w": None}, "'w'"),
        ({"x": float("nan")}, "'x'.*finite"),
        ({"w": -3}, "'w'.*-3"),
        ({"w": 40}, "in the image of 12x8 pixels.*42"),
        ({"names": []}, "'names'"),
        ({"names": [7]}, "'names"),
        ({"x": "2"}, "'x'.*'2'"),
    ],
)
def test_a_damaged_object_costs_no_sample(
    genome: Path, changes: dict[str, object], reason: str
) -> None:
    good, bad = OBJECTS[0], {**OBJECTS[0], "object_id": 8} | changes
    _write(genome, objects=[{"image_id": 5, "objects": [good, bad]}])
    sample = rs.data.visual_genome(genome)[0]
    assert [one.name for one in sample.objects] == ["dog"]
    # Where it may be is no background: anywhere, without a box.
    assert sample.others[0].mask.sum() == (30 if changes.get("w") == 40 else 96)
    (skipped,) = sample.meta["skipped"]
    assert re.search(f"objects.json: image 5: object 8: .*{reason}", skipped.detail)


def test_an_id_of_two_objects_means_none_of_them(genome: Path) -> None:
    twice = [OBJECTS[0], {**OBJECTS[1], "object_id": 7}, {**OBJECTS[1], "object_id": 8}]
    _write(
        genome,
        objects=[{"image_id": 5, "objects": twice}],
        relationships=[{"image_id": 5, "relationships": [_relation(7, "near", 8)]}],
    )
    sample = rs.data.visual_genome(genome)[0]
    assert len(sample.objects) == 3
    assert (sample.relations, sample.meta["unmatched"]) == ((), 1)


def test_a_damaged_question_is_left_out_and_counted(genome: Path) -> None:
    asked = [{"question": "Is it?", "answer": None}, {"question": "Who?", "answer": "A dog."}]
    _write(genome, question_answers=[{"id": 5, "qas": asked}])
    sample = rs.data.visual_genome(genome)[0]
    assert [one.question for one in sample.questions] == ["Who?"]
    assert "'answer'" in sample.meta["skipped"][0].detail


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        ({"image_id": True, "width": 12, "height": 8}, "'image_id'.*True"),
        ({"image_id": 5, "width": 0, "height": 8}, "'width'.*got 0"),
        ({"image_id": 5, "width": 12, "height": 8.5}, "'height'.*8.5"),
    ],
)
def test_images_are_checked(genome: Path, entry: dict[str, object], match: str) -> None:
    _write(genome, image_data=[entry])
    with pytest.raises(InputError, match=f"image_data.json: image number 1: field {match}"):
        rs.data.visual_genome(genome)


def test_an_image_that_is_there_twice(genome: Path) -> None:
    _write(genome, image_data=[{"image_id": 5, "width": 12, "height": 8}] * 2)
    with pytest.raises(InputError, match="different id for every image, got '5'"):
        rs.data.visual_genome(genome)


def test_a_byte_order_mark_is_no_damage(genome: Path) -> None:
    for name in ("objects", "image_data"):
        file = genome / f"{name}.json"
        file.write_text(file.read_text("utf-8"), "utf-8-sig")
    assert len(rs.data.visual_genome(genome)[0].objects) == 2


def test_elements_are_found_whatever_lies_between_them(tmp_path: Path) -> None:
    from retinoscope.data import _index

    elements = [{"image_id": k, "text": "ä]},[{" * k} for k in range(40)]
    file = tmp_path / "list.json"
    file.write_text(json.dumps(elements, ensure_ascii=False, indent=3), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_index, "CHUNK", 37)
        index = _index.JsonIndex.of(file, lambda element: element["image_id"])
    assert [index.read(k) for k in range(40)] == elements
    assert index.read("none") == {}
