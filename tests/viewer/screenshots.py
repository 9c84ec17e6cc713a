"""The pictures of the documentation: `python -m tests.viewer.screenshots` (needs Chromium)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from chromium import browser
from microscope import Microscope, live

import retinoscope as rs

IMAGES = Path(__file__).parents[2] / "docs" / "images"
FISH = 3
"""A scene in which the fish's tokens decide its question."""


def main() -> None:
    with browser() as page, live(rs.load("pocket"), rs.data.scenes(24)) as url:
        shown = Microscope(page)
        shown.size(1280, 1180)
        shown.open(f"{url}#s={FISH}")
        shown.press("fish", ".chips button")
        shown.press("Grow")
        shown.verdict("changes")
        shown.press("Which layers matter?")
        shown.sees("nothing cut.")
        shown.verdict("changes")
        page.screenshot(IMAGES / "microscope.png")
        shown.size(1280, 920)
        shown.press("Lens", "[role=tab]")
        shown.sees("best words by layer")
        page.screenshot(IMAGES / "microscope-lens.png")
        shown.size(1280, 980)
        shown.open(f"{url}#s={FISH}&v=lens&c=top&l=4&lens=embedding&vs=logit&on=97")
        shown.sees("the same top word")
        shown.point((5.5 / 12, 1.5 / 12))
        shown.wait("document.querySelector('.tip')?.offsetParent instanceof Element")
        page.screenshot(IMAGES / "microscope-lenses.png")


if __name__ == "__main__":
    main()
