"""`Position` and `Index`: whole numbers that know which of the two they are."""

from __future__ import annotations

from ..arguments import Counted


class Position(Counted):
    """A place in the decoder's sequence, from 0.

    It is an int in every way, but refused where something else is taken, such as an `Index`.
    """

    __slots__ = ()
    called = "position"
    instead = "a token set is used as it is, and has its .indices"


class Index(Counted):
    """A place among the visual tokens of one image, from 0.

    It is an int in every way, but refused where something else is taken, such as a `Position`.
    """

    __slots__ = ()
    called = "the index"
    instead = "it counts an image's visual tokens: use .positions, or image.at(indices)"
