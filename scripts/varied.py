"""The picture of varied scenes in docs/scenes.md.

python -m scripts.varied
"""

from __future__ import annotations

from PIL import Image

from retinoscope.data.scenes import VARIED, Scenes

from .api_reference import ROOT

PICTURE = ROOT / "docs" / "images" / "varied.jpg"

_PLACES = (6, 32, 13, 22, 4, 34, 26, 38)
_COLUMNS, _SIDE, _GAP = 4, 288, 8


def drawn() -> Image.Image:
    """Eight scenes of seed 1 in two rows, each pixel drawn as four."""
    rows = len(_PLACES) // _COLUMNS
    step = _SIDE + _GAP
    sheet = Image.new("RGB", (_COLUMNS * step - _GAP, rows * step - _GAP), "white")
    for place, number in enumerate(_PLACES):
        scene = Scenes(1, seed=1, options=VARIED, start=number)[0].image
        large = scene.resize((_SIDE, _SIDE), Image.Resampling.NEAREST)
        row, column = divmod(place, _COLUMNS)
        sheet.paste(large, (column * step, row * step))
    return sheet


if __name__ == "__main__":
    drawn().save(PICTURE, quality=85)
