"""Fixation lists, MATLAB files and maps; simulated observers; what a `Gaze` may be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gaze_folders import grey, image
from scipy.io import savemat

import retinoscope as rs
from retinoscope.data.maps import kernel_density
from retinoscope.errors import InputError
from retinoscope.stats import cluster_mean, maps
from retinoscope.studies import sample_fingerprint


def _one(folder: Path) -> rs.data.Sample:
    return rs.sources.open_source(f"gaze:{folder}")[0]


def _table(root: Path, text: str) -> Path:
    image(root / "images", "a.png")
    (root / "fixations.csv").write_text(text)
    return root


def test_a_list_of_fixations(tmp_path: Path) -> None:
    text = (
        "image,x,y,start,end,observer,text,segment\n"
        "a,5,6,0,0.5,1,a red cup,red cup\n"
        "a,50,6,0.5,0.9,1,a red cup,red cup\n"
        "a.png,7,8,0,0.2,2,a red cup,red cup\n"
        "a,9,9,1,2,2,a red cup,\n"
    )
    found = _one(_table(tmp_path, text))
    told = [(g.observer, g.segment.text, len(g.fixations), g.dropped) for g in found.attention]  # type: ignore[union-attr]
    assert told == [(1, "red cup", 1, 1), (2, "red cup", 1, 0), (2, "a red cup", 1, 0)]
    np.testing.assert_allclose(found.attention[0].durations, [0.5])
    assert found.meta["dropped"] == 1
    assert found.captions == ("a red cup",)


def test_free_viewing_has_no_segment_until_there_is_a_text(tmp_path: Path) -> None:
    folder = _table(tmp_path, "image,x,y\na,5,6\na,7,8\n")
    free = _one(folder).attention
    assert [(g.segment, len(g.fixations)) for g in free] == [(None, 2)]
    (folder / "texts.csv").write_text("image,text\na,A cup.\n")
    read = _one(folder).attention
    assert [(g.segment.text, g.segment.granularity) for g in read] == [("A cup.", "text")]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b,1,2,,,,", "the name of an image, got 'b'"),
        ("a,x,2,,,,", "field 'x': expected a number, got 'x'"),
        ("a,,2,,,,", "field 'x': expected a number, got None"),
        ("a,1,2,3,2,,", "ends at 2 s, before it begins at 3 s"),
        ("a,1,2,,,a cup,mug", "a segment that is in the text 'a cup', got 'mug'"),
        ("a,1,2,,,,mug", "the text of the segment 'mug'"),
        ("a,nan,2,,,,", "field 'x': expected a finite number, got nan"),
    ],
)
def test_rows_that_are_none_are_refused(tmp_path: Path, row: str, message: str) -> None:
    text = f"image,x,y,start,end,text,segment\n{row}\n"
    with pytest.raises(InputError, match=message) as caught:
        rs.gaze.folder(_table(tmp_path, text))
    assert "line 2" in str(caught.value)


def test_durations_of_some_fixations_only_are_refused(tmp_path: Path) -> None:
    samples = rs.gaze.folder(_table(tmp_path, "image,x,y,duration\na,1,2,3\na,2,3,\n"))
    with pytest.raises(InputError, match="durations of all fixations or of none, got 1 of 2"):
        _ = samples[0]


def test_salicon(tmp_path: Path) -> None:
    """Structs for each observer; pixels counted from 1; grey maps beside them."""
    image(tmp_path / "images", "a.png")
    gaze = np.zeros((2, 1), dtype=[("location", "O"), ("timestamp", "O"), ("fixations", "O")])
    gaze[0, 0] = (np.zeros((0, 2)), np.zeros(0), np.array([[1, 1], [40, 30]], float))
    gaze[1, 0] = (np.zeros((0, 2)), np.zeros(0), np.array([[20, 10], [99, 10]], float))
    (tmp_path / "fixations").mkdir()
    savemat(tmp_path / "fixations" / "a.mat", {"gaze": gaze, "image": "a"})
    first, second = _one(tmp_path).attention
    np.testing.assert_array_equal(first.fixations, [(0.5, 0.5), (39.5, 29.5)])
    assert (second.observer, len(second.fixations), second.dropped) == (1, 1, 1)
    values = np.zeros((30, 40))
    values[2, 3] = 255
    grey(tmp_path / "maps" / "a.png", values)
    (joined,) = _one(tmp_path).attention
    assert len(joined.fixations) == 3
    density = joined.density()
    assert density is not None
    assert density[2, 3] == 1


def test_maps_of_fixated_pixels(tmp_path: Path) -> None:
    image(tmp_path / "Stimuli" / "Art", "001.png")
    where = np.zeros((30, 40), np.uint8)
    where[3, 7] = where[20, 11] = 1
    (tmp_path / "FIXATIONLOCS" / "Art").mkdir(parents=True)
    savemat(tmp_path / "FIXATIONLOCS" / "Art" / "001.mat", {"fixLocs": where})
    sample = _one(tmp_path)
    assert sample.id == "Art/001"
    np.testing.assert_array_equal(sample.attention[0].fixations, [(7.5, 3.5), (11.5, 20.5)])


def test_mit_maps_have_an_ending_of_their_own(tmp_path: Path) -> None:
    image(tmp_path / "ALLSTIMULI", "i1.png")
    grey(tmp_path / "ALLFIXATIONMAPS" / "i1_fixMap.png", np.full((30, 40), 9))
    grey(tmp_path / "ALLFIXATIONMAPS" / "i1_fixPts.png", np.full((30, 40), 9))
    gaze = _one(tmp_path).attention[0]
    assert gaze.density() is not None
    assert not len(gaze.fixations)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"nothing": 1}, "expected one of gaze, fixations, .* got nothing"),
        ({"gaze": np.zeros((2, 2))}, "gaze as structs with fixations"),
        ({"fixLocs": np.zeros((5, 5))}, "a map of the image's size 40x30 or a list"),
        ({"fixations": np.full((3, 2), np.nan)}, "finite positions"),
    ],
)
def test_matlab_files_without_fixations_are_refused(
    tmp_path: Path, content: dict, message: str
) -> None:
    image(tmp_path / "images", "a.png")
    (tmp_path / "fixations").mkdir()
    savemat(tmp_path / "fixations" / "a.mat", content)
    samples = rs.gaze.folder(tmp_path)
    with pytest.raises(InputError, match=message):
        _ = samples[0]
    file = tmp_path / "fixations" / "a.mat"
    savemat(file, {"fixLocs": np.eye(30, 40)}, do_compression=True)
    damaged = bytearray(file.read_bytes())
    # Behind the file's head of 128 bytes and a tag of 8 the compressed part begins.
    damaged[136] ^= 255
    for content_of in (b"no matlab", bytes(damaged)):
        file.write_bytes(content_of)
        with pytest.raises(InputError, match="a MATLAB file"):
            _ = samples[0]


def test_images_that_nothing_is_known_about(tmp_path: Path) -> None:
    image(tmp_path, "a.png")
    with pytest.raises(InputError, match=r"fixations.csv, fixations/ or maps/"):
        rs.gaze.folder(tmp_path)


def test_simulated_observers_are_labelled_and_reproducible(tmp_path: Path) -> None:
    samples = rs.sources.open_source("simulated:4", seed=3)
    assert {g.provenance for sample in samples for g in sample.attention} == {"simulated"}
    folder = rs.gaze.write_simulated(
        rs.data.scenes(4, seed=3), tmp_path / "out", observers=2, seed=3
    )
    stored = (folder / "scene-3-000000.0.json").read_text()
    assert '"provenance": "simulated"' in stored
    read = rs.sources.open_source(f"vista:{folder}")
    for written, made in zip(read, samples, strict=True):
        for a, b in zip(written.attention, made.attention, strict=True):
            assert (a.segment, a.observer, a.provenance) == (b.segment, b.observer, "simulated")
            np.testing.assert_allclose(a.fixations, b.fixations, atol=1e-9)
    with pytest.raises(InputError, match="an empty folder"):
        rs.gaze.write_simulated(rs.data.scenes(1), folder)


def test_simulated_data_is_opened_again_by_name() -> None:
    from retinoscope.sources import reopen_source, source_of

    samples = rs.sources.open_source("simulated:5", seed=7)[:3]
    told = source_of(samples)
    assert told is not None
    assert reopen_source(told).fingerprint == samples.fingerprint  # type: ignore[attr-defined]
    assert sample_fingerprint(reopen_source(told)[2]) == sample_fingerprint(samples[2])
    with pytest.raises(InputError, match="simulated:N"):
        rs.sources.open_source("simulated:few")


def test_an_observer_without_error_looks_at_what_is_named() -> None:
    exact = rs.gaze.Observer(error=0.0, lead=0.0)
    for sample in rs.data.scenes(10, seed=1):
        recording = rs.gaze.observe(sample, how=exact)
        names = {obj.name: obj.mask for obj in sample.objects}
        size = sample.image.size
        points = rs.gaze.Viewport.contain((1920, 1080), size).to_image(recording.points)
        for unit, point in zip(recording.text.units, points, strict=True):
            plain = unit.text.strip(".,").lower()
            if plain in names:
                assert names[plain][int(point[1]), int(point[0])]


def test_masks_stand_in_by_their_own_name() -> None:
    sample = rs.data.scenes(1, seed=0)[0]
    found = rs.gaze.mask_attention(sample)
    assert {g.provenance for g in found} == {"mask"}
    assert {g.instrument for g in found} == {"none"}
    assert [g.segment.text for g in found] == ["white", "clock", "white", "tree"]  # type: ignore[union-attr]
    density = found[1].density()
    assert density is not None
    assert density[sample.objects[0].mask].sum() == pytest.approx(1)
    with pytest.raises(InputError, match="a caption"):
        rs.gaze.mask_attention(replace(sample, captions=()))


def test_two_observers_agree_more_than_two_words() -> None:
    """People against people is the ceiling, another word of the same image the floor."""
    own, other = [], []
    for sample in rs.sources.open_source("simulated:25", seed=2):
        words = [g for g in sample.attention if g.segment and g.segment.granularity == "phrase"]
        first = [g for g in words if g.observer == 0]
        second = [g for g in words if g.observer == 1]
        for one in first:
            for two in second:
                a, b = one.density(), two.density()
                if a is not None and b is not None:
                    same = one.segment.start == two.segment.start  # type: ignore[union-attr]
                    (own if same else other).append(maps.ncc(a, b).value)
    assert cluster_mean(own).low > cluster_mean(other).high


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"provenance": "people"}, "provenance as human, simulated, mask"),
        ({"fixations": [(1, 1)], "durations": [1, 2]}, "a duration for each"),
        ({"fixations": [(1, 1)], "durations": [-1]}, "durations from 0 up"),
        ({"fixations": [(11, 1)], "durations": [1]}, "inside the image"),
        ({"map": np.ones((3, 3))}, "a map of the image's size 10x8"),
        ({"map": np.full((8, 10), np.nan)}, "finite values from 0 up, got NaN"),
        ({"map": np.full((8, 10), -1.0)}, "from 0 up"),
        ({"map": np.ones(3)}, "as .height, width. numbers"),
    ],
)
def test_a_gaze_that_cannot_be_is_refused(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rs.data.Gaze(**{"segment": None, "size": (10, 8), "provenance": "human", **change})


def test_pooling_counts_every_observer_the_same() -> None:
    def one(x: float, seconds: float, **change: object) -> rs.data.Gaze:
        made = rs.data.Gaze(
            None, (40, 30), "human", np.array([(x, 15.0)]), np.array([seconds]), None,
            settings={"bandwidth": 2.0},
        )  # fmt: skip
        return replace(made, **change)

    pooled = rs.gaze.pool([one(10, 9), one(30, 0.1)]).density()
    assert pooled is not None
    assert pooled[:, :20].sum() == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(InputError, match="same provenance"):
        rs.gaze.pool([one(10, 1), one(10, 1, provenance="simulated")])
    with pytest.raises(InputError, match="at least one observer"):
        rs.gaze.pool([])
    nobody = rs.gaze.pool([one(10, 0), one(10, 0)])
    assert nobody.density() is None


def test_the_centre_prior_is_centred_and_stretched() -> None:
    prior = rs.gaze.centre_prior((60, 20))
    assert prior.shape == (20, 60)
    assert prior.sum() == pytest.approx(1)
    np.testing.assert_allclose(prior, prior[::-1, ::-1])
    assert prior[10].argmax() in (29, 30)
    with pytest.raises(InputError, match="spread"):
        rs.gaze.centre_prior((3, 3), 0)


def test_kernels_need_width_and_weight() -> None:
    points = np.array([(3.0, 3.0)])
    with pytest.raises(InputError, match="bandwidth above 0"):
        kernel_density(points, np.ones(1), (6, 6), 0)
    with pytest.raises(InputError, match="of some duration"):
        kernel_density(points, np.zeros(1), (6, 6), 1)
    with pytest.raises(InputError, match="vanish between the pixels"):
        kernel_density(points, np.ones(1), (6, 6), 1e-3)


def test_segments_are_in_their_text() -> None:
    found = rs.gaze.segment_of("a cup and a cup", "cup", occurrence=1)
    assert (found.start, found.end) == (12, 15)
    with pytest.raises(InputError, match="3 times"):
        rs.gaze.segment_of("a cup and a cup", "cup", occurrence=2)
    with pytest.raises(InputError, match="got ''"):
        rs.gaze.segment_of("a cup", "")
    assert found.overlaps(rs.gaze.segment_of("a cup and a cup", "a cup", occurrence=1))
    assert not found.overlaps(rs.gaze.segment_of("a cup and a cup", "cup"))


def test_whole_words_come_before_parts_of_words() -> None:
    text = "a scarf, a car and scars"
    assert rs.gaze.segment_of(text, "car").start == 11
    with pytest.raises(InputError, match="2 times, got 'car'"):
        rs.gaze.segment_of(text, "car", occurrence=1)
    assert rs.gaze.segment_of(text, "ar", occurrence=1).start == 12
    assert rs.gaze.segment_of("cars, cars", "cars", occurrence=1).start == 6
    # A name that is a part of an earlier word is looked at where it stands by itself.
    sample = rs.data.scenes(1)[0]
    one = replace(sample.objects[0], name="car", color=None)
    (gaze,) = rs.gaze.mask_attention(replace(sample, objects=(one,), captions=(text,)))
    assert gaze.segment is not None
    assert (gaze.segment.start, gaze.segment.end) == (11, 14)


def _mat(folder: Path, content: dict[str, object], compress: bool = True) -> Path:
    image(folder / "images", "a.png")
    (folder / "fixations").mkdir(exist_ok=True)
    file = folder / "fixations" / "a.mat"
    savemat(file, content, do_compression=compress)
    return file


def test_damaged_matlab_files_are_refused_in_one_line(tmp_path: Path) -> None:
    """Whatever a file's bytes are, it is read or refused; some of these crash SciPy's reader."""
    gaze = np.zeros(2, dtype=[("fixations", object)])
    gaze["fixations"] = [np.array([[3.0, 4.0]]), np.array([[5.0, 6.0], [7.0, 8.0]])]
    read = refused = 0
    lines: set[int] = set()
    for compress in (False, True):
        file = _mat(tmp_path, {"gaze": gaze}, compress)
        whole = file.read_bytes()
        for seed in range(100):
            rng = np.random.default_rng(seed)
            bad = bytearray(whole)
            for place in rng.integers(0, len(bad), 1 + seed % 8):
                bad[place] = rng.integers(256)
            file.write_bytes(bytes(bad[: len(bad) if seed % 3 else int(rng.integers(len(bad)))]))
            try:
                _ = rs.gaze.folder(tmp_path)[0]
                read += 1
            except InputError as error:
                refused += 1
                lines |= {str(error).count("\n")}
    assert read
    assert refused > 50
    assert lines == {0}


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64, np.int64])
@pytest.mark.parametrize("compress", [False, True])
def test_matlab_arrays_of_every_kind_are_read_as_scipy_reads_them(
    tmp_path: Path, kind: type, compress: bool
) -> None:
    from scipy.io import loadmat

    from retinoscope.gaze._mat_file import read_mat_file

    values = np.arange(12).reshape(6, 2).astype(kind)
    cells = np.zeros((1, 2), dtype=[("note", object), ("fixations", object)])
    cells["note"] = [["a", "bc"]]
    cells["fixations"][0] = [values, values[:3]]
    file = tmp_path / "a.mat"
    savemat(file, {"data": values, "gaze": cells, "text": "none"}, do_compression=compress)
    found = read_mat_file(file, ("data", "gaze"), "fixations")
    np.testing.assert_array_equal(found["data"], loadmat(file)["data"])  # type: ignore[arg-type]
    assert found["text"] is None
    structs = found["gaze"]
    assert isinstance(structs, list)
    for one, there in zip(structs, (values, values[:3]), strict=True):
        np.testing.assert_array_equal(one["fixations"], there)


def test_matlab_files_are_bounded_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retinoscope.gaze import _mat as reader
    from retinoscope.gaze import _mat_file as unpacking

    _mat(tmp_path, {"fixations": np.zeros((500_000, 2))})
    monkeypatch.setattr(reader, "MOST_POINTS", 499_999)
    with pytest.raises(InputError, match="at most 499,999 positions"):
        _ = rs.gaze.folder(tmp_path)[0]
    monkeypatch.setattr(unpacking, "MOST_BYTES", 1 << 22)
    with pytest.raises(InputError, match="at most 4 MiB"):
        _ = rs.gaze.folder(tmp_path)[0]


@pytest.mark.parametrize("value", ["true", "1e300", '"x"', "[1]"])
def test_positions_are_numbers(tmp_path: Path, value: str) -> None:
    image(tmp_path / "images", "a.png")
    (tmp_path / "fixations.jsonl").write_text(f'{{"image": "a", "x": {value}, "y": 2}}')
    with pytest.raises(InputError, match="line 1: field 'x'"):
        rs.gaze.folder(tmp_path)


def test_folders_that_settings_name_lie_inside(tmp_path: Path) -> None:
    image(tmp_path / "images", "a.png")
    for name in ("images", "maps", "fixations"):
        (tmp_path / "gaze.json").write_text(json.dumps({name: "../elsewhere"}))
        with pytest.raises(InputError, match=r"gaze\.json: .*inside the folder"):
            rs.gaze.folder(tmp_path)
