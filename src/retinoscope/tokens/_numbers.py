"""`Position` and `Index`: whole numbers that know which of the two they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import InputError


class Position(int):
    """A place in the decoder's sequence, from 0.

    It is an int in every way, but refused where an `Index` is taken.
    """

    __slots__ = ()

    @staticmethod
    def only(numbers: Iterable[Any]) -> list[Any]:
        """A list of `numbers`, as they are.

        Raises:
            InputError: one of them is an index.
        """
        return _without(
            Index,
            numbers,
            "expected positions in the decoder's sequence, got the index {}, which counts an "
            "image's visual tokens: use .positions, or image.at(indices)",
        )


class Index(int):
    """A place among the visual tokens of one image, from 0.

    It is an int in every way, but refused where a `Position` is taken.
    """

    __slots__ = ()

    @staticmethod
    def only(numbers: Iterable[Any]) -> list[Any]:
        """A list of `numbers`, as they are.

        Raises:
            InputError: one of them is a position.
        """
        return _without(
            Position,
            numbers,
            "expected indices among an image's visual tokens, got position {} of the decoder's "
            "sequence: a token set is used as it is, and has its .indices",
        )


def _without(wrong: type[int], numbers: Iterable[Any], message: str) -> list[Any]:
    several = list(numbers)
    for number in several:
        if isinstance(number, wrong):
            raise InputError(message.format(number))
    return several
