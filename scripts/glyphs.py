"""The letters of the word world: drawn once, so that boards do not depend on anyone's font library.

python -m scripts.glyphs
"""

from __future__ import annotations

from pathlib import Path
from string import ascii_lowercase

from PIL import Image, ImageDraw, ImageFont

from .api_reference import ROOT

FILE = ROOT / "src" / "retinoscope" / "data" / "words" / "glyphs.png"
EM, CELL, BASELINE = 64, (80, 84), 62
"""Size of the font, width and height of a cell, and the row of the baseline, in pixels."""


def sheet() -> Image.Image:
    """a to z in cells from left to right, white on black, in Pillow's own font."""
    font = ImageFont.load_default(size=EM)
    image = Image.new("L", (CELL[0] * len(ascii_lowercase), CELL[1]))
    draw = ImageDraw.Draw(image)
    for number, letter in enumerate(ascii_lowercase):
        draw.text((number * CELL[0] + 8, BASELINE), letter, fill=255, font=font, anchor="ls")
    return image


def main(file: Path = FILE) -> None:
    """Writes the sheet."""
    sheet().save(file, optimize=True)


if __name__ == "__main__":
    main()
