"""COCO folders: what is exported comes back; what does not fit is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retinoscope as rs
from retinoscope.data import export_coco
from retinoscope.errors import InputError

SQUARE = [[2, 1, 6, 1, 6, 5, 2, 5]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_coco(rs.data.scenes(6, seed=3), tmp_path_factory.mktemp("coco") / "out")


_A = {"id": 7, "file_name": "a.png", "width": 10, "height": 8}
_CAT = {"id": 1, "name": "cat"}


def _folder(root: Path, **changes: object) -> Path:
    """A folder of one image 10 x 8 with a square cup, and whatever `changes` replaces."""
    content = {
        "images": [{"id": 7, "file_name": "a.png", "width": 10, "height": 8}],
        "annotations": [_cup()],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "teddy bear"}],
    } | changes
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / "images").mkdir(exist_ok=True)
    Image.new("RGB", (10, 8), "red").save(root / "images" / "a.png")
    (root / "annotations" / "instances_val.json").write_text(json.dumps(content))
    return root


def _cup(**changes: object) -> dict[str, object]:
    return {
        "id": 1,
        "image_id": 7,
        "category_id": 1,
        "segmentation": SQUARE,
        "iscrowd": 0,
    } | changes


def test_exported_scenes_come_back(exported: Path) -> None:
    drawn, read = rs.data.scenes(6, seed=3), rs.data.coco(exported)
    assert len(read) == 6
    for before, after in zip(drawn, read, strict=True):
        assert (np.asarray(before.image) == np.asarray(after.image)).all()
        assert [o.name for o in before.objects] == [o.name for o in after.objects]
        for old, new in zip(before.objects, after.objects, strict=True):
            assert (old.mask == new.mask).all()
            assert old.box == new.box


def test_questions_come_back_with_what_they_are_about(exported: Path) -> None:
    drawn, read = rs.data.scenes(6, seed=3), rs.data.coco(exported)
    for before, after in zip(drawn, read, strict=True):
        assert before.questions == after.questions


def test_an_explicit_about_survives_annotations_that_are_left_out(tmp_path: Path) -> None:
    crowd = _cup(id=2, iscrowd=1, segmentation={"size": [8, 10], "counts": [0, 80]})
    folder = _folder(tmp_path, annotations=[crowd, _cup()])
    asked = {"image_id": 7, "question": "What is it?", "answer": "mug", "about": [1]}
    (folder / "questions.json").write_text(json.dumps([asked]))
    (question,) = rs.data.coco(folder)[0].questions
    assert question.about == (0,)


def test_about_is_empty_where_two_objects_could_be_meant(tmp_path: Path) -> None:
    folder = _folder(tmp_path, annotations=[_cup(), _cup(id=2)])
    asked = {"file_name": "a.png", "question": "What is there?", "answer": "cup"}
    (folder / "questions.json").write_text(json.dumps([asked]))
    assert rs.data.coco(folder)[0].questions[0].about == ()


def test_the_stated_area_is_kept_and_checked(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", annotations=[_cup(area=17.5), _cup(id=2)])
    assert [obj.stated_area for obj in rs.data.coco(folder)[0].objects] == [17.5, None]
    for number, wrong in enumerate((-1, "17", float("nan"))):
        folder = _folder(tmp_path / str(number), annotations=[_cup(area=wrong)])
        with pytest.raises(InputError, match="area"):
            rs.data.coco(folder)


def test_polygons_crowds_and_specks(tmp_path: Path) -> None:
    crowd = _cup(id=2, iscrowd=1, category_id=2, segmentation={"size": [8, 10], "counts": [0, 80]})
    speck = _cup(id=3, segmentation=[[0.6, 0.6, 0.9, 0.6, 0.9, 0.9]])
    folder = _folder(tmp_path, annotations=[_cup(), crowd, speck])
    (sample,) = rs.data.coco(folder)
    assert [o.name for o in sample.objects] == ["cup"]
    assert sample.objects[0].area == 16
    assert sample.objects[0].box == (2, 1, 6, 5)
    assert sample.meta["crowds"] == ("teddy bear",)
    assert sample.meta["unseen"] == (3,)
    (sample,) = rs.data.coco(folder, crowds=True)
    assert [(o.name, o.area) for o in sample.objects] == [("cup", 16), ("teddy bear", 80)]


def test_slices_are_lazy_and_have_fingerprints_of_their_own(exported: Path) -> None:
    samples = rs.data.coco(exported)
    part = samples[1:5:2]
    assert isinstance(part, type(samples))
    assert [s.id for s in part] == ["2", "4"]
    assert samples[-1].id == part[::-1][0].id.replace("4", "6")
    assert part.fingerprint != samples.fingerprint
    assert samples[:].fingerprint == samples.fingerprint == rs.data.coco(exported).fingerprint
    with pytest.raises(IndexError):
        samples[6]


def test_the_fingerprint_is_of_the_content_not_of_the_place(tmp_path: Path) -> None:
    one, two = _folder(tmp_path / "one"), _folder(tmp_path / "two")
    print_of = rs.data.coco(one).fingerprint
    assert rs.data.coco(two).fingerprint == print_of
    _folder(two, annotations=[])
    assert rs.data.coco(two).fingerprint != print_of


def test_the_spec_takes_a_folder_or_an_instances_file(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    other = folder / "annotations" / "instances_train.json"
    other.write_text((folder / "annotations" / "instances_val.json").read_text())
    with pytest.raises(InputError, match=r"instances_train\.json, instances_val\.json"):
        rs.data.coco(folder)
    assert len(rs.sources.open_source(f"coco:{other}")) == 1
    assert len(rs.data.coco(folder, annotations="annotations/instances_val.json")) == 1


def test_images_lie_in_a_folder_named_as_the_split(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    (folder / "images").rename(folder / "val")
    assert rs.data.coco(folder)[0].image.size == (10, 8)
    (folder / "val").rename(folder / "elsewhere")
    with pytest.raises(InputError, match=r"a\.png"):
        rs.data.coco(folder)
    assert len(rs.data.coco(folder, images="elsewhere")) == 1


def test_missing_images_are_refused_or_left_out(tmp_path: Path) -> None:
    images = [
        {"id": 7, "file_name": "a.png", "width": 10, "height": 8},
        {"id": 8, "file_name": "b.png", "width": 10, "height": 8},
    ]
    folder = _folder(tmp_path, images=images)
    with pytest.raises(InputError, match=r"b\.png.*1 of the 2"):
        rs.data.coco(folder)
    assert [s.id for s in rs.data.coco(folder, skip_missing=True)] == ["7"]


def test_exif_counts_only_where_the_annotations_follow_it(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    pixels = Image.new("RGB", (10, 8), "red")
    for name, size in (("stored", (10, 8)), ("upright", (8, 10))):
        entry = {"id": 7, "file_name": "a.jpg", "width": size[0], "height": size[1]}
        folder = _folder(tmp_path / name, images=[entry])
        pixels.save(folder / "images" / "a.jpg", exif=turned)
        assert rs.data.coco(folder)[0].image.size == size


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": [_cup(image_id=99)]}, "annotation 1.*image 99"),
        ({"annotations": [_cup(category_id=99)]}, "annotation 1.*category 99"),
        ({"annotations": [{"id": 1}]}, "annotation 1 .*'image_id'"),
        ({"annotations": [_cup(image_id=[7])]}, "'image_id'"),
        ({"annotations": None}, "lists images, annotations"),
        ({"images": []}, "at least one image"),
        ({"images": [_A] * 2}, "different id for every image, got '7' 2 times"),
        ({"categories": [{"id": 1}]}, "category 1 .*'name'"),
        # Each of these was read without a word before, some as other data than was meant.
        ({"categories": [_CAT, {"id": 1, "name": "dog"}]}, "id for every category, got '1'"),
        ({"images": [_A, {**_A, "id": "7", "file_name": "b.png"}]}, "id for every image, got '7'"),
        ({"annotations": [_cup(), _cup()]}, "id for every annotation, got '1'"),
        ({"annotations": [_cup(bbox=[2, 1, float("nan"), 4])]}, r"annotation 1 .*'bbox\[2\]'.*nan"),
        ({"annotations": [_cup(bbox=[6, 1, -4, 4])]}, r"annotation 1 .*'bbox\[2\]'.*-4"),
        ({"annotations": [_cup(bbox=[2, 1, 4])]}, r"annotation 1 .*'bbox\[3\]'"),
        ({"annotations": [_cup(segmentation=[])]}, "annotation 1: .*segmentation or a bbox"),
        ({"annotations": [_cup(image_id=True)]}, "annotation 1 .*'image_id'.*True"),
        ({"annotations": [_cup(iscrowd="0")]}, "annotation 1 .*'iscrowd'"),
        ({"images": [{**_A, "width": 0}]}, "image 7 .*'width'.*got 0"),
        ({"images": [{**_A, "height": 8.5}]}, "image 7 .*'height'.*8.5"),
        ({"images": [{**_A, "file_name": "../a.png"}]}, r"image 7: .*inside the folder.*\.\./a"),
        ({"images": [{**_A, "file_name": "/etc/a.png"}]}, "image 7: .*inside the folder.*/etc"),
        ({"images": [{**_A, "file_name": "C:\\\\a.png"}]}, "image 7: .*inside the folder"),
    ],
)
def test_bad_instances_are_refused_at_once(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        rs.data.coco(_folder(tmp_path, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": [{"id": 7, "file_name": "a.png", "width": 9, "height": 8}]}, "9x8.*10x8"),
    ],
)
def test_bad_samples_are_refused_on_access(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    samples = rs.data.coco(_folder(tmp_path, **changes))
    with pytest.raises(InputError, match=message):
        samples[0]


def test_an_unreadable_image_is_named_on_access(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    (folder / "images" / "a.png").write_bytes(b"not an image")
    samples = rs.data.coco(folder)
    with pytest.raises(InputError, match=r"a\.png"):
        samples[0]


def test_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing there"):
        rs.data.coco(tmp_path / "none")
    with pytest.raises(InputError, match=r"annotations/instances\*\.json"):
        rs.data.coco(tmp_path)
    folder = _folder(tmp_path)
    (folder / "questions.json").write_text('[{"question": "q", "answer": "a", "image_id": 1}]')
    with pytest.raises(InputError, match=r"question 1.*got 1"):
        rs.data.coco(folder)
    with pytest.raises(InputError, match=r"absent\.json"):
        rs.data.coco(folder, questions="absent.json")
    (folder / "annotations" / "instances_val.json").write_text("{")
    with pytest.raises(InputError, match="expected JSON"):
        rs.data.coco(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"segmentation": [[1, 2]]}, "3 points"),
        ({"segmentation": {"size": [3, 3], "counts": [9]}}, "size"),
        ({"segmentation": [[1, 2, float("nan"), 4, 5, 6]]}, "finite"),
        ({"segmentation": [[1, 2, 1e300, 4, 5, 6]]}, "finite"),
        ({"segmentation": [["1", "2", "3", "4", "5", "6"]]}, "numbers"),
        ({"segmentation": [7]}, "numbers"),
        ({"bbox": [2, 1, 40, 4]}, "'bbox'.*42"),
    ],
)
def test_a_damaged_annotation_costs_its_object_and_not_the_sample(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    bad = {"bbox": [0, 5, 4, 2]} | changes
    folder = _folder(tmp_path, annotations=[_cup(), _cup(id=2, category_id=2, **bad)])
    (sample,) = rs.data.coco(folder)
    assert [one.name for one in sample.objects] == ["cup"]
    # It is there: it counts as an instance, and where it may be is no background.
    (other,) = sample.others
    assert (other.name, other.boxed) == ("teddy bear", True)
    assert other.mask[5:7, 2:4].all() or "bbox" in changes
    (skipped,) = sample.meta["skipped"]
    assert "annotation 2" in skipped.detail
    assert re.search(reason, skipped.detail)


def test_without_a_box_all_of_the_image_may_be_what_was_left_out(tmp_path: Path) -> None:
    folder = _folder(tmp_path, annotations=[_cup(segmentation=[[1, 2]])])
    assert rs.data.coco(folder)[0].others[0].mask.all()


def test_boxes_are_cut_where_they_stick_out_by_a_pixel(tmp_path: Path) -> None:
    folder = _folder(tmp_path, annotations=[_cup(bbox=[-1, 1, 12, 4])])
    (sample,) = rs.data.coco(folder)
    assert sample.objects[0].box == (0, 1, 10, 5)
    assert sample.meta["skipped"] == ()


def test_an_annotation_of_a_box_alone_is_that_box(tmp_path: Path) -> None:
    folder = _folder(tmp_path, annotations=[_cup(segmentation=[], bbox=[2, 1, 4, 4])])
    (found,) = rs.data.coco(folder)[0].objects
    assert (found.boxed, found.area, found.box) == (True, 16, (2, 1, 6, 5))


def test_files_outside_the_folder_are_read_where_that_is_asked_for(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "data", images=[{**_A, "file_name": "../../b.png"}])
    Image.new("RGB", (10, 8), "blue").save(tmp_path / "b.png")
    (sample,) = rs.sources.open_source(f"outside:coco:{folder}")
    assert sample.image.getpixel((0, 0)) == (0, 0, 255)


def test_a_byte_order_mark_is_no_damage(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    file = folder / "annotations" / "instances_val.json"
    plain = rs.data.coco(folder)[0]
    for encoding in ("utf-8-sig", "utf-16"):
        file.write_text(json.dumps(json.loads(file.read_text("utf-8"))), encoding)
        assert rs.data.coco(folder)[0].objects[0].box == plain.objects[0].box
        file.write_text(json.dumps(json.loads(file.read_text(encoding))), "utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"about": [1]}, "question 1: .*'about'.*1 annotations"),
        ({"about": [-1]}, r"question number 1: .*about\[0\].*-1"),
        ({"question": " "}, "question number 1: .*'question'"),
        ({"answer": 4}, "question number 1: .*'answer'.*4"),
        ({"image_id": 8}, "question 1: .*8"),
    ],
)
def test_questions_are_checked(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    folder = _folder(tmp_path)
    asked = {"image_id": 7, "question": "What is it?", "answer": "mug"} | changes
    (folder / "questions.json").write_text(json.dumps([asked]))
    with pytest.raises(InputError, match=message):
        rs.data.coco(folder)


def test_a_file_name_of_two_images_does_not_say_which_is_asked_about(tmp_path: Path) -> None:
    folder = _folder(tmp_path, images=[_A, {**_A, "id": 8}])
    asked = {"file_name": "a.png", "question": "What is it?", "answer": "mug"}
    (folder / "questions.json").write_text(json.dumps([asked]))
    with pytest.raises(InputError, match="shared by 2 images"):
        rs.data.coco(folder)
