"""The planted models by name: the encoding of their images and the path to their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...errors import InputError

Encoder = Literal["one-hot", "broadcast", "constant", "position", "on-words", "idle-words"]
Route = Literal["query", "direct", "either"]

PREFIX = "planted:"


@dataclass(frozen=True)
class Planted:
    """One planted model.

    Attributes:
        encoder: what a visual token holds: its own patch's label; the labels of the whole image;
            nothing (all tokens are equal); only its place in the grid; its label, and beside it
            most of the embedding of the label's word; or most of that embedding alone.
        route: how labels reach the words: the question's tokens read the image and later tokens
            read the question's; later tokens read the image themselves; or both, so that either
            path suffices.
        blind: whether it names the same two objects whatever the image shows.
        what: in one sentence.
    """

    name: str
    encoder: Encoder
    route: Route
    what: str

    @property
    def blind(self) -> bool:
        return self.encoder in ("constant", "position", "idle-words")


PLANTED: dict[str, Planted] = {
    planted.name: planted
    for planted in (
        Planted(
            "via-query",
            "one-hot",
            "query",
            "the question's tokens read the image; the answer's never see it",
        ),
        Planted(
            "direct",
            "one-hot",
            "direct",
            "the answer's tokens read the image; the question's never see it",
        ),
        Planted(
            "either-path",
            "one-hot",
            "either",
            "both at once: either path is enough",
        ),
        Planted(
            "one-hot-patch",
            "one-hot",
            "direct",
            "each visual token holds its own patch's label (the same model as direct)",
        ),
        Planted(
            "global-broadcast",
            "broadcast",
            "direct",
            "each visual token holds the labels of the whole image",
        ),
        Planted(
            "position-only",
            "position",
            "direct",
            "each visual token holds its place in the grid and nothing that it shows",
        ),
        Planted("blind", "constant", "direct", "all visual tokens are the same"),
        Planted(
            "on-words",
            "on-words",
            "direct",
            "each visual token causes its own patch's word, and lies near that word's embedding",
        ),
        Planted(
            "idle-words",
            "idle-words",
            "direct",
            "each visual token lies near its own patch's word, which nothing reads",
        ),
    )
}


def planted_named(name: str) -> Planted:
    """The planted model `name`, with or without "planted:" before it.

    Raises:
        InputError: no such model.
    """
    planted = PLANTED.get(name.removeprefix(PREFIX))
    if planted is None:
        raise InputError(
            f"expected a planted model ({', '.join(PREFIX + known for known in PLANTED)}), got "
            f"{name!r}"
        )
    return planted
