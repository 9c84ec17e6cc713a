"""`Prompt`: images and text, ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from ..errors import InputError
from ..models import Adapter, Inputs


@dataclass(frozen=True, eq=False)
class Prompt:
    """Images and text in the model's own conversation format. Made by `vlm.prompt`.

    Attributes:
        images: upright RGB, in the order in which the model reads them.
        text: the user's text (the whole of a raw prompt).
        prefill: the beginning of the answer that the model continues, or None.
        formatted: the tokenizer's input, with one placeholder per image.
        inputs: token ids, pixels and layouts.
        unknown: words of the text and the prefill with a piece that the tokenizer does not know.
    """

    images: tuple[Image.Image, ...] = field(repr=False)
    text: str
    prefill: str | None
    formatted: str
    inputs: Inputs = field(repr=False)
    unknown: tuple[str, ...] = ()


def refuse_longer(adapter: Adapter, inputs: Inputs, n_new: int = 1) -> None:
    """Raises `InputError` if there are more positions than the model's context has.

    Args:
        adapter: the model's adapter.
        inputs: the prompt.
        n_new: number of tokens to generate after it; the last one is never read.
    """
    n, context = len(inputs.input_ids), adapter.context
    if context is None or n + n_new - 1 <= context:
        return
    if n > context:
        visual = sum(map(len, inputs.image_positions))
        raise InputError(
            f"expected a prompt within the model's context of {context} positions, got {n} "
            f"({visual} visual tokens): shorten the text, or take fewer or smaller images"
        )
    raise InputError(
        f"expected max_new_tokens up to {context - n + 1}, for which the model's context of "
        f"{context} positions has room after a prompt of {n}, got {n_new}"
    )


def unknown_words(words: Sequence[str]) -> str:
    """Returns the warning for a prompt with unknown words."""
    return (
        f"the model's tokenizer does not know {', '.join(map(repr, words))}, so the model cannot "
        "read that part of the prompt, whatever it answers: choose words that it knows"
    )
