"""The contract between Python and the page, in headless Chromium with a page of these tests' own:
the static export from disk without a network, the live loop, and the policy of its headers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Page, browser

import retinoscope as rs
from retinoscope.viewer import export_view

pytestmark = pytest.mark.usefixtures("stub_page")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as found:
        yield found


def test_the_export_opens_from_disk_without_a_network(
    page: Page, runs: Path, pocket: rs.VLM, scenes: rs.data.Scenes, tmp_path: Path
) -> None:
    path, _ = export_view(runs, tmp_path, load=lambda name: pocket, n_lens=1)
    page.offline()
    page.problems.clear()
    page.requested.clear()
    page.open(path.as_uri())
    assert page.run("document.getElementById('app').textContent") == "static"
    manifest = page.run("stub.loaded('manifest')")
    assert [one["id"] for one in manifest["samples"]] == [one.id for one in scenes]
    assert not [url for url in page.requested if "sample" in url]
    lens = page.run("stub.loaded('lens-0')")
    floats = page.run(f"stub.floats({json.dumps(lens['values'])})")
    run = pocket.run(
        pocket.prompt(scenes[0].image, page.run("stub.loaded('sample-0')")["prompt"]["text"])
    )
    wanted = run.lens(top_k=5, positions=lens["positions"]).probs.flatten()
    assert floats == pytest.approx(wanted.tolist(), abs=1e-6)
    size = page.run(
        "new Promise((done, failed) => { const image = new Image();"
        "image.onload = () => done([image.naturalWidth, image.naturalHeight]);"
        "image.onerror = failed; image.src = 'images/0.jpg'; })"
    )
    assert tuple(size) == scenes[0].image.size
    assert page.problems == []
    assert all(url.startswith(("file:", "data:")) for url in page.requested)


def test_drop_ask_paint_ablate_and_the_answer_changes(
    pocket: rs.VLM, scenes: rs.data.Scenes, serving: Callable[..., Any]
) -> None:
    pytest.importorskip("fastapi", reason="needs the extra 'serve'")
    from retinoscope.viewer._server import make_app

    sample = scenes[0]
    question = next(one for one in sample.questions if (one.kind, one.answer) == ("polling", "yes"))
    masks = [sample.objects[k].mask for k in question.about]
    with browser() as page, serving(make_app(pocket, token="secret")) as served:
        page.open(f"{served.url}/?token=secret")
        assert page.run("location.search") == ""
        assert page.run("document.getElementById('app').textContent") == "live"
        # The policy of the page: no script but its own, and the cookie is out of scripts' reach.
        assert page.run("document.cookie") == ""
        page.run(
            "new Promise((done) => { const s = document.createElement('script');"
            "s.textContent = 'window.injected = 1'; document.head.append(s); done(); })"
        )
        assert page.run("window.injected === undefined")
        assert page.run("fetch('https://example.org/').then(() => false, () => true)")
        page.problems.clear()
        width, height = sample.image.size
        pixels = json.dumps(list(sample.image.convert("RGBA").tobytes()))
        dropped = page.run(
            "(async () => { const canvas = document.createElement('canvas');"
            f"canvas.width = {width}; canvas.height = {height};"
            f"canvas.getContext('2d').putImageData(new ImageData(new Uint8ClampedArray({pixels}),"
            f"{width}, {height}), 0, 0);"
            "const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));"
            "return stub.drop(blob); })()"
        )
        asked = page.run(
            "stub.post('api/ask', "
            f"{json.dumps({'image': dropped['image'], 'question': question.question})})"
        )
        assert asked["answer"]["text"].strip() == question.answer
        run = pocket.run(pocket.prompt(sample.image, question.question))
        painted = sorted(
            {run.image.positions.index(p) for m in masks for p in run.image.covering(m).grow(1)}
        )
        body = {"run": asked["run"], "edits": [{"kind": "ablate", "tokens": painted}]}
        effect = page.run(f"stub.post('api/effect', {json.dumps(body)})")
        before, after = effect["before"]["chosen"], effect["after"]["chosen"]
        assert before["id"] == asked["answer"]["chosen"]["id"]
        assert after["id"] != before["id"]
        text = page.run(f"stub.post('api/generate', {json.dumps(body)})")["text"]
        assert text != question.answer
        lines = page.run(
            "stub.lines('api/sweep', "
            f"{json.dumps({'run': asked['run'], 'tokens': painted, 'width': 4})})"
        )
        assert len(lines[-1]["result"]["windows"]) == 5
        assert page.problems == []


def test_a_server_that_wants_a_token_shows_nothing_without(
    pocket: rs.VLM, serving: Callable[..., Any]
) -> None:
    pytest.importorskip("fastapi", reason="needs the extra 'serve'")
    from retinoscope.viewer._server import make_app

    with browser() as page, serving(make_app(pocket, token="secret")) as served:
        page.open(f"{served.url}/")
        assert "token is needed" in page.run("document.body.textContent")
