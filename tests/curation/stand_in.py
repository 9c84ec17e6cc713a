"""A stand-in for a VLM that names what it sees: an object whose colour is in the image."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from retinoscope.data import Object, Question, Sample
from retinoscope.models import Layout

WORDS = ("<unk>", "yes", "no", "red", "blue", "car", "fish", "a", "and", "scarf")
COLORS = {"car": (220, 30, 30), "fish": (30, 30, 220), "dog": (30, 180, 30)}
GRID = 8


class Words:
    """One token per word."""

    unk_token_id = 0

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [WORDS.index(w) if w in WORDS else 0 for w in text.lower().split()]}

    def tokenize(self, text: str) -> list[str]:
        return [WORDS[index] for index in self(text)["input_ids"]]

    def decode(self, ids: list[int], **options: bool) -> str:
        return " ".join(WORDS[index] for index in ids)


class Model:
    """Sees a centre square of the image as 8 x 8 tokens; `says` replaces its captions."""

    name, fingerprint, device, dtype = "stand-in", "stand-in-1", "cpu", torch.float32
    tokenizer = Words()

    def __init__(self, says: dict[str, str] | None = None) -> None:
        self.says = says or {}
        self.runs = 0

    def prompt(self, image: Image.Image, text: str, prefill: str | None = None) -> Any:
        width, height = image.size
        side = min(width, height)
        left, top, step = (width - side) / 2, (height - side) / 2, side / GRID
        rows, columns = (axis.ravel() for axis in np.mgrid[:GRID, :GRID])
        boxes = np.stack([columns, rows, columns + 1, rows + 1], 1) * step
        boxes = boxes + np.array([left, top, left, top])
        layout = Layout(image.size, boxes, rows, columns, rows * 0, (GRID, GRID))
        return SimpleNamespace(image=image, text=text, inputs=SimpleNamespace(layouts=(layout,)))

    def run(self, prompt: Any) -> Any:
        self.runs += 1
        pixels = np.asarray(prompt.image).reshape(-1, 3)
        seen = [name for name, color in COLORS.items() if (pixels == color).all(1).any()]
        if "Describe" in prompt.text:
            said = " and ".join(f"a {self.says.get(name, name)}" for name in seen) or "a"
        elif "color" in prompt.text:
            said = "red" if "car" in seen else "no"
        else:
            said = "yes" if any(f" {name} " in prompt.text for name in seen) else "no"
        logits = torch.zeros(len(WORDS))
        logits[WORDS.index(said.split()[0])] = 5.0
        return SimpleNamespace(
            logits=logits, ending="", generate=lambda max_new_tokens: SimpleNamespace(text=said)
        )


def sample(
    number: int,
    *things: tuple[str, int, int, int],
    size: tuple[int, int] = (64, 64),
    crowds: tuple[str, ...] = (),
) -> Sample:
    """Squares of (name, x, y, side) on grey."""
    pixels = np.full((size[1], size[0], 3), 128, np.uint8)
    objects = []
    for name, x, y, side in things:
        mask = np.zeros((size[1], size[0]), bool)
        mask[y : y + side, x : x + side] = True
        pixels[mask] = COLORS[name]
        objects.append(Object(name, mask, (x, y, x + side, y + side)))
    names = [name for name, *_ in things]
    questions = [Question("Is there a moon in this image?", "no", "polling")]
    if names.count("car") == 1:
        questions.append(Question("What color is the car?", "red", "color", (names.index("car"),)))
    return Sample(
        id=f"drawn-{number}",
        image=Image.fromarray(pixels),
        objects=tuple(objects),
        questions=tuple(questions),
        meta={"crowds": crowds},
    )
