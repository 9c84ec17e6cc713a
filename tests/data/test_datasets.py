"""Datasets of the library `datasets`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import retinoscope as rs
from retinoscope.errors import InputError

datasets = pytest.importorskip("datasets", reason="needs the extra 'data'")


def _png(color: str, size: tuple[int, int] = (12, 8)) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def _made(features: dict[str, Any] | None = None, **columns: Any) -> Any:
    n = len(next(iter(columns.values()))) if columns else 2
    columns = {"image": [_png("red"), _png("blue")][:n], **columns}
    known = {"image": datasets.Image(), **(features or {})}
    made = datasets.Dataset.from_dict(columns)
    for name, feature in known.items():
        made = made.cast_column(name, feature)
    return made


@pytest.fixture
def asked() -> Any:
    return _made(question=["What color?", "Is it red?"], answer=["red", "no"])


def test_images_and_questions(asked: Any) -> None:
    first, second = rs.data.dataset(asked)
    assert (first.id, first.image.size, first.image.getpixel((0, 0))) == ("0", (12, 8), (255, 0, 0))
    assert [(q.question, q.answer, q.kind) for q in second.questions] == [
        ("Is it red?", "no", "question")
    ]


def test_several_questions_and_answers() -> None:
    made = _made(
        questions=[["a?", "b?"], ["c?"]],
        answers=[[["x", "y", "y"], ["z"]], [["w"]]],
    )
    first, second = rs.data.dataset(made)
    assert [(q.question, q.answer) for q in first.questions] == [("a?", "y"), ("b?", "z")]
    assert [(q.question, q.answer) for q in second.questions] == [("c?", "w")]


def test_objects_with_boxes_names_and_crowds() -> None:
    objects = [
        {
            "bbox": [[5.0, 2.0, 4.0, 3.0], [0.0, 0.0, 2.0, 2.0]],
            "category": [1, 0],
            "iscrowd": [0, 1],
        },
        {"bbox": [], "category": [], "iscrowd": []},
    ]
    feature = {
        "bbox": datasets.Sequence(datasets.Sequence(datasets.Value("float32"))),
        "category": datasets.Sequence(datasets.ClassLabel(names=["people", "dog"])),
        "iscrowd": datasets.Sequence(datasets.Value("int64")),
    }
    made = _made(
        {"objects": feature}, objects=objects, question=["What is the dog?", "?"], answer=["a", "b"]
    )
    first, second = rs.data.dataset(made)
    (dog,) = first.objects
    assert (dog.name, dog.box, dog.boxed, dog.area) == ("dog", (5, 2, 9, 5), True, 12)
    assert first.meta["crowds"] == ("people",)
    assert first.questions[0].about == (0,)
    assert second.objects == ()
    with pytest.raises(InputError, match="pass boxes='xywh'"):
        _ = rs.data.dataset(made, boxes="xyxy")[0]


def test_masks_of_objects() -> None:
    buffer = io.BytesIO()
    pixels = np.zeros((8, 12), np.uint8)
    pixels[2:4, 3:6] = 255
    Image.fromarray(pixels).save(buffer, "PNG")
    made = _made(objects=[[{"name": "cup", "mask": buffer.getvalue(), "color": "red"}], []])
    cup = rs.data.dataset(made)[0].objects[0]
    assert (cup.name, cup.color, cup.boxed, cup.area) == ("cup", "red", False, 6)


def test_names_of_columns_and_ids(asked: Any) -> None:
    other = asked.rename_columns({"image": "photo", "answer": "gold"})
    with pytest.raises(InputError, match=r"column of images .* rs.data.dataset\(ds, image=...\)"):
        rs.data.dataset(other)
    with pytest.raises(InputError, match="column of answers"):
        rs.data.dataset(other, image="photo")
    with pytest.raises(InputError, match="expected image='none' to be a column"):
        rs.data.dataset(other, image="none")
    named = other.add_column("key", ["p", "q"])
    samples = rs.data.dataset(named, image="photo", answer="gold", id="key")
    assert [one.id for one in samples] == ["p", "q"]
    with pytest.raises(InputError, match=r"different 'key' in every row, got 'p' in rows 0 and 1"):
        rs.data.dataset(other.add_column("key", ["p", "p"]), image="photo", answer="gold", id="key")


def test_the_fingerprint_sees_the_rows(asked: Any) -> None:
    before = rs.data.dataset(asked).fingerprint
    assert rs.data.dataset(asked).fingerprint == before
    assert rs.data.dataset(asked, boxes="xyxy").fingerprint != before
    changed = asked.map(lambda row: {**row, "answer": row["answer"] + "!"})
    assert rs.data.dataset(changed).fingerprint != before


def test_from_disk_by_name_and_split(asked: Any, tmp_path: Path) -> None:
    asked.save_to_disk(tmp_path / "one")
    samples = rs.sources.open_source(f"datasets:{tmp_path / 'one'}")
    assert len(samples) == 2
    again = rs.sources.reopen_source(rs.sources.source_of(samples) or {})
    assert again.fingerprint == samples.fingerprint  # type: ignore[attr-defined]
    datasets.DatasetDict({"train": asked, "test": asked.select([1])}).save_to_disk(tmp_path / "two")
    assert len(rs.sources.open_source(f"datasets:{tmp_path / 'two'}:test")) == 1
    with pytest.raises(InputError, match=r"expected a split \(train, test\), got none"):
        rs.sources.open_source(f"datasets:{tmp_path / 'two'}")
    with pytest.raises(InputError, match="expected no split, got 'test'"):
        rs.sources.open_source(f"datasets:{tmp_path / 'one'}:test")


def test_code_of_a_dataset_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "set.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(InputError, match="a loading script, which is never run"):
        rs.sources.open_source(f"datasets:{tmp_path}")


def test_what_is_refused(asked: Any) -> None:
    with pytest.raises(InputError, match="expected one split"):
        rs.data.dataset(datasets.DatasetDict({"train": asked}))
    with pytest.raises(InputError, match="a stream has no random access"):
        rs.data.dataset(asked.to_iterable_dataset())
    with pytest.raises(InputError, match="empty dataset"):
        rs.data.dataset(asked.select([]))
    broken = datasets.Dataset.from_dict({"image": [b"no image"]})
    with pytest.raises(InputError, match=r"row 0: .* expected an image"):
        _ = rs.data.dataset(broken)[0]


def test_rows_name_files_elsewhere_only_where_that_is_asked_for(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6), "blue").save(tmp_path / "a.png")
    made = datasets.Dataset.from_list([{"image": str(tmp_path / "a.png")}])
    made.save_to_disk(tmp_path / "saved")
    with pytest.raises(InputError, match=r"row 0: .*inside the folder"):
        _ = rs.sources.open_source(f"datasets:{tmp_path / 'saved'}")[0]
    (sample,) = rs.sources.open_source(f"outside:datasets:{tmp_path / 'saved'}")
    assert sample.image.size == (8, 6)
