"""One's own data at first try: the layouts that docs/data.md shows, through the command line."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retinoscope as rs
from retinoscope.cli import main
from retinoscope.data import Gaze, export_coco
from retinoscope.store import read_manifest

KNOCKOUT = ("--windows", "all", "--targets", "last", "--examples", "1")
ABLATE = ("--sizes", "10", "--gradient-steps", "2", "--examples", "1")


def _scenes() -> rs.data.Scenes:
    return rs.data.scenes(2, seed=3)


def _images(folder: Path, suffix: str = "png") -> None:
    for scene in _scenes():
        scene.image.save(folder / f"{scene.id}.{suffix}", quality=95)


def _questions(folder: Path, *, boxes: bool = False) -> Path:
    """The table that the page shows: image, question, answer; and box and object with `boxes`."""
    rows = ["image,question,answer" + (",object,box" if boxes else "")]
    for scene in _scenes():
        for asked in scene.questions:
            if asked.kind == "color":
                obj = scene.objects[asked.about[0]]
                box = " ".join(f"{side:g}" for side in obj.box)
                more = f',{obj.name},"{box}"' if boxes else ""
                rows.append(f"{scene.id}.png,{asked.question},{asked.answer}{more}")
    file = folder / "questions.csv"
    file.write_text("\n".join(rows), "utf-8-sig")
    return file


def _coco(folder: Path) -> str:
    return f"coco:{export_coco(_scenes(), folder / 'coco')}"


def _genome(folder: Path) -> str:
    (folder / "VG_100K").mkdir()
    images, objects = [], []
    for number, scene in enumerate(_scenes(), start=1):
        scene.image.save(folder / "VG_100K" / f"{number}.jpg", quality=95)
        width, height = scene.image.size
        images.append({"image_id": number, "width": width, "height": height})
        found = [
            {"object_id": k, "names": [one.name], "x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0}
            for k, one in enumerate(scene.objects)
            for x0, y0, x1, y1 in [one.box]
        ]
        objects.append({"image_id": number, "objects": found})
    (folder / "image_data.json").write_text(json.dumps(images))
    (folder / "objects.json").write_text(json.dumps(objects))
    return f"vg:{folder}"


def _voc(folder: Path) -> str:
    for name in ("JPEGImages", "SegmentationClass", "SegmentationObject"):
        (folder / "VOC2012" / name).mkdir(parents=True)
    names = []
    for scene in _scenes():
        labels = np.zeros(scene.objects[0].mask.shape, np.uint8)
        labels[scene.objects[0].mask] = 8
        scene.image.save(folder / "VOC2012" / "JPEGImages" / f"{scene.id}.jpg")
        for kind, values in (("Class", labels), ("Object", labels // 8)):
            file = folder / "VOC2012" / f"Segmentation{kind}" / f"{scene.id}.png"
            Image.fromarray(values).save(file)
        names.append(scene.id)
    split = folder / "VOC2012" / "ImageSets" / "Segmentation" / "val.txt"
    split.parent.mkdir(parents=True)
    split.write_text("\n".join(names))
    return f"voc:{folder / 'VOC2012'}"


def _ade(folder: Path) -> str:
    names = "Idx\tRatio\tTrain\tVal\tStuff\tName\n1\t0\t0\t0\t0\tcat"
    (folder / "objectInfo150.txt").write_text(names)
    for scene in _scenes():
        for kind in ("images", "annotations"):
            (folder / kind / "validation").mkdir(parents=True, exist_ok=True)
        scene.image.save(folder / "images" / "validation" / f"{scene.id}.jpg")
        labels = scene.objects[0].mask.astype(np.uint8)
        Image.fromarray(labels).save(folder / "annotations" / "validation" / f"{scene.id}.png")
    return f"ade20k:{folder}"


@pytest.mark.parametrize("make", [_coco, _genome, _voc, _ade])
def test_documented_layouts_of_data_sets_run(
    make: Callable[[Path], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make(tmp_path)
    command = ["lens", "pocket", data, "--no-untrained", "--examples", "1"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    told = capsys.readouterr().err
    assert f"data: {data}" in told
    assert "2 images" in told
    held = read_manifest(tmp_path / "run")["data"]
    assert held["contents"]["counts"]["samples"] == 2  # type: ignore[index,call-overload]


@pytest.mark.parametrize("kind", ["table", "folder", "datasets"])
@pytest.mark.parametrize(("study", "options"), [("ablate", ABLATE), ("knockout", KNOCKOUT)])
def test_questions_without_objects_have_the_sets_that_need_none(
    kind: str,
    study: str,
    options: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _images(tmp_path)
    file = _questions(tmp_path)
    data = {"table": f"table:{file}", "folder": f"folder:{tmp_path}"}.get(kind) or _saved(tmp_path)
    out = tmp_path / "run"
    assert main([study, "pocket", data, "--out", str(out), *options]) == 0
    told = capsys.readouterr().err
    # Said before the model is loaded: what is left out, and the line that adds it.
    before = told[: told.index(f"{'ablation' if study == 'ablate' else study} of pocket")]
    assert "0 objects" in before
    assert "left out" in before
    added = {"table": "object and box", "folder": "masks/", "datasets": '"bbox"'}[kind]
    assert added in before
    table = rs.studies.open_results(out).table.to_pydict()
    assert not any(table["error"])
    if study == "ablate":
        drawn = set(zip(table["token_set"], table["n_drawn"], strict=True))
        assert {("random", 10), ("gradient", 10)} <= drawn
        assert "object" not in table["token_set"]
    else:
        assert set(table["token_set"]) == {"none", "last-row", "question", "visual"}
    assert main(["report", str(out)]) == 0


def _saved(folder: Path) -> str:
    datasets = pytest.importorskip("datasets", reason="needs the extra 'data'")
    rows = [
        {
            "image": {"bytes": (folder / sample.id).read_bytes()},
            "question": q.question,
            "answer": q.answer,
        }
        for sample in rs.data.folder(folder)
        for q in sample.questions
    ]
    features = datasets.Features(
        image=datasets.Image(), question=datasets.Value("string"), answer=datasets.Value("string")
    )
    datasets.Dataset.from_list(rows, features=features).save_to_disk(folder / "saved")
    return f"datasets:{folder / 'saved'}"


def test_the_line_that_was_told_is_enough(tmp_path: Path) -> None:
    _images(tmp_path)
    data = f"table:{_questions(tmp_path, boxes=True)}"
    out = tmp_path / "run"
    assert main(["ablate", "pocket", data, "--out", str(out), *ABLATE]) == 0
    assert 1 in rs.studies.open_results(out).table["rings"].to_pylist()


@pytest.mark.parametrize(
    ("command", "lacks"),
    [
        (["ablate", "pocket"], "questions.csv"),
        (["knockout", "pocket"], "questions.csv"),
        (["lens", "pocket"], "masks/"),
        (["flow", "pocket"], "questions.csv"),
        (["look", "pocket"], "masks/"),
        (["reprompt", "pocket"], "questions.csv"),
        (["attend", "pocket"], "masks/"),
        (["group", "pocket"], "masks/"),
        (["probe", "pocket"], "masks/"),
        (["curate", "pocket"], "masks/"),
        (["reproduce", "neo2024", "pocket"], "masks/"),
    ],
)
def test_images_alone_are_refused_before_the_model_is_loaded(
    command: list[str],
    lacks: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded")

    # Modules imported while `load` is replaced would keep it for later tests.
    for module in (
        "_planted_check",
        "_untrained",
        "group.planted",
        "group.subjects",
        "probe.sources",
    ):
        importlib.import_module(f"retinoscope.studies.{module}")
    monkeypatch.setattr("retinoscope.engine.load", loaded)
    monkeypatch.setattr("retinoscope.encoders.load", loaded)
    (tmp_path / "in").mkdir()
    _images(tmp_path / "in")
    assert main([*command, f"folder:{tmp_path / 'in'}", "--out", str(tmp_path / "run")]) == 2
    (error,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error:")]
    assert "0 objects" in error or "needs objects" in error
    assert lacks in error
    assert [one.name for one in tmp_path.iterdir()] == ["in"]


def test_a_refused_run_leaves_its_folder_to_the_corrected_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused late, by the study itself: the claim and the files go."""
    _images(tmp_path)
    data, out = f"folder:{tmp_path}", tmp_path / "run"
    _questions(tmp_path, boxes=True)
    # No object is named by the description, which only the model can say.
    look = ["look", "pocket", data, "--out", str(out), "--no-untrained", "--max-new-tokens", "1"]
    assert main(look) == 2
    assert "nothing to ask about" in capsys.readouterr().err
    assert not out.exists()
    assert main([*look[:-1], "40"]) == 0


def test_another_run_is_told_by_names_and_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _images(tmp_path)
    data, out = f"table:{_questions(tmp_path, boxes=True)}", str(tmp_path / "run")
    assert main(["lens", "pocket", data, "--no-untrained", "--out", out]) == 0
    other = ["lens", "pocket", "scenes:3", "--no-untrained", "--covers", "0.5", "--out", out]
    capsys.readouterr()
    assert main([*other, "--seed", "4"]) == 2
    (error,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error:")]
    for told in (data, "2 samples", "scenes:3", "3 samples", "covers", "seeds.study", "here: 4"):
        assert told in error
    print_of = str(read_manifest(out)["data"]["fingerprint"])  # type: ignore[index,call-overload]
    assert print_of[:8] not in error
    # The same name, and other content.
    Image.new("RGB", _scenes()[0].image.size).save(tmp_path / f"{_scenes()[0].id}.png")
    assert main(["lens", "pocket", data, "--no-untrained", "--out", out]) == 2
    assert "has changed since" in capsys.readouterr().err


def test_what_was_left_out_is_said_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = export_coco(_scenes(), tmp_path / "coco")
    (file,) = (folder / "annotations").glob("instances*.json")
    content = json.loads(file.read_text())
    content["annotations"][0]["segmentation"] = [[1, 2]]
    file.write_text(json.dumps(content))
    out = tmp_path / "run"
    assert main(["lens", "pocket", f"coco:{folder}", "--no-untrained", "--out", str(out)]) == 0
    assert "annotation is damaged: 1 " in capsys.readouterr().err
    held = read_manifest(out)["data"]["contents"]["skipped"]  # type: ignore[index,call-overload]
    ((number, first),) = held.values()  # type: ignore[union-attr]
    assert number == 1
    assert "3 points" in first


def test_an_observer_without_a_text_is_no_need_met() -> None:
    """Alignment needs texts: gazes that look freely do not count."""
    image = Image.new("RGB", (8, 8))
    free = Gaze(None, (8, 8), "human", np.ones((1, 2)), np.ones(1), settings={"bandwidth": 1.0})
    study = rs.studies.AttentionAlignment(None, [rs.data.Sample("a", image, attention=(free,))])  # type: ignore[arg-type]
    with pytest.raises(rs.InputError, match="vista:FOLDER"):
        study.fitted(study.survey("nowhere"))
