"""Label maps of samples, and the two data sets that come as label maps: Pascal VOC and ADE20K."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retinoscope as rs
from retinoscope.data import IGNORE, Object, Sample, class_names, label_map
from retinoscope.errors import InputError
from retinoscope.sources import open_source

CLASS = [[0, 0, 8, 8], [0, 255, 8, 8], [12, 12, 0, 8]]
INSTANCE = [[0, 0, 1, 1], [0, 255, 1, 2], [3, 3, 0, 2]]


def _palette(values: list[list[int]]) -> Image.Image:
    image = Image.fromarray(np.array(values, np.uint8))
    image.putpalette([k for label in range(256) for k in (label, 255 - label, 7 * label % 256)])
    return image


def _voc(root: Path, labels: object = CLASS, instances: object | None = INSTANCE) -> Path:
    folder = root / "VOCdevkit" / "VOC2012"
    for name in ("JPEGImages", "SegmentationClass", "SegmentationObject"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    splits = folder / "ImageSets" / "Segmentation"
    splits.mkdir(parents=True, exist_ok=True)
    (splits / "val.txt").write_text("2007_000033\n")
    (splits / "train.txt").write_text("2007_000033\n2007_000042\n")
    for name in ("2007_000033", "2007_000042"):
        Image.new("RGB", (4, 3), "grey").save(folder / "JPEGImages" / f"{name}.jpg")
        _palette(labels).save(folder / "SegmentationClass" / f"{name}.png")
    if instances is not None:
        _palette(instances).save(folder / "SegmentationObject" / "2007_000033.png")
    return root / "VOCdevkit"


def _ade(root: Path, labels: object, names: str | None = None) -> Path:
    for kind in ("images", "annotations"):
        (root / kind / "validation").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 2), "grey").save(root / "images" / "validation" / "ADE_val_1.jpg")
    Image.fromarray(np.array(labels, np.uint8)).save(root / "annotations/validation/ADE_val_1.png")
    head = "Idx\tRatio\tTrain\tVal\tStuff\tName\n"
    rows = "1\t0.1\t9\t9\t1\twall\n2\t0.1\t9\t9\t1\tscreen, crt\n3\t0.1\t9\t9\t0\tscreen;door\n"
    (root / "objectInfo150.txt").write_text(head + rows if names is None else names)
    return root


def test_voc_has_instances_a_void_and_a_background(tmp_path: Path) -> None:
    samples = rs.data.voc(_voc(tmp_path))
    (sample,) = samples
    assert sample.id == "2007_000033"
    assert [obj.name for obj in sample.objects] == ["cat", "cat", "dog"]
    assert [obj.area for obj in sample.objects] == [3, 2, 2]
    assert sample.objects[2].box == (0, 2, 2, 3)
    assert sample.ignore is not None
    assert sample.ignore.sum() == 1
    assert (label_map(sample, class_names(samples)) == np.array(CLASS)).all()
    assert class_names(samples)[10] == "dining table"
    assert sample.meta["instances"]


def test_voc_without_instances_has_one_object_a_class(tmp_path: Path) -> None:
    (sample,) = rs.data.voc(_voc(tmp_path, instances=None))
    assert [(obj.name, obj.area) for obj in sample.objects] == [("cat", 5), ("dog", 2)]
    assert not sample.meta["instances"]


def test_splits_are_named_by_their_file(tmp_path: Path) -> None:
    root = _voc(tmp_path)
    train = root / "VOC2012" / "ImageSets" / "Segmentation" / "train.txt"
    assert len(open_source(f"voc:{train}")) == 2
    assert len(open_source(f"voc:{root / 'VOC2012'}")) == 1
    with pytest.raises(InputError, match="there are: train, val"):
        rs.data.voc(root, split="test")


def test_fingerprints_see_label_maps(tmp_path: Path) -> None:
    one = rs.data.voc(_voc(tmp_path / "a")).fingerprint
    assert rs.data.voc(_voc(tmp_path / "b")).fingerprint == one
    changed = [[0, 0, 9, 9], *CLASS[1:]]
    assert rs.data.voc(_voc(tmp_path / "b", changed)).fingerprint != one


def test_what_is_no_voc_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ImageSets/Segmentation"):
        rs.data.voc(tmp_path)
    with pytest.raises(InputError, match="labels from 0 to 20 and 255, got 77"):
        _ = rs.data.voc(_voc(tmp_path / "a", [[77] * 4] * 3))[0]
    with pytest.raises(InputError, match="size 4x3"):
        _ = rs.data.voc(_voc(tmp_path / "b", [[0] * 3] * 3))[0]
    root = _voc(tmp_path / "d")
    file = root / "VOC2012" / "SegmentationClass" / "2007_000033.png"
    Image.new("RGB", (4, 3)).save(file)
    with pytest.raises(InputError, match="mode RGB"):
        _ = rs.data.voc(root)[0]
    file.unlink()
    with pytest.raises(InputError, match=r"val\.txt names it"):
        rs.data.voc(root)


def test_an_instance_without_a_class_costs_no_sample(tmp_path: Path) -> None:
    labels = [[0, 0, 8, 8], [0, 255, 8, 8], [0, 0, 0, 8]]
    (sample,) = rs.data.voc(_voc(tmp_path, labels))
    assert [obj.name for obj in sample.objects] == ["cat", "cat"]
    # Where it lies is neither an object nor background.
    assert sample.ignore is not None
    assert sample.ignore[2, :2].all()
    assert "instance 3" in sample.meta["skipped"][0].detail


@pytest.mark.parametrize("names", ["2007_000033\n2007_000033\n", "../2007_000033\n", "/etc/x\n"])
def test_names_of_a_split_are_checked(tmp_path: Path, names: str) -> None:
    root = _voc(tmp_path)
    (root / "VOC2012/ImageSets/Segmentation/val.txt").write_text(names)
    with pytest.raises(InputError, match=r"val\.txt.*(different id|inside the folder)"):
        rs.data.voc(root)


def test_ade20k_has_regions_and_no_background(tmp_path: Path) -> None:
    samples = open_source(f"ade20k:{_ade(tmp_path, [[0, 1, 1, 1], [2, 2, 3, 3]])}")
    (sample,) = samples
    assert [(o.name, o.area) for o in sample.objects] == [
        ("wall", 3),
        ("screen, crt", 2),
        ("screen,door", 2),
    ]
    assert label_map(sample, class_names(samples)).tolist() == [[IGNORE, 1, 1, 1], [2, 2, 3, 3]]
    folder = tmp_path / "annotations" / "validation"
    assert open_source(f"ade20k:{folder}").fingerprint == samples.fingerprint


def test_what_is_no_ade20k_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="from 0 to 3, got 4"):
        _ = rs.data.ade20k(_ade(tmp_path / "a", [[4] * 4] * 2))[0]
    with pytest.raises(InputError, match="counted from 1"):
        rs.data.ade20k(_ade(tmp_path / "b", [[1] * 4] * 2, "wall\nscreen\n"))
    with pytest.raises(InputError, match="label maps"):
        rs.data.ade20k(tmp_path / "a", split="training")


def _sample(**changes: object) -> Sample:
    big, small = np.zeros((2, 3), bool), np.zeros((2, 3), bool)
    big[:, :2] = True
    small[0, 1] = True
    objects = (Object("cup", small, (1, 0, 2, 1)), Object("table", big, (0, 0, 2, 2)))
    return replace(Sample("s", Image.new("RGB", (3, 2)), objects), **changes)


def test_the_smaller_object_lies_on_top() -> None:
    sample = _sample()
    assert label_map(sample, ["cup", "table"]).tolist() == [[2, 1, 0], [2, 2, 0]]
    assert class_names([sample]) == ("cup", "table")
    others = _sample(objects=sample.objects[:1], others=sample.objects[1:])
    assert label_map(others, ["cup"]).tolist() == [[255, 1, 0], [255, 255, 0]]
    ignore = np.ones((2, 3), bool)
    found = label_map(_sample(ignore=ignore), ["cup", "table"])
    assert found.tolist() == [[2, 1, 255], [2, 2, 255]]


def test_labels_outside_the_list_and_masks_of_another_size_are_refused() -> None:
    with pytest.raises(InputError, match="classes table, got the cup: add it"):
        label_map(_sample(), ["table"])
    with pytest.raises(InputError, match="of which 2 differ"):
        label_map(_sample(), ["cup", "cup", "table"])
    wrong = Object("cup", np.ones((3, 3), bool), (0, 0, 3, 3))
    with pytest.raises(InputError, match=r"image's size 3x2 .* got 3x3 for the cup"):
        label_map(_sample(objects=(wrong,)), ["cup"])
    with pytest.raises(InputError, match="size 3x2"):
        label_map(_sample(ignore=np.ones((3, 3), bool)), ["cup", "table"])
    with pytest.raises(InputError, match="objects, got none"):
        class_names([_sample(objects=())])


def test_coco_crowds_are_ignored_pixels(tmp_path: Path) -> None:
    import json

    (tmp_path / "annotations").mkdir()
    (tmp_path / "images").mkdir()
    Image.new("RGB", (4, 2)).save(tmp_path / "images" / "a.png")
    base = {"image_id": 1, "category_id": 1, "iscrowd": 0}
    cup = base | {"id": 1, "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]}
    crowd = base | {"id": 2, "iscrowd": 1, "segmentation": {"size": [2, 4], "counts": [4, 2, 2]}}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 4, "height": 2}],
        "annotations": [cup, crowd],
        "categories": [{"id": 1, "name": "cup"}],
    }
    (tmp_path / "annotations" / "instances.json").write_text(json.dumps(content))
    samples = rs.data.coco(tmp_path)
    assert label_map(samples[0], class_names(samples)).tolist() == [[1, 1, 255, 0]] * 2
    assert samples[:1].classes == ("cup",)
