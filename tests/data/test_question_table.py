"""A table of questions as a data source of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retinoscope as rs
from retinoscope.errors import InputError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in ("b.png", "a.png"):
        Image.new("RGB", (12, 8), "blue").save(tmp_path / "in" / name)
    pixels = np.zeros((8, 12), np.uint8)
    pixels[2:4, 3:6] = 255
    Image.fromarray(pixels).save(tmp_path / "in" / "cup-mask.png")
    return tmp_path


def _table(folder: Path, rows: list[dict[str, object]]) -> Path:
    file = folder / "asked.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file


def test_boxes_masks_and_what_questions_are_about(photos: Path) -> None:
    ask = {"image": "in/b.png", "answer": "red"}
    file = _table(
        photos,
        [
            {**ask, "question": "1?", "object": "dog", "box": [1, 2, 5, 5]},
            {**ask, "question": "2?", "object": "cup", "mask": "in/cup-mask.png"},
            {**ask, "question": "3?", "object": "dog"},
            {**ask, "question": "4?", "about": [0, 1]},
            {"image": "in/a.png", "question": "5?", "answer": "no", "id": "A"},
        ],
    )
    first, second = rs.sources.open_source(f"table:{file}")
    assert [(o.name, o.boxed, o.area) for o in first.objects] == [
        ("dog", True, 12),
        ("cup", False, 6),
    ]
    assert [q.about for q in first.questions] == [(0,), (1,), (0,), (0, 1)]
    assert (first.id, second.id, second.objects) == ("in/b.png", "A", ())


def test_images_elsewhere(photos: Path, tmp_path: Path) -> None:
    file = _table(photos, [{"image": "b.png", "question": "?", "answer": "x"}])
    with pytest.raises(InputError, match="expected the file of an image in"):
        rs.data.table(file)
    assert len(rs.data.table(file, images=photos / "in")) == 1


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"box": [20, 20, 30, 30]}, "line 1.*covers a pixel"),
        ({"box": [1, 1, 40, 4]}, r"line 1.*lies in in/b\.png \(12x8\).*40"),
        ({"box": [5, 1, 2, 4]}, "line 1: field 'box'.*x0 < x1"),
        ({"box": [1, 1, float("nan"), 4]}, r"line 1: field 'box\[2\]'.*finite"),
        ({"box": [1, 1, 2]}, r"line 1: field 'box\[3\]'"),
        ({"box": "1 1 two 4"}, r"line 1: field 'box\[2\]'.*'two'"),
        ({"about": [-1]}, r"line 1: field 'about\[0\]'.*-1"),
        ({"about": [0.5]}, r"line 1: field 'about\[0\]'.*0.5"),
        ({"answer": True}, "line 1: field 'answer'.*True"),
        ({"answer": ["x"]}, "line 1: field 'answer'"),
        ({"question": None}, "line 1.*no question"),
        ({"image": "../b.png"}, r"line 1: .*inside the folder.*\.\./b"),
        ({"image": "/etc/b.png"}, "line 1: .*inside the folder.*/etc"),
        ({"mask": "../b.png"}, r"line 1: .*inside the folder.*\.\./b"),
        ({"mask": "in/none.png"}, "expected the file of a mask"),
        ({"object": "cat"}, "expected the name of an object"),
        ({"about": [3]}, "expected about as indices of the 0 objects"),
        ({"Box": [1, 1, 2, 2]}, "rename it"),
    ],
)
def test_rows_that_do_not_fit(photos: Path, row: dict[str, object], match: str) -> None:
    file = _table(photos, [{"image": "in/b.png", "question": "?", "answer": "x", **row}])
    with pytest.raises(InputError, match=match) as error:
        _ = rs.data.table(file)[0]
    assert "\n" not in str(error.value)


def test_a_bare_path_says_what_was_meant(photos: Path) -> None:
    file = _table(photos, [{"image": "in/b.png", "question": "?", "answer": "x"}])
    with pytest.raises(InputError, match=f"did you mean table:{file}"):
        rs.sources.open_source(str(file))
    with pytest.raises(InputError, match=f"did you mean folder:{photos}"):
        rs.sources.open_source(str(photos))


def test_files_elsewhere_where_that_is_asked_for(photos: Path) -> None:
    (photos / "tables").mkdir()
    row = {"image": "../in/b.png", "question": "?", "answer": 3}
    file = _table(photos / "tables", [row])
    with pytest.raises(InputError, match="outside:DATA"):
        rs.sources.open_source(f"table:{file}")
    samples = rs.sources.open_source(f"outside:table:{file}")
    assert samples[0].questions[0].answer == "3"
    again = rs.sources.reopen_source(rs.sources.source_of(samples) or {})
    assert again[0].id == "../in/b.png"


def test_a_table_of_objects_alone(photos: Path) -> None:
    file = _table(photos, [{"image": "in/b.png", "object": "dog", "box": [1, 2, 5, 5]}])
    (sample,) = rs.data.table(file)
    assert [one.name for one in sample.objects] == ["dog"]
    assert sample.questions == ()


def test_a_byte_order_mark_is_no_damage(photos: Path) -> None:
    file = _table(photos, [{"image": "in/b.png", "question": "?", "answer": "x"}])
    file.write_text(file.read_text(), "utf-8-sig")
    assert len(rs.data.table(file)) == 1
