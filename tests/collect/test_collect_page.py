"""A whole session in a browser: consent, description, window, end, export, loader, a metric, and a
report on how a model agrees with it."""

from __future__ import annotations

import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from person import Person, load

import retinoscope as rs
from retinoscope.reporting import write_report
from retinoscope.stats import maps
from retinoscope.studies import AttentionAlignment

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from retinoscope.collect import Collection, CollectionOptions, _page
from retinoscope.collect._server import make_app

pytestmark = pytest.mark.skipif(
    not (_page.STATIC / "collect.js").is_file(), reason="the front end is not built"
)
PICTURES = os.environ.get("RETINOSCOPE_SCREENSHOTS")
"""A folder for screenshots of what the tests see."""


def _shot(person: Person, name: str) -> None:
    if PICTURES:
        person.page.screenshot(Path(PICTURES) / f"{name}.png")


def _centre(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    return (columns.mean() + 0.5) / width, (rows.mean() + 0.5) / height


def test_a_session_from_consent_to_a_report(tmp_path: Path) -> None:
    """The person looks at each object while typing its name; the map that comes out of it finds
    these objects, and the map of another word does not."""
    scenes = rs.data.squares(2, seed=4)
    collection = Collection(scenes, tmp_path / "out", CollectionOptions(shuffle=False))
    browser, serving = load("chromium").browser, load("serving").serving_app
    with browser() as page, serving(make_app(collection)) as served:
        person = Person(page)
        page.open(f"{served.url}/")
        person.sees("take part of my own free will")
        assert person.disabled("Begin"), "nothing begins without consent"
        _shot(person, "consent")
        person.accept()
        person.sees("Image 1 of 2")
        assert person.disabled("Done")
        assert page.requested, "the page loads its own files only"
        assert all(url.startswith((served.url, "data:")) for url in page.requested)

        for number, scene in enumerate(scenes):
            person.sees(f"Image {number + 1} of 2")
            for one in scene.objects:
                person.look(*_centre(one.mask))
                time.sleep(0.3)
                person.type(f"{one.name} ", pause=0.25)
            _shot(person, f"describing-{number}")
            if number == 0:
                _pause(person)
            person.press("Done")
        person.sees("Thank you")
        person.sees("2 images are done")
        _shot(person, "thanks")
        archive = page.run(
            "fetch('api/export.zip').then((r) => r.arrayBuffer())"
            ".then((b) => Array.from(new Uint8Array(b)))"
        )
        assert page.problems == []
    (tmp_path / "export.zip").write_bytes(bytes(archive))
    with zipfile.ZipFile(tmp_path / "export.zip") as file:
        file.extractall(tmp_path / "export")
    for folder in (tmp_path / "out", tmp_path / "export"):
        _finds_what_was_looked_at(scenes, folder)
    _ends_in_a_report(tmp_path / "export", tmp_path / "run")


def _ends_in_a_report(folder: Path, out: Path) -> None:
    """A model that finds what a word names agrees with whoever looked at that."""
    study = AttentionAlignment(
        rs.load("planted:one-hot-patch"),
        rs.sources.open_source(f"collected:{folder}"),
        methods=("lens-probability",),
        granularities=("word",),
        untrained=False,
        distractors=0,
    )
    results = study.run(out)
    assert results.errors() == []
    (found,) = [r for r in results.summary().to_pylist() if r["metric"] == "ncc"]
    assert found["provenance"] == "human"
    assert found["own"] > found["other_text"] + 0.3
    page = write_report(out).read_text("utf-8")
    # Two images bear no test, and the title says so.
    assert "Too few images to say whether the model looks where people look" in page


def _pause(person: Person) -> None:
    person.press("Pause")
    person.sees("Nothing is recorded until you go on")
    assert person.disabled("Done")
    person.look(0.05, 0.05)
    person.page.run("document.querySelector('textarea').value += 'x'")
    time.sleep(0.3)
    _shot(person, "paused")
    person.press("Go on")


def _finds_what_was_looked_at(scenes: rs.data.Squares, folder: Path) -> None:
    samples = rs.sources.open_source(f"collected:{folder}")
    assert sorted(sample.id for sample in samples) == [scene.id for scene in scenes]
    by_id = {sample.id: sample for sample in samples}
    for scene in scenes:
        sample = by_id[scene.id]
        np.testing.assert_array_equal(np.asarray(sample.image), np.asarray(scene.image))
        assert sample.captions == (" ".join(one.name for one in scene.objects),)
        words = [g for g in sample.attention if g.segment and g.segment.granularity == "word"]
        assert {(g.provenance, g.instrument) for g in words} == {("human", "pointer")}
        assert [g.segment.text for g in words] == [one.name for one in scene.objects]  # type: ignore[union-attr]
        others = (*scene.objects[1:], scene.objects[0])
        for gaze, one, other in zip(words, scene.objects, others, strict=True):
            density = gaze.density()
            assert density is not None
            own = maps.ncc(density, one.mask.astype(float)).value
            assert own > maps.ncc(density, other.mask.astype(float)).value + 0.2
            assert maps.auc_region(density, one.mask).value > 0.8
    paused = rs.gaze.read_trial(next((folder / "sessions").rglob("squares-4-0-*.parquet")))
    assert len(paused.pauses) == 1
    (start, end), *_ = paused.pauses
    assert end > start
    assert not any(start < time < end for time, _, _ in paused.positions)


def test_reading_piece_by_piece_with_the_keyboard_and_a_reload(tmp_path: Path) -> None:
    scenes = rs.data.scenes(2, seed=1, min_objects=2, max_objects=2, signs=0)
    options = CollectionOptions(task="read", shuffle=False)
    collection = Collection(scenes, tmp_path / "out", options)
    browser, serving = load("chromium").browser, load("serving").serving_app
    with browser() as page, serving(make_app(collection)) as served:
        person = Person(page)
        page.open(f"{served.url}/")
        person.accept()
        person.sees("Image 1 of 2")
        pieces = rs.gaze.reading_pieces(scenes[0].captions[0])
        person.box()
        page.run("document.querySelector('canvas').focus()")
        for number in range(len(pieces)):
            assert page.run("document.querySelector('.piece.now').textContent") == pieces[number]
            for _ in range(3):
                person.key("ArrowRight")
            time.sleep(0.15)
            _shot(person, f"reading-{number}")
            person.press("Next words" if number < len(pieces) - 1 else "I have read it")
        person.press("Done")
        person.sees("Image 2 of 2")
        page.open("about:blank#")
        page.open(f"{served.url}/")
        person.sees("Image 2 of 2")
        assert "free will" not in person.text(), "a session goes on after a reload"
        assert page.problems == []
        assert list((tmp_path / "out").rglob("*.parquet"))
        assert page.run("fetch('api/session', {method: 'DELETE'}).then((r) => r.status)") == 200
    assert not list((tmp_path / "out").rglob("*.parquet")), "who withdraws leaves nothing"


def test_a_finger_on_a_small_screen(tmp_path: Path) -> None:
    scenes = rs.data.scenes(1, seed=2)
    collection = Collection(scenes, tmp_path / "out", CollectionOptions())
    browser, serving = load("chromium").browser, load("serving").serving_app
    with browser() as page, serving(make_app(collection)) as served:
        person = Person(page)
        page.send(
            "Emulation.setDeviceMetricsOverride",
            width=390,
            height=844,
            deviceScaleFactor=2,
            mobile=True,
        )
        page.send("Emulation.setTouchEmulationEnabled", enabled=True)
        page.open(f"{served.url}/")
        person.sees("free will")
        _shot(person, "phone-consent")
        person.accept()
        person.look(0.5, 0.5, touch=True)
        time.sleep(0.2)
        person.type("a thing")
        _shot(person, "phone")
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
        person.press("Done")
        person.sees("Thank you")
        assert page.problems == []
    trial = rs.gaze.read_trial(next((tmp_path / "out").rglob("*.parquet")))
    assert list(trial.instruments) == ["touch"]
    assert trial.positions[-1][1] is not None, "the window of a finger stays when it is lifted"
