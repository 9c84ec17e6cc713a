"""The notebook widget: documents in its traits, calls by messages."""

from __future__ import annotations

import gc
import sys
from importlib import import_module

import numpy as np
import pytest

import retinoscope as rs
from retinoscope import Ablate, Knockout, fill
from retinoscope.engine import Run
from retinoscope.errors import InputError, MissingExtraError
from retinoscope.lens import Jacobian
from retinoscope.viewer._json import unpacked

pytest.importorskip("anywidget", reason="needs the extra 'notebook'")
pytestmark = pytest.mark.usefixtures("stub_page")


@pytest.fixture(scope="module")
def run(pocket: rs.VLM, scenes: rs.data.Scenes) -> Run:
    return pocket.run(pocket.prompt(scenes[0].image, "What color is the car?"))


def ask(widget: object, path: str, **body: object) -> dict:
    """Sends a message as the page does, and takes the reply."""
    sent: list[dict] = []
    widget.send = lambda content, buffers=None: sent.append(content)  # type: ignore[attr-defined]
    message = {"kind": "call", "id": 7, "path": path, "body": body}
    widget._handle_custom_msg(message, [])  # type: ignore[attr-defined]
    (reply,) = sent
    assert (reply["kind"], reply["id"]) == ("reply", 7)
    return reply


def test_a_run_shows_its_image_tokens_and_words(run: Run) -> None:
    widget = rs.show(run)
    documents = widget.documents
    assert set(documents) == {"manifest", "sample-0", "lens-0", "attention-0"}
    assert documents["manifest"]["mode"] == "widget"
    assert documents["sample-0"]["image"]["src"].startswith("data:image/png;base64,")
    lens = documents["lens-0"]
    wanted = run.lens(top_k=5, positions=lens["positions"]).probs.numpy()
    assert np.array_equal(unpacked(lens["values"]), wanted)
    assert widget.view == "image"
    assert "export default" in widget._esm


def test_a_lens_shows_its_own_positions(run: Run) -> None:
    lens = run.lens(top_k=2, positions=run.image.tokens)
    widget = rs.show(lens)
    document = widget.documents["lens-0"]
    assert (widget.view, document["k"]) == ("lens", 2)
    assert document["positions"] == list(run.image.positions)


def test_a_widget_reads_other_kinds_of_lens(run: Run) -> None:
    widget = rs.show(run.lens(3, run.image.tokens, kind="embedding", layers=[2, 5]))
    names = [one["name"] for one in widget.documents["manifest"]["lenses"]]
    assert (names[0], names.count("embedding")) == ("embedding", 1)
    shown = widget.documents["lens-0"]
    assert (shown["kind"], shown["unit"], shown["layers"]) == ("embedding", "similarity", [2, 5])
    # Words are those of the lens that is shown, at its own layers.
    word = ask(widget, "/api/word", run=widget.run, kind="embedding", word="red")["body"]
    wanted = run.lens(3, run.image.tokens, kind="embedding", layers=[2, 5]).similarity("red")
    assert unpacked(word["values"]) == pytest.approx(wanted.numpy(), abs=1e-6)
    logit = ask(widget, "/api/lens", run=widget.run, kind="logit", top_k=2)["body"]
    wanted = run.lens(2, logit["positions"]).probs
    assert unpacked(logit["values"]) == pytest.approx(wanted.numpy(), abs=1e-6)


def test_a_fitted_lens_is_shown_and_searched(run: Run, jacobian: Jacobian) -> None:
    widget = rs.show(run.lens(2, run.image.tokens, kind=jacobian))
    assert widget.documents["manifest"]["lenses"][0]["name"] == "jacobian"
    assert widget.documents["lens-0"]["layers"] == [0, 1, 2, 3, 4, 8]
    word = ask(widget, "/api/word", run=widget.run, kind="jacobian", word="red")["body"]
    wanted = run.lens(2, run.image.tokens, kind=jacobian).prob("red")
    assert unpacked(word["values"]) == pytest.approx(wanted.numpy(), abs=1e-6)


def test_effects_show_their_table(run: Run) -> None:
    effects = run.counterfactuals([Ablate(run.image.tokens, fill.zero())])
    document = rs.show(effects).documents["effects"]
    names = [column["name"] for column in document["columns"]]
    assert document["rows"][0][names.index("top_prob")] == pytest.approx(
        effects.to_frame()["top_prob"][0].as_py()
    )


def test_the_page_can_cut_and_see_the_answer(run: Run) -> None:
    widget = rs.show(run)
    tokens = list(range(len(run.image)))
    cut = {"kind": "knockout", "tokens": tokens, "target": "last", "layers": [0, 7]}
    reply = ask(widget, "/api/effect", run=widget.run, edits=[cut])
    assert reply["ok"]
    wanted = run.counterfactuals([Knockout(run.image.tokens, "last")]).logits[0].softmax(-1).max()
    assert reply["body"]["after"]["chosen"]["prob"] == pytest.approx(float(wanted), rel=1e-4)
    sweep = ask(widget, "/api/sweep", run=widget.run, tokens=tokens, width=4)
    assert len(sweep["body"]["result"]["windows"]) == 5


def test_what_the_page_cannot_have_is_a_line(run: Run) -> None:
    widget = rs.show(run)
    for path, body in (
        ("/api/effect", {"run": widget.run, "edits": []}),
        ("/api/effect", {"run": widget.run, "edits": [{"kind": "ablate", "tokens": [10**5]}]}),
        ("/api/lens", {"run": "gone"}),
        ("/etc/passwd", {}),
    ):
        reply = ask(widget, path, **body)
        assert not reply["ok"]
        assert list(reply["body"]) == ["error"]


def test_a_lens_does_not_keep_its_run(pocket: rs.VLM, scenes: rs.data.Scenes) -> None:
    one = pocket.run(pocket.prompt(scenes[1].image, "What is it?"))
    lens = one.lens(top_k=1)
    assert lens.of is one
    del one
    gc.collect()
    with pytest.raises(InputError, match="keep the run"):
        rs.show(lens)


def test_other_things_are_refused() -> None:
    with pytest.raises(InputError, match="got a int"):
        rs.show(3)


def test_without_the_extra_it_names_the_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rs, "viewer", rs.viewer)
    for name in [name for name in sys.modules if name.startswith("retinoscope.viewer")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("anywidget", "uvicorn"):
        monkeypatch.setitem(sys.modules, name, None)
    viewer = import_module("retinoscope.viewer")
    assert issubclass(MissingExtraError, rs.RetinoscopeError)
    with pytest.raises(MissingExtraError, match=r"retinoscope\[notebook\]"):
        viewer.show(run)
    with pytest.raises(MissingExtraError, match=r"retinoscope\[serve\]"):
        viewer.serve(run.vlm)
