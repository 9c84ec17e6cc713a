"""Malformed data and gaze end in one line; `python -m benchmarks.malformed_data` tries more."""

from __future__ import annotations

import json
import resource
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.io import savemat

import retinoscope as rs
from benchmarks.malformed_data import SOURCES, make_sources, read, sweep
from retinoscope.data import decode_segmentation, maps
from retinoscope.data.maps import kernel_density
from retinoscope.errors import InputError, RetinoscopeError

COUNT = 2 * len(SOURCES)
Make = Callable[[str], tuple[Path, Callable[[], str]]]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("datasets", reason="needs the extra 'data'")
    pytest.importorskip("pycocotools", reason="needs the extra 'coco'")
    return make_sources(tmp_path_factory.mktemp("good"))


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """Writes a source that is sound, to be spoilt; returns its folder and what reads it."""

    def make(name: str) -> tuple[Path, Callable[[], str]]:
        folder = make_sources(tmp_path, [name])[name]
        return folder, lambda: read(lambda: SOURCES[name][1](folder))

    return make


def test_no_error_of_python_comes_through(good: dict[str, Path], tmp_path: Path) -> None:
    for name, folder in good.items():
        assert "Error" not in read(lambda name=name, folder=folder: SOURCES[name][1](folder))
    rows = sweep(good, tmp_path, COUNT, seed=3)
    assert [row for row in rows if row["fault"]] == []
    assert sum(row["end"].startswith("InputError") for row in rows) > COUNT / 4


def _lines(name: str) -> str:
    return {"voc": "ImageSets/Segmentation/val.txt", "ade20k": "objectInfo150.txt"}[name]


@pytest.mark.parametrize("name", ["voc", "ade20k"])
def test_a_list_that_is_no_text(name: str, made: Make) -> None:
    folder, opened = made(name)
    (folder / _lines(name)).write_bytes(b"\xff\xfe\xfd")
    assert opened() == "InputError"


@pytest.mark.parametrize("called", ["9" * 300, "a/" * 2_000, "\ud800"])
def test_a_name_that_no_file_can_have(called: str, made: Make, tmp_path: Path) -> None:
    folder, opened = made("table-jsonl")
    (folder / "asked.jsonl").write_text(json.dumps({"image": called}))
    assert opened() == "InputError"
    if called.isascii():
        folder, opened = made("voc")
        (folder / _lines("voc")).write_text(called)
        assert opened() == "InputError"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("vista-recordings", "scene-3-000000.0.json"),
        ("gaze-maps", "maps/1.npy"),
        ("gaze-maps", "fixations/2.parquet"),
        ("collected", "sessions/5/1.parquet"),
        ("ade20k", "annotations/validation/1.png"),
    ],
)
def test_a_folder_in_place_of_a_file(name: str, file: str, made: Make) -> None:
    folder, opened = made(name)
    (folder / file).unlink()
    (folder / file).mkdir()
    assert opened().startswith("InputError")
    assert SOURCES[name][1](folder)


@pytest.mark.parametrize("image", [".", "/", ""])
@pytest.mark.parametrize(("name", "table"), [("gaze-csv", "fixations"), ("vista-maps", "triplets")])
def test_an_image_of_no_name(image: str, name: str, table: str, made: Make) -> None:
    folder, opened = made(name)
    head = "image,x,y" if table == "fixations" else "image,text,segment,map"
    row = f"{image},1,2" if table == "fixations" else f"{image},a cup,cup,a.npy"
    (folder / "gaze.json").unlink()
    (folder / f"{table}.csv").write_text(f"{head}\n{row}\n")
    assert opened() == "InputError"


def _npz(file: Path) -> None:
    with file.open("wb") as stream:
        np.savez(stream, a=np.ones((2, 2)))


def _npy(values: np.ndarray) -> Callable[[Path], None]:
    return lambda file: np.save(file, values, allow_pickle=True)


@pytest.mark.parametrize(
    "write",
    [
        _npz,
        _npy(np.zeros((0, 144))),
        _npy(np.array([{}])),
        _npy(np.full((144, 144), 1e308)),
        lambda file: file.write_bytes(b"\x93NUMPY\x01\x00v\x00" + b"(" * 118),
    ],
)
def test_an_array_that_is_no_map(write: Callable[[Path], None], made: Make) -> None:
    folder, opened = made("vista-maps")
    write(folder / "a.npy")
    assert opened() == "InputError of a sample"


def _grown(work: Callable[[], object]) -> int:
    """MiB by which the most memory grew."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10


def test_twenty_million_packed_points_are_counted_before_they_are_made(made: Make) -> None:
    folder, opened = made("gaze-mat")
    file = folder / "fixations" / "1.mat"
    savemat(file, {"fixLocs": np.zeros((20_000_000, 2), np.uint8)}, do_compression=True)
    assert file.stat().st_size < 100_000
    assert _grown(opened) < 200
    with pytest.raises(InputError, match=r"at most 1,000,000 positions, got 20,000,000"):
        _ = rs.gaze.folder(folder)[0]
    savemat(file, {"fixLocs": np.zeros((20_000_000, 2))}, do_compression=True)
    with pytest.raises(InputError, match="at most 128 MiB") as caught:
        _ = rs.gaze.folder(folder)[0]
    assert str(caught.value).count("1.mat") == 1


def test_millions_of_empty_elements_are_counted(made: Make) -> None:
    folder, _ = made("gaze-mat")
    file = folder / "fixations" / "1.mat"
    matrix = (14).to_bytes(4, "little") + bytes(4)
    content = matrix * 10**6
    whole = (14).to_bytes(4, "little") + len(content).to_bytes(4, "little") + content
    packed = zlib.compress(whole)
    tag = (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little")
    file.write_bytes(file.read_bytes()[:128] + tag + packed)
    with pytest.raises(InputError, match="more than 100,000 elements"):
        _ = rs.gaze.folder(folder)[0]


def test_many_fixations_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    points, weights = rng.random((200_000, 2)) * 144, rng.random(200_000)

    def density(n: int) -> np.ndarray:
        return kernel_density(points[:n], weights[:n], (144, 144), 5)

    assert _grown(lambda: density(len(points))) < 200
    whole = density(100)
    monkeypatch.setattr(maps, "_AT_ONCE", 7 * 288)
    np.testing.assert_allclose(density(100), whole, rtol=1e-12)


@pytest.mark.parametrize("name", ["table-parquet", "collected", "gaze-maps"])
def test_rows_that_take_no_bytes_are_counted(name: str, made: Make) -> None:
    folder, opened = made(name)
    file = next(folder.rglob("*.parquet"))
    table = pq.read_table(file).slice(0, 1)
    many = table.take(pa.array(np.zeros(1_500_000, np.int8)))
    pq.write_table(many, file)
    assert file.stat().st_size < 1_500_000
    assert opened().startswith("InputError")
    with pytest.raises(InputError, match=r"at most 1,000,000 .*got 1,500,000"):
        _ = [*SOURCES[name][1](folder)]


def test_a_cell_that_python_has_no_value_for(made: Make) -> None:
    folder, opened = made("table-parquet")
    table = pq.read_table(folder / "asked.parquet")
    far = pa.array([2**62] * table.num_rows, pa.timestamp("us"))
    with pytest.raises((ValueError, OverflowError)):
        far.to_pylist()
    pq.write_table(table.set_column(0, "image", far), folder / "asked.parquet")
    assert opened() == "InputError"


@pytest.mark.parametrize(
    "counts",
    [[2**62] * 4 + [48], [2**62, 2**62, 2**62, 2**62 + 48]],
)
def test_run_lengths_that_begin_anew_at_zero(counts: list[int]) -> None:
    assert int(np.array(counts).sum()) == 48
    with pytest.raises(InputError, match="add up to 48 pixels"):
        decode_segmentation({"size": [6, 8], "counts": counts}, 6, 8)


def test_polygons_upon_each_other_are_bounded() -> None:
    whole = [0, 0, 400, 0, 400, 300, 0, 300]
    assert decode_segmentation([whole] * 100, 300, 400).all()
    with pytest.raises(InputError, match="separate polygons, got 100000"):
        decode_segmentation([whole] * 100_000, 300, 400)


@pytest.mark.parametrize("name", ["coco", "vg", "voc", "ade20k", "folder", "table-csv", "datasets"])
def test_masks_are_counted_before_they_are_made(
    name: str, made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retinoscope.data import _mask

    if name == "datasets":
        pytest.importorskip("datasets", reason="needs the extra 'data'")
    monkeypatch.setattr(_mask, "MOST_BYTES", 144 * 144 - 1)
    folder, opened = made(name)
    assert opened() == "InputError of a sample"
    with pytest.raises(InputError, match="objects of 144x144 pixels"):
        _ = SOURCES[name][1](folder)[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subset", "../secret.txt"),
        ("subset", "/etc/passwd"),
        ("lead", 10**400),
        ("images", "9" * 300),
        ("viewport", {"screen": [10**400, 1]}),
    ],
)
def test_a_setting_that_cannot_be(name: str, value: object, made: Make) -> None:
    folder, _ = made("gaze-csv")
    (folder.parent / "secret.txt").write_text("secret\n")
    (folder / "gaze.json").write_text(json.dumps({name: value}))
    with pytest.raises(InputError, match=r"gaze\.json") as caught:
        rs.gaze.folder(folder)
    assert not {"root:", "'secret'"} & {*str(caught.value).split()}


@pytest.mark.parametrize(
    ("part", "many"), [("fixation_data", 100_001), ("transcription_data", 10_001)]
)
def test_recordings_are_bounded(part: str, many: int, made: Make) -> None:
    folder, _ = made("vista-recordings")
    file = next(folder.glob("scene*.json"))
    content = json.loads(file.read_text())
    content[part] = content[part][:1] * many
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"got {many:,}"):
        _ = [*rs.gaze.vista(folder)]


@pytest.mark.parametrize("observer", [10**30, -(10**30), True, 1.5])
def test_an_observer_is_a_number_that_tables_hold(observer: object, made: Make) -> None:
    folder, _ = made("vista-recordings")
    file = next(folder.glob("scene*.json"))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"observer": observer}))
    with pytest.raises(InputError, match="'observer': expected"):
        _ = [*rs.gaze.vista(folder)]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"counts": [{"filter": "a", "text": ["x"], "images": 1, "objects": 1}]}, "counts.0.text"),
        ({"data": {"name": "a", "fingerprint": "b", "samples": "many"}}, "data.samples"),
        ({"examined": 10**30}, "examined"),
        ({"kept": [{"index": -1, "id": "a", "objects": []}]}, "kept.0.index"),
        ({"kept": [{"index": 1, "id": "a", "objects": []}] * 2}, "kept"),
    ],
)
def test_a_curation_is_read_field_by_field(change: dict, place: str, made: Make) -> None:
    folder, opened = made("curation")
    file = folder / "curation.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert opened() == "InputError"
    with pytest.raises(InputError, match=rf"curation\.json.*field '{place}'"):
        SOURCES["curation"][1](folder)


@pytest.mark.parametrize("name", ["curation", "collected", "vg", "coco"])
def test_json_that_is_too_deep(name: str, made: Make) -> None:
    folder, opened = made(name)
    for file in folder.rglob("*.json"):
        file.write_bytes(b"[" * 200_000)
    assert opened().startswith("InputError")


def test_what_a_library_says_in_several_lines_is_one() -> None:
    assert str(InputError("a file\n  of two\r\nlines\n")) == "a file of two lines"
    assert str(rs.errors.MissingExtraError("a", "b")).count("pip install") == 1
    assert issubclass(InputError, RetinoscopeError)
