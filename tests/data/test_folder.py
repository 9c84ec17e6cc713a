"""Folders of images with tables of questions and masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import retinoscope as rs
from retinoscope.errors import InputError

ROWS = [
    {"image": "b.png", "question": "What, there?", "answer": "dog"},
    {"image": "a.jpg", "question": "What color?", "answer": "red"},
]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    Image.new("RGB", (12, 9), "blue").save(tmp_path / "b.png")
    Image.new("RGB", (10, 8), "red").save(tmp_path / "a.jpg")
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def _mask(file: Path, size: tuple[int, int] = (12, 9), value: int = 255) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(size[::-1], dtype=np.uint8)
    pixels[2:5, 3:7] = value
    Image.fromarray(pixels).save(file)


def _write(folder: Path, suffix: str, rows: list[dict[str, str]]) -> None:
    file = folder / f"questions.{suffix}"
    if suffix == "csv":
        lines = [",".join(rows[0]), *(",".join(f'"{v}"' for v in r.values()) for r in rows)]
        file.write_text("\n".join(lines), encoding="utf-8-sig")
    elif suffix == "jsonl":
        file.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)


def test_images_are_sorted_and_upright(photos: Path) -> None:
    samples = rs.data.folder(photos)
    assert [(s.id, s.image.size) for s in samples] == [("a.jpg", (10, 8)), ("b.png", (12, 9))]
    assert [s.id for s in samples[1:]] == ["b.png"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_questions_of_a_table(photos: Path, suffix: str) -> None:
    _write(photos, suffix, ROWS)
    first, second = rs.sources.open_source(f"folder:{photos}")
    assert [(q.question, q.answer, q.kind) for q in first.questions] == [
        ("What color?", "red", "question")
    ]
    assert second.questions[0].question == "What, there?"


def test_a_mask_is_named_by_the_table_and_carries_its_questions(photos: Path) -> None:
    _mask(photos / "masks" / "b.png")
    (obj,) = rs.data.folder(photos)[1].objects
    assert (obj.name, obj.box, obj.area) == ("object", (3, 2, 7, 5), 12)
    _write(photos, "csv", [ROWS[0] | {"object": "dog"}])
    sample = rs.data.folder(photos)[1]
    assert sample.objects[0].name == "dog"
    assert sample.questions[0].about == (0,)


def test_several_masks_are_named_by_their_files(photos: Path) -> None:
    _mask(photos / "masks" / "b" / "cat.png", value=1)
    _mask(photos / "masks" / "b" / "dog.png")
    _write(photos, "jsonl", [ROWS[0] | {"object": "dog"}, ROWS[0]])
    sample = rs.data.folder(photos)[1]
    assert [o.name for o in sample.objects] == ["cat", "dog"]
    assert [q.about for q in sample.questions] == [(1,), ()]


def test_the_fingerprint_sees_names_sizes_table_and_masks(photos: Path) -> None:
    prints = [rs.data.folder(photos).fingerprint]
    _write(photos, "csv", ROWS)
    prints.append(rs.data.folder(photos).fingerprint)
    _mask(photos / "masks" / "b.png")
    prints.append(rs.data.folder(photos).fingerprint)
    (photos / "a.jpg").rename(photos / "c.jpg")
    (photos / "questions.csv").unlink()
    prints.append(rs.data.folder(photos).fingerprint)
    assert len(set(prints)) == 4
    assert rs.data.folder(photos).fingerprint == prints[-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,question\na.jpg,why\n", "add answer"),
        ("image,question,answer\nz.jpg,why,no\n", "line 2.*z.jpg"),
        ("image,question,answer\na.jpg,why,\n", "line 2.*answer"),
        ("image,question,answer\na.jpg,why,no,yes\n", "line 2.*quotes"),
        ("", "got none"),
    ],
)
def test_bad_tables_are_refused(photos: Path, text: str, message: str) -> None:
    (photos / "questions.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        rs.data.folder(photos)


def test_other_bad_tables_are_refused(photos: Path) -> None:
    (photos / "questions.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="parquet"):
        rs.data.folder(photos)
    (photos / "questions.jsonl").write_text("[1]")
    with pytest.raises(InputError, match="expected one table"):
        rs.data.folder(photos)
    (photos / "questions.parquet").unlink()
    with pytest.raises(InputError, match="line 1"):
        rs.data.folder(photos)


def test_bad_masks_are_refused(photos: Path) -> None:
    mask = photos / "masks" / "b.png"
    _mask(mask, size=(9, 12))
    with pytest.raises(InputError, match=r"12x9.*got 9x12"):
        rs.data.folder(photos)[1]
    _mask(mask, value=0)
    with pytest.raises(InputError, match="empty"):
        rs.data.folder(photos)[1]
    Image.fromarray(np.arange(108, dtype=np.uint8).reshape(9, 12)).save(mask)
    with pytest.raises(InputError, match="107 other values"):
        rs.data.folder(photos)[1]
    mask.write_bytes(b"x")
    with pytest.raises(InputError, match="damaged"):
        rs.data.folder(photos)[1]
    mask.rename(photos / "masks" / "z.png")
    with pytest.raises(InputError, match="'z'"):
        rs.data.folder(photos)


def test_empty_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got none"):
        rs.data.folder(tmp_path)
    with pytest.raises(InputError, match="nothing there"):
        rs.data.folder(tmp_path / "no")
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="a file"):
        rs.data.folder(tmp_path / "a.png")
    samples = rs.data.folder(tmp_path)
    with pytest.raises(InputError, match=r"a\.png.*empty"):
        samples[0]


def test_what_looks_like_an_image_and_is_not_read_is_named(photos: Path) -> None:
    Image.new("RGB", (12, 9)).save(photos / "c.jfif", "JPEG")
    for name in ("d.heic", "e.AVIF", ".hidden.heic"):
        (photos / name).write_bytes(b"x")
    (photos / "f.jpg").symlink_to(photos / "nowhere.jpg")
    (photos / "more").mkdir()
    Image.new("RGB", (12, 9)).save(photos / "more" / "g.png")
    samples = rs.data.folder(photos)
    assert [one.id for one in samples] == ["a.jpg", "b.png", "c.jfif"]
    told = [(one.kind, one.detail) for one in samples.skipped]
    assert sum("format" in kind for kind, _ in told) == 2
    assert any("link" in kind and "f.jpg" in detail for kind, detail in told)
    assert any("folder" in kind and "more" in detail for kind, detail in told)


def test_a_folder_of_other_pictures_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"x")
    with pytest.raises(InputError, match=r"a\.heic.*save it as"):
        rs.data.folder(tmp_path)


def test_a_mask_of_two_images_is_refused(photos: Path) -> None:
    Image.new("RGB", (12, 9)).save(photos / "b.jpg")
    _mask(photos / "masks" / "b.png")
    with pytest.raises(InputError, match="several images called 'b'"):
        rs.data.folder(photos)
