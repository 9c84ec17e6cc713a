"""What the server of a collection accepts, refuses and keeps."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import retinoscope as rs
from retinoscope.errors import InputError

pytest.importorskip("fastapi", reason="needs the extra 'serve'")
testing = pytest.importorskip("fastapi.testclient", reason="needs httpx")

from retinoscope.collect import Collection, CollectionOptions, _collection  # noqa: E402
from retinoscope.collect._allowance import Allowance  # noqa: E402
from retinoscope.collect._server import make_app  # noqa: E402
from retinoscope.gaze import session_folder  # noqa: E402

RECORD = {
    "task": "describe",
    "positions": [[0.1, 10.0, 12.0], [0.5, 100.0, 30.0], [1.5, None, None]],
    "pauses": [[1.6, 2.0]],
    "words": [
        {"text": "boat", "start": 0.2, "end": 0.4},
        {"text": "leaf", "start": 0.9, "end": 1.2},
    ],
    "end": 3.0,
    "instruments": ["mouse"],
}


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Collection(rs.data.scenes(3, seed=4), tmp_path / "out", CollectionOptions(shuffle=False))


@pytest.fixture
def client(collection: Collection) -> Iterator[Any]:
    app = make_app(collection, names=("testserver",))
    with testing.TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


def _begin(client: Any) -> None:
    told = client.get("/api/welcome").json()
    assert told["session"] is False
    answer = client.post("/api/session", json={"accepted": True, "consentId": told["consentId"]})
    assert answer.status_code == 200


def test_nothing_before_consent(client: Any, collection: Collection) -> None:
    for method, path in (
        ("GET", "/api/next"),
        ("GET", "/api/images/0/sharp.jpg"),
        ("POST", "/api/trials/0"),
        ("GET", "/api/export.zip"),
        ("DELETE", "/api/session"),
    ):
        answer = client.request(method, path, json=RECORD if method == "POST" else None)
        assert answer.status_code == 403, path
        assert "accept the text" in answer.json()["error"]
    for wrong in (
        {"accepted": False, "consentId": collection.consent_id},
        {"accepted": True, "consentId": "another"},
    ):
        assert client.post("/api/session", json=wrong).status_code == 400
    assert client.post("/api/session", json={"accepted": True}).status_code == 400
    assert not list(collection.out.rglob("session.json"))
    client.cookies.set("retinoscope-session", "12345")
    assert client.get("/api/next").status_code == 403
    client.cookies.set("retinoscope-session", "../../etc")
    assert client.get("/api/next").status_code == 403


def test_a_session_is_a_random_number_and_nothing_else(client: Any, collection: Collection) -> None:
    _begin(client)
    (file,) = collection.out.rglob("session.json")
    assert int(file.parent.name) > 0
    assert json.loads(file.read_text()) == {"accepted": True, "consent_id": collection.consent_id}
    cookie = client.get("/api/welcome")
    assert cookie.json()["session"] is True


def test_what_is_finished_is_kept_and_goes_on(client: Any, collection: Collection) -> None:
    _begin(client)
    first = client.get("/api/next").json()
    assert (first["done"], first["total"], first["trial"], first["task"]) == (0, 3, 0, "describe")
    assert client.get("/api/images/0/blurred.jpg").headers["content-type"] == "image/jpeg"
    sharp, blurred = (client.get(f"/api/images/0/{k}.jpg").content for k in ("sharp", "blurred"))
    assert sharp != blurred
    assert client.post("/api/trials/0", json=RECORD).json() == {"done": 1}
    assert client.get("/api/next").json()["trial"] == 1
    again = Collection(collection.samples, collection.out, collection.options)
    app = make_app(again, names=("testserver",))
    with testing.TestClient(app, cookies=client.cookies) as resumed:
        assert resumed.get("/api/next").json()["done"] == 1
    (file,) = collection.out.rglob("*.parquet")
    trial = rs.gaze.read_trial(file)
    assert trial.words[0]["text"] == "boat"
    sample = rs.gaze.collected(collection.out)[0]
    assert sample.id == "scene-4-000000"
    words = {g.segment.text: g for g in sample.attention if g.segment.granularity == "word"}  # type: ignore[union-attr]
    np.testing.assert_allclose(words["boat"].fixations, [(10, 12)])
    np.testing.assert_allclose(words["boat"].durations, [0.2])
    np.testing.assert_allclose(words["leaf"].fixations, [(100, 30)])
    assert words["boat"].settings["bandwidth"] == pytest.approx(trial.radius)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": []}, "positions"),
        ({"positions": [[1.0, 2.0, 3.0], [0.5, 2.0, 3.0]]}, "temporal order"),
        ({"positions": [[0.1, 1.0, None]]}, "both x and y"),
        ({"positions": [[0.1, 999.0, 1.0]]}, "positions inside the image"),
        ({"positions": [[-1.0, 1.0, 1.0]]}, "start and the end"),
        ({"positions": [[1.8, 1.0, 1.0]]}, "no position during a pause"),
        ({"pauses": [[2.0, 1.0]]}, "pauses must"),
        ({"words": []}, "words"),
        ({"words": [{"text": "a", "start": 2.0, "end": 1.0}]}, "end before it begins"),
        ({"words": [{"text": "a", "start": 2.0, "end": 9.0}]}, "before the end"),
        ({"task": "read"}, "task to be describe"),
        ({"task": "guess"}, "task"),
        ({"name": "Ada"}, "Extra inputs"),
        ({"instruments": ["camera"]}, "instruments"),
    ],
)
def test_records_that_cannot_be_are_refused(
    client: Any, collection: Collection, change: dict, message: str
) -> None:
    _begin(client)
    answer = client.post("/api/trials/0", json=RECORD | change)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert not list(collection.out.rglob("*.parquet"))


def test_other_images_other_sites_and_large_bodies_are_refused(client: Any) -> None:
    _begin(client)
    assert client.post("/api/trials/7", json=RECORD).status_code == 400
    assert client.get("/api/images/7/sharp.jpg").status_code == 400
    assert client.get("/api/images/0/secret.jpg").status_code == 404
    assert client.get("/session.json").status_code == 404
    foreign = {"origin": "http://evil.example"}
    assert client.post("/api/trials/0", json=RECORD, headers=foreign).status_code == 400
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert client.post("/api/trials/0", content=b"x" * 5_000_000).status_code == 413
    assert client.post("/api/trials/0", content=b"{").status_code == 400
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "microphone=()" in client.get("/").headers["permissions-policy"]


def test_another_machine_needs_the_token(collection: Collection) -> None:
    app = make_app(collection, token="correct-horse", names=("lab",), any_address=True)
    with testing.TestClient(app, base_url="http://10.0.0.7:8000") as outside:
        assert outside.get("/api/welcome").status_code == 401
        assert outside.get("/?token=correct-horse").status_code == 200
        assert outside.get("/api/welcome").status_code == 200


def test_who_withdraws_leaves_nothing(client: Any, collection: Collection) -> None:
    _begin(client)
    client.post("/api/trials/0", json=RECORD)
    assert client.delete("/api/session").status_code == 200
    assert not list((collection.out / "sessions").iterdir())
    assert client.get("/api/welcome").json()["session"] is False


def test_a_withdrawal_that_fails_says_so_and_can_be_tried_again(
    client: Any, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    _begin(client)
    assert client.post("/api/trials/0", json=RECORD).status_code == 200

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        answer = client.delete("/api/session")
    assert answer.status_code == 500
    assert "permission denied" in answer.json()["error"]
    assert list((collection.out / "sessions").rglob("*.parquet"))
    # The page still knows its session, and the next attempt deletes it.
    assert client.get("/api/welcome").json()["session"] is True
    assert client.delete("/api/session").json() == {"deleted": True}
    assert not list((collection.out / "sessions").iterdir())


def test_what_comes_in_after_a_withdrawal_is_not_kept(collection: Collection) -> None:
    session = collection.begin()
    collection.withdraw(session)
    with pytest.raises(InputError, match="withdrawn"):
        collection.store(session, collection.order(session)[0], RECORD)
    assert not list((collection.out / "sessions").iterdir())


def test_a_folder_of_something_else_is_refused(tmp_path: Path, collection: Collection) -> None:
    with pytest.raises(InputError, match="another radius"):
        Collection(collection.samples, collection.out, CollectionOptions(radius=0.2))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="an empty folder or a collection"):
        Collection(collection.samples, tmp_path / "full", CollectionOptions())
    with pytest.raises(InputError, match="at least one image"):
        Collection([], tmp_path / "none", CollectionOptions())
    assert not (tmp_path / "none").exists()


def test_reading_needs_texts_and_takes_them_from_the_folder(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (40, 30), "red").save(photos / "a.png")
    with pytest.raises(InputError, match="descriptions to read"):
        Collection(rs.gaze.described(photos), tmp_path / "o", CollectionOptions(task="read"))
    (photos / "texts.csv").write_text("image,text\na.png,A red field.\n")
    samples = rs.gaze.described(photos)
    assert samples[0].captions == ("A red field.",)
    reading = Collection(samples, tmp_path / "out", CollectionOptions(task="read"))
    number = reading.begin()
    pieces = reading.next(number)["pieces"]
    assert pieces == ["A red field."]
    record = RECORD | {"task": "read", "positions": [[0.0, 5.0, 5.0]]}
    with pytest.raises(InputError, match="shown to be read"):
        reading.store(number, 0, record)
    reading.store(number, 0, record | {"words": [{"text": pieces[0], "start": 0.0, "end": 1.0}]})
    (gaze, *_) = rs.gaze.collected(tmp_path / "out")[0].attention
    assert gaze.segment is not None
    assert gaze.segment.granularity == "phrase"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "guess"}, "'describe', 'read', 'both'"),
        ({"radius": 0}, "radius as a share"),
        ({"blur": 0.6}, "blur as a share"),
        ({"per_session": 0}, "images a session from 1 up"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CollectionOptions(**options)


def test_a_consent_text_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "consent.txt"
    file.write_text("First.\n\nSecond\nline.\n")
    options = CollectionOptions(consent=file)
    made = Collection(rs.data.scenes(1), tmp_path / "out", options)
    assert made.consent == ("First.", "Second line.")
    file.write_text("")
    with pytest.raises(InputError, match="an empty file"):
        Collection(rs.data.scenes(1), tmp_path / "out", options)


def test_pieces_are_the_text_again() -> None:
    text = "A red kite over a beach, and two dogs. Nobody is there"
    pieces = rs.gaze.reading_pieces(text)
    assert " ".join(pieces) == text
    assert pieces == ("A red kite", "over a beach,", "and two dogs.", "Nobody", "is there")


def test_the_window_must_stay_to_count() -> None:
    from retinoscope.gaze._collected import dwells

    positions = [
        (0.0, 10, 10), (0.3, 12, 11), (0.6, 50, 50), (0.65, 80, 80), (1.0, None, None),
        (1.2, 20, 20),
    ]  # fmt: skip
    points, starts, ends = dwells(positions, [(1.5, 5.0)], 9.0, dispersion=5)
    np.testing.assert_allclose(points, [(11, 10.5), (80, 80), (20, 20)])
    np.testing.assert_allclose(starts, [0, 0.65, 1.2])
    np.testing.assert_allclose(ends, [0.6, 1.0, 1.5])


def test_damaged_recordings_are_told(tmp_path: Path, collection: Collection) -> None:
    with pytest.raises(InputError, match=r"expected collection\.json"):
        rs.gaze.collected(tmp_path)
    with pytest.raises(InputError, match="at least one finished image"):
        rs.gaze.collected(collection.out)
    number = collection.begin()
    collection.store(number, 0, RECORD)
    (file,) = collection.out.rglob("*.parquet")
    file.write_bytes(b"no parquet")
    with pytest.raises(InputError, match="a recording of retinoscope collect"):
        _ = rs.gaze.collected(collection.out)[0]


def test_the_windows_radius_is_the_bandwidth_unless_one_is_given(collection: Collection) -> None:
    collection.store(collection.begin(), 0, RECORD)
    radius = collection.radius(0)
    diagonal = float(np.hypot(*collection.samples[0].image.size))
    for settings, wanted in (
        ({}, radius),
        ({"lead": 0.5}, radius),
        ({"bandwidth": 0.03}, 0.03 * diagonal),
        ({"pixels_per_degree": 7}, 7),
    ):
        (collection.out / "gaze.json").write_text(json.dumps(settings))
        gaze = rs.gaze.collected(collection.out)[0].attention[0]
        assert gaze.settings["bandwidth"] == pytest.approx(wanted), settings


def test_settings_of_something_else_are_told(collection: Collection) -> None:
    (collection.out / rs.gaze.COLLECTION).write_text("[]")
    with pytest.raises(InputError, match="settings, got something else"):
        Collection(collection.samples, collection.out, collection.options)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"session": "1"}, "session"),
        ({"size": [64, 0]}, "size"),
        ({"radius": float("nan")}, "radius"),
        ({"task": "swim"}, "task"),
        ({"pauses": [[1, -1]]}, "pauses"),
        ({"words": [{"text": "a", "start": "0", "end": 1}]}, "words"),
        ({"end": None}, "end"),
    ],
)
def test_a_recording_of_another_form_is_refused(
    tmp_path: Path, changes: dict[str, object], field: str
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from retinoscope.gaze import read_trial

    facts = {
        "session": 1, "image": "a", "size": [64, 64], "radius": 4.0, "blur": 2.0,
        "task": "describe", "pauses": [], "words": [], "end": 3.0, "instruments": ["mouse"],
    }  # fmt: skip
    table = pa.table({"time": [0.0], "x": [1.0], "y": [None]}).cast(
        pa.schema([(name, pa.float64()) for name in ("time", "x", "y")])
    )
    for told, match in ((facts | changes, f"a.parquet: field '{field}"), (facts, None)):
        key = {b"retinoscope": json.dumps(told).encode()}
        pq.write_table(table.replace_schema_metadata(key), tmp_path / "a.parquet")
        if match is None:
            assert read_trial(tmp_path / "a.parquet").size == (64, 64)
            continue
        with pytest.raises(InputError, match=match):
            read_trial(tmp_path / "a.parquet")


def test_sessions_are_begun_no_faster_than_people_come(client: Any, collection: Collection) -> None:
    body = {"accepted": True, "consentId": collection.consent_id}
    answers = [client.post("/api/session", json=body) for _ in range(300)]
    begun = [answer for answer in answers if answer.status_code == 200]
    assert 20 <= len(begun) <= 40
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {(one.status_code, one.headers["retry-after"]) for one in refused} == {(429, "1")}
    assert len(list(collection.out.glob("sessions/*/session.json"))) == len(begun)


def test_an_address_begins_one_more_after_a_while() -> None:
    clock = [0.0]
    allowance = Allowance(burst=2, every=3.0, now=lambda: clock[0])
    assert [allowance.take("a") for _ in range(3)] == [True, True, False]
    assert allowance.take("b")
    clock[0] = 2.9
    assert not allowance.take("a")
    clock[0] = 6.1
    assert [allowance.take("a") for _ in range(3)] == [True, True, False]


def test_only_sessions_without_a_record_are_forgotten(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_collection, "UNUSED", 3)
    used, unused = collection.begin(), collection.begin()
    (session_folder(collection.out, used) / "record.parquet").write_bytes(b"a record")
    later = [collection.begin() for _ in range(3)]
    assert collection.knows(used)
    assert not collection.knows(unused)
    assert all(map(collection.knows, later))
