"""The page that is shipped, in headless Chromium, used as a person would."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from chromium import browser
from microscope import Microscope, live

import retinoscope as rs
from retinoscope.viewer import export_view

FISH = 3
"""A scene in which the fish's tokens decide its question."""


@pytest.fixture(scope="module")
def shown() -> Iterator[Microscope]:
    with browser() as page:
        found = Microscope(page)
        found.size(1280, 1000)
        yield found


@pytest.fixture(scope="module")
def url(pocket: rs.VLM, scenes: rs.data.Scenes) -> Iterator[str]:
    pytest.importorskip("fastapi", reason="needs the extra 'serve'")
    with live(pocket, scenes) as found:
        yield found


@pytest.fixture(scope="module")
def static(runs: Path, pocket: rs.VLM, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("studies")
    shutil.copytree(runs, folder, dirs_exist_ok=True)
    shutil.copytree(runs / "knockout", folder / "knockout-again")
    path, _ = export_view(folder, folder / "page", load=lambda name: pocket, n_lens=4)
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
