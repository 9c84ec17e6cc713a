"""The format of VISTA: what is read, what is refused, and how seconds become maps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from gaze_folders import README, fixation, grey, image, vista_folder, word

import retinoscope as rs
from retinoscope.errors import InputError

SCREEN = {"viewport": {"screen": [1920, 1080]}}
HERE = {"viewport": "image"}
TALK = {
    "fixation_data": [
        fixation(0.0, 1.0, 5, 5),
        fixation(1.0, 1.6, 30, 20),
        fixation(1.6, 2.5, 90, 20),
        fixation(2.5, 3.0, 35, 25),
    ],
    "transcription_data": [
        word("A", 0.2, 0.4),
        word("red", 0.4, 0.8),
        word("cup", 0.8, 1.2),
        word("on", 1.2, 1.4),
        word("the", 1.4, 1.5),
        word("table.", 1.5, 2.0),
        word("It", 2.2, 2.4),
        word("shines.", 2.4, 2.8),
    ],
}
BACKWARDS = {**fixation(2, 1, 3, 3), "duration": 1}


def _read(folder: Path) -> rs.data.Sample:
    return rs.sources.open_source(f"vista:{folder}")[0]


def _by_text(sample: rs.data.Sample) -> dict[tuple[str, str], rs.data.Gaze]:
    return {(g.segment.granularity, g.segment.text): g for g in sample.attention if g.segment}


def test_the_example_of_the_readme_is_read(tmp_path: Path) -> None:
    sample = _read(vista_folder(tmp_path, README, SCREEN))
    assert sample.id == "000000001083"
    assert sample.captions == ("A",)
    assert sample.meta["notes"] == (
        "000000001083.json: 1 fixations with x and y lists of two lengths",
    )
    # 1845 lies right of an image of 4:3 in the middle of the screen.
    assert sample.meta["dropped"] == 1
    assert {g.nothing for g in sample.attention} == {"no fixation overlaps the segment"}
    assert {g.provenance for g in sample.attention} == {"human"}


def test_a_recording_survives_being_written(tmp_path: Path) -> None:
    read = rs.gaze.read_recording(TALK, "here")
    again = rs.gaze.read_recording(json.loads(json.dumps(rs.gaze.recording_json(read))), "there")
    assert again.text == read.text
    np.testing.assert_array_equal(again.points, read.points)
    np.testing.assert_array_equal(again.starts, read.starts)


def test_segments_of_three_sizes(tmp_path: Path) -> None:
    found = _by_text(_read(vista_folder(tmp_path, TALK, HERE)))
    names = [key for key in found if key[0] != "text"]
    assert [text for kind, text in names if kind == "word"] == ["red", "cup", "table", "shines"]
    assert [t for kind, t in names if kind == "phrase"] == ["A red cup", "the table", "shines"]
    assert [text for kind, text in names if kind == "sentence"] == [
        "A red cup on the table.",
        "It shines.",
    ]
    for (_, text), gaze in found.items():
        segment = gaze.segment
        assert segment is not None
        assert segment.description[segment.start : segment.end] == text
    assert found["phrase", "A red cup"].segment.time == (0.2, 1.2)  # type: ignore[union-attr]


def test_fixations_weigh_what_they_overlap(tmp_path: Path) -> None:
    found = _by_text(_read(vista_folder(tmp_path, TALK, HERE)))
    cup = found["word", "cup"]
    np.testing.assert_allclose(cup.durations, [0.2, 0.2])
    np.testing.assert_array_equal(cup.fixations, [(5, 5), (30, 20)])
    table = found["word", "table"]
    assert (len(table.fixations), table.dropped) == (1, 1), "one is off the image: counted, not cut"
    np.testing.assert_allclose(table.durations, [0.1])


def test_speakers_look_before_they_name(tmp_path: Path) -> None:
    settings = {**HERE, "lead": 0.6, "lag": 0.1}
    found = _by_text(_read(vista_folder(tmp_path, TALK, settings)))["word", "cup"]
    np.testing.assert_allclose(found.durations, [0.8, 0.3])
    assert (found.settings["lead"], found.settings["lag"]) == (0.6, 0.1)


def test_the_density_is_the_sum_of_its_kernels(tmp_path: Path) -> None:
    found = _by_text(_read(vista_folder(tmp_path, TALK, HERE)))["word", "cup"]
    s = found.settings["bandwidth"]
    assert s == pytest.approx(0.03 * 50)
    y, x = np.indices((30, 40)) + 0.5
    expected = sum(
        w * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * s * s))
        for (a, b), w in zip(found.fixations, found.durations, strict=True)
    )
    density = found.density()
    assert density is not None
    np.testing.assert_allclose(density, expected / expected.sum(), rtol=1e-9)
    degrees = _by_text(_read(vista_folder(tmp_path, TALK, {**HERE, "pixels_per_degree": 7})))
    assert degrees["word", "cup"].settings["bandwidth"] == 7


def test_the_viewport_is_needed_and_exact(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="place on the screen") as caught:
        _read(vista_folder(tmp_path, TALK))
    assert "\n" not in str(caught.value)
    told = {"x0": 10, "y0": 20, "scale_x": 0.5, "scale_y": 0.25}
    talk = {**TALK, "fixation_data": [fixation(0, 9, 30, 40)]}
    gaze = _read(vista_folder(tmp_path, talk, {"viewport": told})).attention[0]
    np.testing.assert_allclose(gaze.fixations, [(10, 5)])
    own = {"viewport": "image", "viewports": {"000000001083": told}}
    assert _read(vista_folder(tmp_path, talk, own)).attention[0].fixations[0, 0] == 10
    fitted = rs.gaze.Viewport.contain((1920, 1080), (640, 480))
    np.testing.assert_allclose(
        fitted.to_image(np.array([(240.0, 0.0), (960, 540), (1680, 1080)])),
        [(0, 0), (320, 240), (640, 480)],
    )
    np.testing.assert_allclose(fitted.to_screen(np.array([(320.0, 240.0)])), [(960, 540)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"fixation_data": [BACKWARDS]},
            "ends at 1 s, before it begins at 2 s",
        ),
        (
            {"fixation_data": [{**BACKWARDS, "duration": -1}]},
            r"\[0\].duration.: expected 0 or more",
        ),
        ({"fixation_data": [{"start_time": 1}]}, r"fixation_data\[0\].end_time.: .*add it"),
        (
            {"fixation_data": [fixation(0, 1, float("nan"), 2)]},
            "Avg_x_coordinates.: .* got nan",
        ),
        ({"fixation_data": "none"}, "fixation_data.: expected a list"),
        ({"transcription_data": [word("a", 3, 2)]}, "word 0 .'a'. ends at 2 s, before it begins"),
        ({"transcription_data": [word("a", 3, 4), word("b", 1, 2)]}, "put the words in order"),
        ({"transcription_data": []}, "a text of at least one word"),
        ({"transcription_data": [{"text": 3, "start": 0, "end": 1}]}, "expected a text, got 3"),
        ({"provenance": "people"}, "provenance.: expected 'human', 'simulated' or 'mask'"),
        ({"observer": "Ada Lovelace"}, "observer.: expected a whole number"),
    ],
)
def test_recordings_that_cannot_be_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    folder = vista_folder(tmp_path, TALK | change, HERE)
    with pytest.raises(InputError, match=message) as caught:
        _read(folder)
    assert "000000001083.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"viewpoint": 1}, "expected settings among viewport"),
        ({"viewport": "screen"}, "a viewport, a screen or 'image'"),
        ({"viewport": [1920, 1080]}, "a viewport, a screen or 'image'"),
        ({"viewports": {"1": 5}}, "a viewport, a screen or 'image', got 5"),
        ({"images": 5}, "images as the name of a folder, got 5"),
        ({"viewport": {"x": 1}}, "x0, y0, scale_x and scale_y"),
        ({"viewport": {"x0": 0, "y0": 0, "scale_x": 0, "scale_y": 1}}, "scales above 0"),
        ({"bandwidth": 0}, "bandwidth above 0"),
        ({"lead": "early"}, "could not convert"),
        ({"granularities": ["letter"]}, "granularities among"),
        ({"resize": "cubic"}, "'bilinear' or 'area'"),
        ([1], "an object of settings"),
        ({"subset": ["000000000009"]}, "got none for 1 of 1, the first '000000000009'"),
        ({"subset": "list.txt"}, "cannot be read"),
    ],
)
def test_settings_that_say_nothing_are_refused(
    tmp_path: Path, settings: object, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        rs.sources.open_source(f"vista:{vista_folder(tmp_path, TALK, settings)}")


def test_a_folder_without_recordings_or_images_is_told_so(tmp_path: Path) -> None:
    image(tmp_path / "images")
    with pytest.raises(InputError, match=r"recordings \(IMAGE.json\) or triplets.csv"):
        rs.gaze.vista(tmp_path)
    (tmp_path / "42.json").write_text("{}")
    with pytest.raises(InputError, match="an image for each recording, got none for 1 of 1"):
        rs.gaze.vista(tmp_path)
    with pytest.raises(InputError, match="got nothing there"):
        rs.gaze.vista(tmp_path / "no")


def test_observers_and_subsets_by_file(tmp_path: Path) -> None:
    vista_folder(tmp_path, TALK, {**HERE, "subset": "list.txt"})
    (tmp_path / "list.txt").write_text("000000001083.jpg\n")
    (tmp_path / "000000001083.2.json").write_text(json.dumps(TALK))
    (tmp_path / "000000009999.json").write_text(json.dumps(TALK))
    samples = rs.gaze.vista(tmp_path)
    assert len(samples) == 1
    assert {g.observer for g in samples[0].attention} == {None, 2}
    pooled = rs.gaze.pool([g for g in samples[0].attention if g.segment.text == "cup"])  # type: ignore[union-attr]
    assert pooled.settings["observers"] == 2
    assert len(pooled.fixations) == 4
    before = samples.fingerprint
    # A recording that leaves the observer open has its file's.
    (tmp_path / "000000001083.2.json").write_text(json.dumps(TALK | {"observer": None}))
    assert {g.observer for g in rs.gaze.vista(tmp_path)[0].attention} == {None, 2}
    (tmp_path / "000000001083.2.json").write_text(json.dumps(TALK | {"observer": 5}))
    assert rs.gaze.vista(tmp_path).fingerprint != before


def _triplets(root: Path, rows: str, settings: object = None) -> Path:
    image(root / "images", "7.png")
    values = np.zeros((30, 40))
    values[4, 6] = 200
    grey(root / "maps" / "a.png", values)
    grey(root / "maps" / "zero.png", values * 0)
    grey(root / "maps" / "small.png", values[:15, :20])
    colours = np.zeros((30, 40, 3), np.uint8)
    colours[..., 0] = 90
    grey(root / "maps" / "colour.png", colours)
    (root / "maps" / "text.png").write_text("no image")
    np.save(root / "maps" / "nan.npy", np.full((30, 40), np.nan))
    np.save(root / "maps" / "negative.npy", np.full((30, 40), -1.0))
    (root / "triplets.csv").write_text("image,text,segment,map\n" + rows)
    if settings is not None:
        (root / "gaze.json").write_text(json.dumps(settings))
    return root


def test_maps_of_segments(tmp_path: Path) -> None:
    rows = '7.png,"a cup, a cup",cup,maps/a.png\n7,"a cup, a cup","a cup, a cup",maps/zero.png\n'
    sample = _read(_triplets(tmp_path, rows))
    first, second = sample.attention
    assert first.segment is not None
    assert (first.segment.text, first.segment.granularity) == ("cup", "word")
    density = first.density()
    assert density is not None
    assert density[4, 6] == 1
    assert (second.segment.granularity, second.nothing) == ("text", "the map is all zero")  # type: ignore[union-attr]
    assert second.density() is None
    assert sample.captions == ("a cup, a cup",)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("7,a cup,mug,maps/a.png", "expected a segment that is in the text 'a cup', got 'mug'"),
        ("7,a cup,,maps/a.png", "segment.: expected a text, got None"),
        ("8,a cup,cup,maps/a.png", "expected the name of an image, got '8'"),
    ],
)
def test_rows_that_fit_nothing_are_refused_at_once(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        rs.gaze.vista(_triplets(tmp_path, row + "\n"))
    assert "line 2" in str(caught.value)


@pytest.mark.parametrize("observer", ["inf", "nan", "-1", "1.5", "Ada"])
def test_observers_are_whole_numbers(tmp_path: Path, observer: str) -> None:
    root = _triplets(tmp_path, "")
    (root / "triplets.csv").write_text(
        f"image,text,segment,map,observer\n7,a cup,cup,maps/a.png,{observer}\n"
    )
    with pytest.raises(InputError, match="'observer': expected") as caught:
        rs.gaze.vista(root)
    assert "line 2" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("small.png", "the image's size 40x30 .* got 20x15"),
        ("colour.png", "grey-scale map, got one in colours"),
        ("nan.npy", "finite values from 0 up, got NaN"),
        ("negative.npy", "finite values from 0 up, got -1"),
        ("none.png", "got no file there"),
        ("text.png", "or a damaged"),
    ],
)
def test_maps_that_are_none_fail_their_sample(tmp_path: Path, name: str, message: str) -> None:
    samples = rs.gaze.vista(_triplets(tmp_path, f"7,a cup,cup,maps/{name}\n"))
    with pytest.raises(InputError, match=message):
        _ = samples[0]


def test_a_map_is_resized_only_when_asked_and_says_so(tmp_path: Path) -> None:
    folder = _triplets(tmp_path, "7,a cup,cup,maps/small.png\n", {"resize": "area"})
    gaze = _read(folder).attention[0]
    assert gaze.settings["resize"] == "area from 20x15"
    assert gaze.map is not None
    assert gaze.map.shape == (30, 40)


def test_two_kinds_in_one_folder_are_refused(tmp_path: Path) -> None:
    folder = _triplets(tmp_path, "7,a cup,cup,maps/a.png\n")
    (folder / "7.json").write_text("{}")
    with pytest.raises(InputError, match="recordings or a table of maps"):
        rs.gaze.vista(folder)
