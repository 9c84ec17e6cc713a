"""`Prompt`: images and text, ready to run."""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image

from ..models import Inputs


@dataclass(frozen=True, eq=False)
class Prompt:
    """Images and text in the model's own conversation format. Made by `vlm.prompt`.

    Attributes:
        images: upright RGB, in the order in which the model reads them.
        text: the user's words (of a raw prompt: the whole of it).
        prefill: the beginning of the answer that the model goes on from, or None.
        formatted: what the tokenizer reads, with one placeholder per image.
        inputs: token ids, pixels and layouts.
    """

    images: tuple[Image.Image, ...] = field(repr=False)
    text: str
    prefill: str | None
    formatted: str
    inputs: Inputs = field(repr=False)
