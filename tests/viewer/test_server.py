"""The live page's routes answer with the Python API's own numbers."""

from __future__ import annotations

import contextlib
import gc
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import retinoscope as rs
from retinoscope import Ablate, Knockout, Patch, fill
from retinoscope.lens import Logit
from retinoscope.studies.runs import collect
from retinoscope.viewer._json import unpacked
from retinoscope.viewer._library import Library
from retinoscope.viewer._of_lens import KEPT_WORDS
from retinoscope.viewer._reopen import reopen

pytest.importorskip("fastapi", reason="needs the extra 'serve'")
testing = pytest.importorskip("fastapi.testclient", reason="needs httpx")

from retinoscope.viewer._requests import MAX_TOP_K, AttentionRequest, LensRequest, RunRequest  # noqa: E402
from retinoscope.viewer._server import make_app  # noqa: E402
from retinoscope.viewer._session import KEPT_LENSES, Session, _bytes_of  # noqa: E402

QUESTION = "What color is the car?"


@pytest.fixture(scope="module")
def client(pocket: rs.VLM, runs: Path) -> Iterator[Any]:
    found = collect(runs)
    library = Library(
        found,
        reopen(found, lambda name: pocket),
        mode="live",
        n_lens=99,
        image_src=lambda folder, index: f"api/samples/{folder}/{index}.jpg",
    )
    session = Session(pocket, rs.data.scenes(3))
    app = make_app(pocket, library, names=("testserver",), session=session)
    with testing.TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def image(client: Any, scene_png: bytes) -> str:
    sent = client.post("/api/images", content=scene_png, headers={"content-type": "image/png"})
    return sent.json()["image"]


@pytest.fixture(scope="module")
def asked(client: Any, image: str) -> dict:
    answer = client.post("/api/ask", json={"image": image, "question": QUESTION})
    assert answer.status_code == 200
    return answer.json()


@pytest.fixture(scope="module")
def run(pocket: rs.VLM, scenes: rs.data.Scenes) -> Any:
    return pocket.run(pocket.prompt(scenes[0].image, QUESTION))


def post(client: Any, path: str, **body: object) -> dict:
    answer = client.post(f"/api/{path}", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["ms"] >= 0
    return answer.json()


def read(client: Any, **body: object) -> dict:
    """A lens, which is streamed."""
    answer = client.post("/api/lens", json=body)
    assert answer.status_code == 200, answer.text
    job, *steps, last = [json.loads(line) for line in answer.text.splitlines()]
    assert list(job) == ["job"]
    assert [step["done"] for step in steps] == list(range(1, len(steps) + 1))
    return last["result"]


def test_an_answer_is_the_runs(client: Any, asked: dict, run: Any) -> None:
    probs = run.logits.softmax(-1)
    top = probs.topk(10)
    found = asked["answer"]["candidates"]
    assert [one["id"] for one in found] == top.indices.tolist()
    assert [one["prob"] for one in found] == pytest.approx(top.values.tolist(), rel=1e-4)
    assert asked["answer"]["chosen"] == found[0]
    assert asked["sample"]["visual"]["positions"] == list(run.image.positions)
    assert asked["sample"]["prompt"]["tokens"] == run.tokens
    text = post(client, "generate", run=asked["run"])["text"]
    assert text == run.generate().text


def test_the_image_comes_back(client: Any, asked: dict, scenes: rs.data.Scenes) -> None:
    answer = client.get("/" + asked["sample"]["image"]["src"])
    with Image.open(io.BytesIO(answer.content)) as shown:
        assert shown.convert("RGB").tobytes() == scenes[0].image.tobytes()


@pytest.mark.parametrize("which", ["mean", "zero", "noise", "knockout", "cut a head", "both"])
def test_an_effect_is_the_counterfactual(
    client: Any, asked: dict, run: Any, pocket: rs.VLM, which: str
) -> None:
    tokens = list(range(30, 60))
    chosen = run.image.at(tokens)
    ablate = {"kind": "ablate", "tokens": tokens, "fill": "zero"}
    cut = {"kind": "knockout", "tokens": tokens, "target": "last", "layers": [2, 4]}
    fills = {"zero": fill.zero(), "noise": fill.noise(0)}
    if which == "mean":
        fills["mean"] = fill.mean(pocket, rs.data.scenes(3), cache=False)
    edits, condition = {
        "knockout": ([cut], [Knockout(chosen, "last", range(2, 5))]),
        "cut a head": (
            [cut | {"heads": [1], "target": [run.n - 2, run.n - 1]}],
            [
                Knockout(
                    chosen,
                    rs.tokens.TokenSet.of(run.sequence, [run.n - 2, run.n - 1]),
                    range(2, 5),
                    [1],
                )
            ],
        ),
        "both": (
            [ablate, cut],
            [Ablate(chosen, fill.zero()), Knockout(chosen, "last", range(2, 5))],
        ),
    }.get(which) or ([ablate | {"fill": which}], [Ablate(chosen, fills[which])])
    effect = post(client, "effect", run=asked["run"], edits=edits, word="red")
    logits = run.counterfactuals([condition]).logits[0]
    top = logits.softmax(-1).topk(10)
    assert [one["id"] for one in effect["after"]["candidates"]] == top.indices.tolist()
    found = [one["prob"] for one in effect["after"]["candidates"]]
    assert found == pytest.approx(top.values.tolist(), rel=1e-3, abs=1e-6)
    piece = pocket.adapter.vocabulary.first_piece("red")
    assert effect["word"]["after"] == pytest.approx(float(logits.softmax(-1)[piece]), rel=1e-3)
    assert effect["before"]["chosen"]["id"] == int(run.logits.argmax())
    assert (effect["tokens"], effect["path"]) == (len(tokens), "incremental")


def test_a_patch_takes_the_other_images_states(
    client: Any, asked: dict, run: Any, pocket: rs.VLM, scenes: rs.data.Scenes
) -> None:
    other = post(client, "ask", image="sample-1", question=QUESTION)
    donor = pocket.run(pocket.prompt(scenes[1].image, QUESTION))
    every = list(range(len(run.image)))
    edit = {"kind": "patch", "tokens": every, "layers": [0, 0], "donor": other["run"]}
    effect = post(client, "effect", run=asked["run"], edits=[edit])
    patch = Patch(run.image.tokens, [0], donor, donor.image.tokens)
    wanted = run.counterfactuals([[patch]]).logits[0].softmax(-1).max()
    assert effect["after"]["chosen"]["prob"] == pytest.approx(float(wanted), rel=1e-3)
    assert "donor_0.image.at" in effect["python"]


def test_the_python_lines_do_the_same(
    client: Any, asked: dict, scene_png: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits = [
        {"kind": "ablate", "tokens": [1, 2, 3, 4, 9], "fill": "noise"},
        {"kind": "knockout", "tokens": [50, 51, 52, 53], "target": "question", "layers": [0, 3]},
    ]
    effect = post(client, "effect", run=asked["run"], edits=edits)
    (tmp_path / "image.png").write_bytes(scene_png)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(effect["python"], names)
    top = names["effects"].logits[0].softmax(-1).max()
    assert effect["after"]["chosen"]["prob"] == pytest.approx(float(top), rel=1e-4)
    edited = post(client, "generate", run=asked["run"], edits=edits)["text"]
    assert said.getvalue().strip().endswith(edited)


def test_lens_word_and_attention_are_the_runs(client: Any, asked: dict, run: Any) -> None:
    lens = read(client, run=asked["run"], top_k=2)
    wanted = run.lens(top_k=2, positions=lens["positions"])
    torch.testing.assert_close(
        torch.from_numpy(unpacked(lens["values"]).copy()), wanted.probs, rtol=1e-3, atol=1e-6
    )
    word = post(client, "word", run=asked["run"], word="red")
    assert (unpacked(word["rank"]) == wanted.rank("red").numpy()).mean() > 0.999
    attention = post(client, "attention", run=asked["run"], query=5)
    row = run.attention(3, 5)[:, 0].numpy()
    found = unpacked(attention["weights"])[3]
    assert found == pytest.approx(row[:, list(run.image.positions)], abs=1e-5)


@pytest.mark.parametrize("kind", ["logit", "embedding"])
def test_every_kind_of_lens_is_read_and_searched(
    client: Any, asked: dict, run: Any, kind: str
) -> None:
    lens = read(client, run=asked["run"], kind=kind)
    wanted = run.lens(5, lens["positions"], kind=kind)
    assert (lens["kind"], lens["unit"], lens["layers"]) == (kind, wanted.unit, list(range(9)))
    torch.testing.assert_close(
        torch.from_numpy(unpacked(lens["values"]).copy()), wanted.values, rtol=1e-3, atol=1e-5
    )
    word = post(client, "word", run=asked["run"], kind=kind, word="red")
    assert (unpacked(word["rank"]) == wanted.rank("red").numpy()).mean() > 0.999


def test_the_page_knows_the_kinds_and_how_to_make_others(client: Any) -> None:
    lenses = {one["name"]: one for one in client.get("/api/manifest").json()["lenses"]}
    assert lenses["logit"]["ok"]
    assert lenses["embedding"]["ok"]
    assert not lenses["tuned"]["ok"]
    assert lenses["tuned"]["command"].startswith("retinoscope fit-lens tuned")


def test_a_sweep_streams_every_window(client: Any, asked: dict, run: Any) -> None:
    tokens = list(range(len(run.image)))
    body = {"run": asked["run"], "tokens": tokens, "width": 3}
    answer = client.post("/api/sweep", json=body)
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert list(lines[0]) == ["job"]
    assert [line["done"] for line in lines[1:-1]] == [4, 6]
    result = lines[-1]["result"]
    cuts = [Knockout(run.image.tokens, "last", range(k, k + 3)) for k in range(6)]
    best = int(run.logits.argmax())
    wanted = run.counterfactuals(cuts).logits.softmax(-1)[:, best]
    assert unpacked(result["value"])[0, 0] == pytest.approx(wanted.numpy(), rel=1e-3, abs=1e-6)
    assert [(w["first"], w["last"]) for w in result["windows"]] == [(k, k + 2) for k in range(6)]
    assert client.delete(f"/api/jobs/{lines[0]['job']}").status_code == 404


def test_run_directories_are_served_by_key(client: Any, library: Library) -> None:
    manifest = client.get("/api/manifest").json()
    assert manifest["mode"] == "live"
    assert manifest["model"]["n_layers"] == 8
    assert "3 images: rs.sources.reopen_source({'spec': 'scenes:3'" in manifest["mean"]
    assert [one["id"] for one in manifest["samples"]] == library.ids
    for key in ("sample-2", "lens-3", "attention-0", "table-lens", "flow-knockout"):
        assert client.get(f"/api/data/{key}").status_code == 200
    sample = client.get("/api/data/sample-2").json()
    assert client.get("/" + sample["image"]["src"]).headers["content-type"] == "image/jpeg"
    for key in ("sample-99", "lens-", "table-nope", "flow-lens", "secret", "sample--1"):
        assert client.get(f"/api/data/{key}").status_code == 404


def test_refusals_are_one_line(client: Any, asked: dict, image: str) -> None:
    run, cut = asked["run"], {"kind": "knockout", "tokens": [1], "layers": [0, 1]}
    cases = [
        ("effect", {"run": run, "edits": [cut | {"tokens": [144]}]}, 400, "indices from 0 to 143"),
        ("effect", {"run": run, "edits": [cut | {"layers": [3, 99]}]}, 400, "layers from 0 to 7"),
        ("effect", {"run": run, "edits": [cut | {"layers": [3, 2]}]}, 400, "first to the last"),
        ("effect", {"run": run, "edits": [cut | {"heads": [77]}]}, 400, "heads from 0 to 3"),
        ("effect", {"run": run, "edits": [cut | {"target": [0]}]}, 400, "source before its target"),
        ("effect", {"run": run, "edits": []}, 400, "at least 1 item"),
        ("effect", {"run": run, "edits": [{"kind": "delete"}]}, 400, "ablate"),
        ("effect", {"run": "gone", "edits": [cut]}, 404, "ask again"),
        ("word", {"run": run, "word": "xylophone"}, 400, "tokenizer knows"),
        ("word", {"run": run, "word": "red", "kind": "tuned"}, 400, "logit, embedding"),
        ("lens", {"run": run, "kind": "nope"}, 400, "expected a kind of lens (logit"),
        ("lens", {"run": "gone"}, 404, "ask again"),
        ("attention", {"run": run, "query": 999}, 400, "positions from 0"),
        ("sweep", {"run": run, "tokens": [1], "width": 99}, 400, "1 to 8 layers"),
        ("ask", {"image": "nope", "question": "x"}, 404, "image is not kept"),
        ("ask", {"image": "sample-99", "question": "x"}, 404, "no such image"),
        ("ask", {"image": image, "question": "  "}, 400, "empty"),
        ("ask", {"image": image, "question": "<image> <image>"}, 400, "stands for an image"),
    ]
    for path, body, status, words in cases:
        answer = client.post(f"/api/{path}", json=body)
        assert (answer.status_code, list(answer.json())) == (status, ["error"]), (body, answer.text)
        assert words in answer.json()["error"]
        assert "\n" not in answer.json()["error"]


def test_only_the_last_runs_are_kept(client: Any, image: str) -> None:
    names = [
        post(client, "ask", image=image, question=f"What color is the car {'?' * (k % 3)}")["run"]
        for k in range(17)
    ]
    assert client.post("/api/lens", json={"run": names[0]}).status_code == 404
    assert client.post("/api/lens", json={"run": names[-1]}).status_code == 200


def _bytes_of_tensors() -> int:
    """Of all tensors that are alive; those that share memory count once."""
    gc.collect()
    tensors = [one for one in gc.get_objects() if type(one) is torch.Tensor]
    storages = {one.untyped_storage().data_ptr(): one.untyped_storage() for one in tensors}
    return sum(storage.nbytes() for storage in storages.values())


def test_a_run_holds_no_more_than_is_counted(pocket: rs.VLM, scenes: rs.data.Scenes) -> None:
    """The lenses' copies of the states and the words' ranks were not counted."""
    session = Session(pocket, scenes, [Logit()] * KEPT_LENSES)
    asked = RunRequest(image="x", question=QUESTION)
    session.ask(scenes[0].image, asked, "")
    before = _bytes_of_tensors()
    name, _, _ = session.ask(scenes[0].image, asked, "")
    for word in range(KEPT_WORDS):
        for kind in list(session.kinds)[:KEPT_LENSES]:
            session.runs[name].reading(kind, session.kinds, MAX_TOP_K).finish().word(word)
    session.attention(AttentionRequest(run=name))
    held = _bytes_of_tensors() - before
    counted = _bytes_of(session.runs[name])
    assert counted / 2 < held <= counted
    # One more takes the place of the one that was read first.
    last = list(session.kinds)[KEPT_LENSES]
    session.lens(LensRequest(run=name, kind=last)).finish()
    assert list(session.runs[name].readings) == list(session.kinds)[1 : KEPT_LENSES + 1]
