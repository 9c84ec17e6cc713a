"""Folders of gaze data in the public formats, written small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

README = {
    "fixation_data": [
        {
            "start_time": 0.012,
            "end_time": 0.511,
            "duration": 0.499,
            "x_coordinates": [1841.0, 1841.0, 1852.0],
            "y_coordinates": [982.0, 1006.0],
            "Avg_x_coordinates": 1845,
            "Avg_y_coordinates": 997,
            "fixation_id": 0,
        }
    ],
    "transcription_data": [{"text": "A", "start": 1.7, "end": 2.46}],
}
"""The example of the public data's own README, lists of two lengths included."""


def fixation(start: float, end: float, x: float, y: float) -> dict[str, object]:
    return {
        "start_time": start,
        "end_time": end,
        "duration": end - start,
        "x_coordinates": [x],
        "y_coordinates": [y],
        "Avg_x_coordinates": x,
        "Avg_y_coordinates": y,
    }


def word(text: str, start: float, end: float) -> dict[str, object]:
    return {"text": text, "start": start, "end": end}


def image(folder: Path, name: str = "000000001083.png", size: tuple[int, int] = (40, 30)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "green").save(folder / name)


def vista_folder(root: Path, content: object, settings: object = None) -> Path:
    """One image of 40 x 30 with one recording."""
    image(root / "images")
    (root / "000000001083.json").write_text(json.dumps(content))
    if settings is not None:
        (root / "gaze.json").write_text(json.dumps(settings))
    return root


def grey(file: Path, values: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(file)
