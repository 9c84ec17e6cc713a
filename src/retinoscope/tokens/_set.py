"""`TokenSet`: positions of one run, with set algebra."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from ..arguments import Counted, whole
from ..errors import InputError
from ..models import Layout
from ._numbers import Index, Position


@dataclass(frozen=True, eq=False)
class Positions:
    """The positions of one run, and the layout of its images' tokens.

    Two are equal only if they are the same object: positions of different runs do not mix.
    """

    n: int
    images: tuple[tuple[tuple[int, ...], Layout], ...] = ()

    def __post_init__(self) -> None:
        named = tuple((tuple(map(Position, places)), layout) for places, layout in self.images)
        object.__setattr__(self, "images", named)

    @cached_property
    def visual(self) -> dict[int, tuple[int, Index]]:
        """The image and the index of the visual token at each position."""
        return {
            place: (number, Index(index))
            for number, (places, _) in enumerate(self.images)
            for index, place in enumerate(places)
        }

    def columns(self, positions: Sequence[int]) -> dict[str, list[int | None]]:
        """Table columns with a row for each of `positions`: image, index and position.

        Image and index are None for text.
        """
        images_and_indices = [self.visual.get(place, (None, None)) for place in positions]
        return {
            "image": [image for image, _ in images_and_indices],
            "index": [None if index is None else int(index) for _, index in images_and_indices],
            "position": [int(place) for place in positions],
        }

    def __repr__(self) -> str:
        return f"a run of {self.n} positions with {len(self.images)} images"


@dataclass(frozen=True, eq=False, repr=False)
class TokenSet:
    """A set of positions of one run.

    `a | b`, `a & b`, `a - b` and `a ^ b` are the set operations; `~a` is the complement within the
    universe: the visual tokens of its image for sets that came from an image, all positions of the
    run for others. Combining two sets unites their universes.

    Iteration and `in` go by position. The numbers are `Position`s (or `Index`es, in `indices`):
    whole numbers that are refused where the other is expected. Arithmetic, NumPy and PyTorch turn
    them into plain numbers.

    Attributes:
        sequence: the run's positions.
        positions: sorted positions in the decoder's input.
        universe: what `~` is relative to.
    """

    sequence: Positions
    positions: tuple[int, ...]
    universe: frozenset[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "positions", tuple(map(Position, self.positions)))

    @classmethod
    def of(
        cls, sequence: Positions, positions: Iterable[int], universe: Iterable[int] | None = None
    ) -> Self:
        """A set of `positions`; the universe is the whole run unless given.

        Raises:
            InputError: a position outside the universe, or a number that is not a position (such as
                an index).
        """
        inside = frozenset(range(sequence.n) if universe is None else universe)
        chosen = tuple(sorted({whole(place, "positions", kind=Position) for place in positions}))
        outside = [position for position in chosen if position not in inside]
        if outside:
            raise InputError(
                f"expected positions among {len(inside)} of {sequence!r}, got {outside[0]}"
            )
        return cls(sequence, chosen, inside)

    @property
    def indices(self) -> tuple[Index, ...]:
        """Indices among the visual tokens of their image, 0 to n - 1, in the order of `positions`.

        Raises:
            InputError: the set holds text, or tokens of several images, where indices are
                ambiguous.
        """
        entries = [self.sequence.visual.get(place) for place in self.positions]
        images = {None if entry is None else entry[0] for entry in entries}
        if len(images) > 1 or None in images:
            raise InputError(
                f"expected visual tokens of one image, which have indices, got {self!r}: select "
                "some first, such as `tokens & run.images[0].tokens`, or use .positions"
            )
        return tuple(entry[1] for entry in entries if entry is not None)

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[int]:
        return iter(self.positions)

    def __contains__(self, position: object) -> bool:
        if isinstance(position, Counted):
            whole(position, "a position", kind=Position)
        return position in self.positions

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TokenSet):
            return NotImplemented
        return self.sequence is other.sequence and self.positions == other.positions

    def __hash__(self) -> int:
        return hash((id(self.sequence), self.positions))

    def __or__(self, other: TokenSet) -> TokenSet:
        return self._joined(other, frozenset.union)

    def __and__(self, other: TokenSet) -> TokenSet:
        return self._joined(other, frozenset.intersection)

    def __sub__(self, other: TokenSet) -> TokenSet:
        return self._joined(other, frozenset.difference)

    def __xor__(self, other: TokenSet) -> TokenSet:
        return self._joined(other, frozenset.symmetric_difference)

    def __invert__(self) -> TokenSet:
        others = self.universe - set(self.positions)
        return TokenSet(self.sequence, tuple(sorted(others)), self.universe)

    def __le__(self, other: TokenSet) -> bool:
        self._check(other)
        return set(self.positions) <= set(other.positions)

    def grow(self, rings: int = 1) -> TokenSet:
        """The set with its neighbours on the token grid (a ring is 8), cut at the borders.

        Tokens of a tile grow within their tile; tokens outside any grid stay alone.

        Raises:
            InputError: `rings` is negative, or the set has positions that are not visual tokens.
        """
        rings = whole(rings, "rings", 0)
        remaining: set[int] = set(self.positions)
        grown: set[int] = set(self.positions)
        for positions, layout in self.sequence.images:
            here = [i for i, position in enumerate(positions) if position in remaining]
            remaining -= {positions[i] for i in here}
            for i in here:
                if layout.rows[i] < 0:
                    continue
                near = (
                    (layout.tiles == layout.tiles[i])
                    & (layout.rows >= 0)
                    & (abs(layout.rows - layout.rows[i]) <= rings)
                    & (abs(layout.columns - layout.columns[i]) <= rings)
                )
                grown |= {positions[j] for j in near.nonzero()[0]}
        if remaining:
            raise InputError(
                f"expected visual tokens, which have neighbours in the image, got position "
                f"{min(remaining)}, which is text: grow the visual part only (`tokens & "
                "run.positions['image']`)"
            )
        return TokenSet(self.sequence, tuple(sorted(grown)), self.universe | grown)

    def _joined(self, other: TokenSet, join: Callable[..., frozenset[int]]) -> TokenSet:
        self._check(other)
        positions = join(frozenset(self.positions), frozenset(other.positions))
        return TokenSet(self.sequence, tuple(sorted(positions)), self.universe | other.universe)

    def _check(self, other: TokenSet) -> None:
        if not isinstance(other, TokenSet):
            raise InputError(f"expected a token set, got a {type(other).__name__}")
        if self.sequence is not other.sequence:
            raise InputError(
                "expected two token sets of the same run, got sets of different runs: choose both "
                "in one run (`other_run.image.at(...)` takes indices among the visual tokens)"
            )

    def __repr__(self) -> str:
        return f"TokenSet({self._summary()})"

    def _summary(self) -> str:
        """Set size, then indices (by image if there are several), then positions."""
        visual = self.sequence.visual
        kind = "visual tokens" if visual and self.universe <= visual.keys() else "positions"
        parts = [f"{len(self)} of {len(self.universe)} {kind}"]
        for number in range(len(self.sequence.images)):
            entries = [visual[place] for place in self.positions if place in visual]
            here = [index for image, index in entries if image == number]
            if here:
                where = f" in images[{number}]" if len(self.sequence.images) > 1 else ""
                parts.append(f"indices{where} {_spans(here)}")
        if self.positions:
            parts.append(f"positions {_spans(self.positions)}")
        return "; ".join(parts)


def _spans(numbers: Iterable[int]) -> str:
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    shown = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans[:8])
    return shown + (", ..." if len(spans) > 8 else "")
