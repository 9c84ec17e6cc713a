"""A study runs on every kind of data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import retinoscope as rs
from retinoscope.studies import AttentionKnockout


def _coco(scenes: rs.data.Scenes, folder: Path) -> str:
    return f"coco:{rs.data.export_coco(scenes, folder)}"


def _genome(scenes: rs.data.Scenes, folder: Path) -> str:
    parts: dict[str, list[dict]] = {"image_data": [], "objects": [], "question_answers": []}
    (folder / "images").mkdir()
    for number, scene in enumerate(scenes, 1):
        scene.image.save(folder / "images" / f"{number}.jpg", quality=95)
        width, height = scene.image.size
        parts["image_data"].append({"image_id": number, "width": width, "height": height})
        objects = [
            {"object_id": k, "names": [one.name], "x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0}
            for k, one in enumerate(scene.objects)
            for x0, y0, x1, y1 in [one.box]
        ]
        parts["objects"].append({"image_id": number, "objects": objects})
        qas = [{"question": one.question, "answer": one.answer} for one in scene.questions]
        parts["question_answers"].append({"id": number, "qas": qas})
    for name, content in parts.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return f"vg:{folder}"


def _rows(scenes: rs.data.Scenes, folder: Path) -> list[dict]:
    rows = []
    for scene in scenes:
        scene.image.save(folder / f"{scene.id}.png")
        for asked in scene.questions:
            if asked.kind == "color":
                box = list(scene.objects[asked.about[0]].box)
                name = scene.objects[asked.about[0]].name
                facts = {"question": asked.question, "answer": asked.answer, "kind": asked.kind}
                rows.append({"image": f"{scene.id}.png", **facts, "object": name, "box": box})
    return rows


def _table(scenes: rs.data.Scenes, folder: Path) -> str:
    file = folder / "asked.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in _rows(scenes, folder)))
    return f"table:{file}"


def _datasets(scenes: rs.data.Scenes, folder: Path) -> str:
    datasets = pytest.importorskip("datasets", reason="needs the extra 'data'")
    rows = [
        {
            "image": str(folder / row["image"]),
            "question": row["question"],
            "answer": row["answer"],
            "kind": row["kind"],
            "objects": [{"name": row["object"], "bbox": row["box"]}],
        }
        for row in _rows(scenes, folder)
    ]
    made = datasets.Dataset.from_list(rows)
    # A scene's box gives its corners, and COCO's meaning is the default.
    made = made.map(lambda row: {"objects": [_sides(one) for one in row["objects"]]})
    made.save_to_disk(folder / "saved")
    # The rows name their images by paths outside of the saved folder.
    return f"outside:datasets:{folder / 'saved'}"


def _sides(one: dict) -> dict:
    x0, y0, x1, y1 = one["bbox"]
    return {**one, "bbox": [x0, y0, x1 - x0, y1 - y0]}


@pytest.mark.parametrize("make", [_coco, _genome, _table, _datasets])
def test_a_study_runs(
    make: Callable[[rs.data.Scenes, Path], str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("data")
    samples = rs.sources.open_source(make(rs.data.scenes(2, seed=3), folder))
    study = AttentionKnockout(
        rs.load("pocket"), samples, sources=("object+1",), targets=("last",), windows=("all",),
        max_questions=1,
    )  # fmt: skip
    results = study.run(tmp_path_factory.mktemp("run") / "out")
    assert not results.failures()
    assert results.n_samples >= 2
    assert results.summary()["rings"].to_pylist() == [1]
