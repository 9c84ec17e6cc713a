"""The page that is shipped, in headless Chromium, used as a person would."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import pytest
from chromium import browser
from microscope import Microscope, live

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.lens import ContextualLens, Jacobian, Kernel, Kind, Lens, Logit, load
from retinoscope.models import Adapter
from retinoscope.recipes.lenses import build_contexts
from retinoscope.tokens import RunWithStates
from retinoscope.viewer import export_view

FISH = 3
"""A scene in which the fish's tokens decide its question."""
QUESTION = "What color is the fish?"


class Slow(Kind):
    """The logit lens at three layers, a second for each."""

    name = "slow"
    identity = "as the logit lens"

    def layers(self, adapter: Adapter) -> tuple[int, ...]:
        return (3, 5, 7)

    def read(
        self,
        run: RunWithStates,
        positions: Sequence[int],
        layers: Sequence[int],
        top_k: int,
        kernel: Kernel = "torch",
    ) -> Lens:
        time.sleep(1)
        return replace(Logit().read(run, positions, layers, top_k, kernel), kind=self.name)


@pytest.fixture(scope="module")
def shown() -> Iterator[Microscope]:
    with browser() as page:
        found = Microscope(page)
        found.size(1280, 1000)
        yield found


@pytest.fixture(scope="module")
def contexts(pocket: rs.VLM, tmp_path_factory: pytest.TempPathFactory) -> Kind:
    folder = tmp_path_factory.mktemp("contexts")
    texts = [text for sample in rs.data.scenes(40, seed=1) for text in sample.captions]
    build_contexts(pocket, texts, folder / "index", text_layers=(2, 4))
    return load(folder / "index", pocket)


@pytest.fixture(scope="module")
def url(
    pocket: rs.VLM, scenes: rs.data.Scenes, jacobian: Jacobian, contexts: Kind
) -> Iterator[str]:
    pytest.importorskip("fastapi", reason="needs the extra 'serve'")
    with live(pocket, scenes, [jacobian, contexts, Slow()]) as found:
        yield found


@pytest.fixture(scope="module")
def static(runs: Path, pocket: rs.VLM, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("studies")
    shutil.copytree(runs, folder, dirs_exist_ok=True)
    shutil.copytree(runs / "knockout", folder / "knockout-again")
    kinds = ("logit", "embedding")
    path, _ = export_view(folder, folder / "page", load=lambda name: pocket, n_lens=4, kinds=kinds)
    return path.as_uri()


def test_drop_ask_paint_ablate_cut_and_patch(
    shown: Microscope, url: str, scenes: rs.data.Scenes, tmp_path: Path
) -> None:
    sample = scenes[FISH]
    fish = next(one for one in sample.objects if one.name == "fish")
    shown.open(url)
    shown.sees("1 of 4")
    shown.drop(sample.image)
    # What is dropped has no objects: its tokens are painted.
    shown.wait("location.hash.includes('i=') && !document.querySelector('.chips button')")
    shown.ask("What color is the fish?")
    shown.wait("document.querySelector('blockquote.answer')?.textContent === 'yellow'")
    rows, columns = np.nonzero(fish.mask)
    height, width = fish.mask.shape
    shown.paint(
        (
            max(0.01, columns.min() / width - 0.1),
            rows.min() / height - 0.1,
            columns.max() / width + 0.1,
            min(0.99, rows.max() / height + 0.1),
        )
    )
    said = shown.verdict('As many random tokens: still "yellow"')
    assert said.startswith('The answer changes from "yellow" to ')
    shown.press("Which layers matter?")
    shown.sees("nothing cut.")
    assert shown.verdict("changes from")
    # One block alone, at the far end of the slider.
    shown.act(
        "document.querySelectorAll('.span-box [role=slider]')[1]",
        "one.dispatchEvent(new KeyboardEvent('keydown', { key: 'Home', bubbles: true }))",
    )
    shown.verdict("stays")
    shown.press("Patch")
    file = tmp_path / "other.png"
    scenes[0].image.save(file)
    root = shown.page.send("DOM.getDocument")["root"]["nodeId"]
    node = shown.page.send("DOM.querySelector", nodeId=root, selector=".donor-row input")["nodeId"]
    shown.page.send("DOM.setFileInputFiles", nodeId=node, files=[str(file)])
    assert "yellow" in shown.verdict("changes from")
    assert shown.page.problems == []


def test_the_address_is_the_state(shown: Microscope, url: str) -> None:
    shown.open(f"{url}#s={FISH}")
    shown.answer()
    shown.press("fish", ".chips button")
    shown.sees("10 of 144 tokens")
    shown.press("Grow")
    before = shown.verdict("As many random tokens")
    address = shown.wait("location.hash.includes('t=') && location.href")
    shown.open(address)
    assert shown.verdict("As many random tokens") == before
    assert shown.page.run("location.href") == address


def test_the_lens_live(shown: Microscope, url: str) -> None:
    shown.open(f"{url}#s={FISH}&v=lens")
    shown.sees("layer 8 of 8")
    shown.press("top word")
    shown.wait("location.hash.includes('c=top')")
    shown.press("fish", "button")
    shown.wait("location.hash.includes('w=fish') && location.hash.includes('c=word')")
    shown.sees("true mask")
    shown.act(
        "document.querySelector('.layer-slider input')",
        "one.value = 2; one.dispatchEvent(new Event('input', { bubbles: true }))",
    )
    shown.sees("layer 2 of 8")
    assert shown.page.problems == []


def run_behind(url: str, vlm: rs.VLM) -> Run:
    """The run that the page shows: of the image as the server sends it."""
    with urllib.request.urlopen(f"{url}api/samples/images/{FISH}.jpg") as answer:
        return vlm.run(vlm.prompt(answer.read(), QUESTION))


def test_kinds_of_lens_are_switched_over_the_image(shown: Microscope, url: str) -> None:
    shown.open(f"{url}#s={FISH}&v=lens&c=top&l=3")
    shown.sees("top-1 probability, logit lens")
    shown.press("Embedding", "[role=radio]")
    shown.sees("top-1 cosine similarity, embedding lens")
    assert "lens=embedding" in shown.wait("location.hash.includes('lens=') && location.hash")
    # What has to be fitted says how.
    tuned = "[...document.querySelectorAll('[role=radio]')].find((o) => o.textContent === 'Tuned')"
    assert shown.page.run(f"{tuned}.disabled")
    assert "retinoscope fit-lens tuned MODEL DATA" in shown.page.run(f"{tuned}.title")
    shown.act("document.querySelector('.unfitted')", "one.open = true")
    shown.sees("retinoscope fit-lens tuned MODEL DATA --out FILE")
    assert shown.page.problems == []


def test_two_lenses_side_by_side(shown: Microscope, url: str, pocket: rs.VLM) -> None:
    shown.open(f"{url}#s={FISH}&v=lens&c=top&l=5&lens=embedding&ask={quote(QUESTION)}")
    shown.choose("Compare with", "logit")
    said = shown.wait(
        "document.querySelector('.agreed')?.textContent.match(/at \\d+ of .*\\)/)?.[0]"
    )
    shown.wait("document.querySelectorAll('.stage:not([hidden])').length === 2")
    run = run_behind(url, pocket)
    first, second = (
        [
            words[0].strip().lower()
            for words in run.lens(1, run.image.tokens, kind=kind, layers=5).tokens[0]
        ]
        for kind in ("embedding", "logit")
    )
    same = sum(a == b for a, b in zip(first, second, strict=True))
    assert said.startswith(f"at {same} of 144 tokens")
    # Pointing at a token of one image tells what both lenses say at it.
    token = 12 * 8 + 1
    shown.point((1.5 / 12, 8.5 / 12), stage=1)
    card = shown.wait(
        "[...document.querySelectorAll('.tip:not([hidden])')].map((o) => o.innerText)[0]"
    )
    assert f"index {token} " in card
    for kind, words in (("embedding", first), ("logit", second)):
        assert f"{kind} lens, layer 5" in card
        assert words[token] in card
    # The layer is one for both.
    shown.act(
        "document.querySelector('.layer-slider input')",
        "one.value = 2; one.dispatchEvent(new Event('input'))",
    )
    shown.wait("document.querySelector('.agreed')?.textContent.startsWith('Layer 2:')")
    assert shown.page.problems == []


def test_one_token_is_followed_through_the_layers(
    shown: Microscope, url: str, pocket: rs.VLM
) -> None:
    shown.open(f"{url}#s={FISH}&v=lens&c=top&l=5&vs=embedding&ask={quote(QUESTION)}")
    shown.sees("the same top word")
    shown.point((1.5 / 12, 8.5 / 12), click=True)
    shown.wait("location.hash.includes('on=97')")
    # It stays when the pointer goes elsewhere.
    shown.point((7.5 / 12, 1.5 / 12))
    shown.sees("Index 97 (position 100), row 9, column 2: the two lenses' best words by layer")
    rows = "[...document.querySelectorAll('.token-table tbody tr')].map((o) => o.innerText)"
    table = shown.page.run(rows)
    run = run_behind(url, pocket)
    position = run.image.positions[97]
    words = {kind: run.lens(2, [position], kind=kind).tokens for kind in ("logit", "embedding")}
    assert len(table) == 9
    for layer, row in enumerate(reversed(table)):
        assert row.split()[0] == f"{layer}"
        for tokens in words.values():
            missing = [token for token in tokens[layer][0] if token.strip() not in row]
            assert missing == [], row
    # The arrow keys move to the layer below, and the page follows.
    layer = "document.activeElement?.dataset.layer"
    shown.act("document.querySelector('[data-layer=\"5\"]')", "one.focus()")
    press = "new KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true })"
    shown.act("document.activeElement", f"one.dispatchEvent({press})")
    shown.wait(f"location.hash.includes('l=4') && {layer} === '4'")
    # From the keyboard alone: the next token, followed with space.
    for key in ("ArrowRight", " "):
        press = f"new KeyboardEvent('keydown', {{ key: {json.dumps(key)}, bubbles: true }})"
        shown.act("document.querySelector('.stage')", f"one.focus(); one.dispatchEvent({press})")
    shown.wait("/on=\\d+/.test(location.hash) && !location.hash.includes('on=97')")
    shown.press("Stop following this token")
    shown.wait("!location.hash.includes('on=')")
    assert shown.page.problems == []


def test_words_in_context_on_the_image_and_in_the_panel(
    shown: Microscope, url: str, pocket: rs.VLM, contexts: Kind
) -> None:
    ask = quote(QUESTION)
    shown.open(f"{url}#s={FISH}&v=lens&c=top&l=4&lens=contextual&on=97&ask={ask}")
    shown.sees("In context at layer 4")
    run = run_behind(url, pocket)
    lens = run.lens(5, [run.image.positions[97]], kind=contexts, layers=4)
    assert isinstance(lens, ContextualLens)
    shown.point((1.5 / 12, 8.5 / 12))
    for place in (".tip", ".contexts"):
        each = (
            f"[...document.querySelectorAll('.stages {place} .context, section{place} .context')]"
        )
        said = shown.wait(
            f"(() => {{ const all = {each}.map((o) => [o.querySelector('q').textContent,"
            "o.querySelector('em').textContent, o.querySelector('small').textContent]);"
            "return all.length && all; })()"
        )
        assert len(said) == 5
        for (sentence, word, facts), wanted in zip(said, lens.contexts[0][0], strict=True):
            assert word == wanted.word.strip()
            assert wanted.word.strip() in sentence
            assert sentence.strip("…").strip() in f"{wanted.before}{wanted.word}{wanted.after}"
            assert facts.endswith(f"text layer {wanted.layer}")
    assert shown.page.problems == []


def test_the_slider_follows_the_layers_of_the_lens(shown: Microscope, url: str) -> None:
    shown.open(f"{url}#s={FISH}&v=lens&c=top&l=6&lens=jacobian")
    # It reads layers 0 to 4 and the last.
    slider = "document.querySelector('.layer-slider input')"
    shown.wait(f"{slider}?.max === '5'")
    shown.sees("layer 8 of 8 (last)")
    shown.act(slider, "one.value = 4; one.dispatchEvent(new Event('input'))")
    shown.sees("layer 4 of 8")
    shown.wait("location.hash.includes('l=4')")


def test_a_slow_lens_tells_how_far_it_is_and_can_be_stopped(shown: Microscope, url: str) -> None:
    shown.open(f"{url}#s={FISH}&v=lens&c=top&lens=slow")
    shown.sees("Reading the slow lens: layer 1 of 3")
    shown.press("Stop")
    shown.sees("top-1 probability, logit lens")
    shown.press("Slow", "[role=radio]")
    shown.sees("top-1 probability, slow lens")
    shown.sees("layer 7 of 8")
    shown.press("Patchscope", "[role=radio]")
    shown.sees("top-1 probability, patchscope lens")
    assert shown.page.problems == []


def test_attention_live(shown: Microscope, url: str) -> None:
    shown.open(f"{url}#s={FISH}&v=attention")
    shown.sees("sum over")
    assert shown.page.problems == []


@pytest.mark.parametrize("view", ["answer", "lens", "attention"])
def test_views_are_taken_away(shown: Microscope, url: str, view: str) -> None:
    shown.open(f"{url}#s={FISH}&v={view}&t=84-88.96-100")
    # Before its image and its chart, a view has nothing to save.
    shown.wait("document.querySelector('.stage')?.offsetParent instanceof Element")
    shown.sees(
        {"answer": "most probable words", "lens": "best words by", "attention": "sum over"}[view]
    )
    shown.page.run(
        "(() => { window.saved = []; const make = URL.createObjectURL.bind(URL);"
        "URL.createObjectURL = (blob) => { window.saved.push(blob); return make(blob); };"
        "navigator.clipboard.writeText = async (text) => { window.copied = text; }; })()"
    )
    shown.press("SVG")
    shown.wait("window.saved.some((one) => one.type.startsWith('image/svg'))")
    assert shown.page.run("window.saved.at(-1).text()").startswith("<svg")
    shown.press("PNG")
    shown.wait("window.saved.some((one) => one.type === 'image/png')")
    shown.press("Python")
    lines = shown.wait("window.copied")
    assert "import retinoscope as rs" in lines
    compile(lines, "copied", "exec")


def test_from_disk_without_a_network(shown: Microscope, static: str) -> None:
    shown.open(static)
    shown.sees("1 of 4")
    # What the live page asked for last may only have been told now.
    shown.page.requested.clear()
    for tab, words in (
        ("Answer", "Choose tokens"),
        ("Lens", "Point at a token"),
        ("Attention", "sum over"),
        ("Flow", "object"),
        ("Tables", "control"),
        ("Images", "4 of 4 images"),
    ):
        shown.press(tab, "[role=tab]")
        shown.sees(words)
    assert not [one for one in shown.page.requested if one.startswith("http")]
    assert shown.page.problems == []


def test_lenses_from_disk(shown: Microscope, static: str) -> None:
    shown.open(f"{static}#v=lens&c=top&vs=embedding&on=3")
    shown.sees("Embedding lens, cosine similarity")
    shown.sees("the same top word at")
    shown.act("document.querySelector('.unfitted')", "one.open = true")
    shown.sees("Patchscope: it was not written: add it to --kinds")
    assert shown.page.problems == []


def test_a_cell_of_the_flow_leads_to_its_images(shown: Microscope, static: str) -> None:
    shown.open(f"{static}#v=flow")
    shown.act(
        "document.querySelector('[role=gridcell]')",
        "one.dispatchEvent(new MouseEvent('click', { bubbles: true }))",
    )
    assert "cell=" in unquote(shown.wait("location.hash.includes('cell') && location.hash"))


def test_two_studies_side_by_side(shown: Microscope, static: str) -> None:
    shown.open(f"{static}#v=tables&study=knockout")
    other = "document.querySelector('[aria-label=\"Compare with\"]')"
    shown.act(
        f"{other}?.options.length > 1 && {other}",
        "one.selectedIndex = 1; one.dispatchEvent(new Event('change', { bubbles: true }))",
    )
    shown.sees("accuracy, difference")


def test_phone_and_dark(shown: Microscope, url: str) -> None:
    shown.open(f"{url}#s={FISH}")
    shown.answer()
    ground = "getComputedStyle(document.querySelector('.retinoscope')).backgroundColor"
    light = shown.page.run(ground)
    shown.act('document.querySelector(\'[aria-label*="ark"], [title*="ark"]\')', "one.click()")
    shown.wait(f"{ground} !== {json.dumps(light)}")
    try:
        shown.size(375, 800)
        assert shown.page.run("document.documentElement.scrollWidth") <= 375
    finally:
        shown.size(1280, 1000)
