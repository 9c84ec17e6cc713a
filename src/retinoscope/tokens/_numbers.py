"""`Position` and `Index`: whole numbers that know which of the two they are."""

from __future__ import annotations

from ..arguments import Counted


class Position(Counted):
    """A place in the decoder's sequence, from 0.

    It behaves as an int, but is refused where something else is expected, such as an `Index`.
    """

    __slots__ = ()
    called = "position"
    instead = "pass a token set itself, or its .indices"


class Index(Counted):
    """A place among the visual tokens of one image, from 0.

    It behaves as an int, but is refused where something else is expected, such as a `Position`.
    """

    __slots__ = ()
    called = "the index"
    instead = "it counts an image's visual tokens: use .positions, or image.at(indices)"
