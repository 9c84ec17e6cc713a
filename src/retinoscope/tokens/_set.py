"""`TokenSet`: positions of one run, with set algebra."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Int
from torch import Tensor

from ..errors import InputError
from ..models import Layout


@dataclass(frozen=True, eq=False)
class Positions:
    """The positions of one run, and where its images' tokens lie: what token sets belong to.

    Two of them are equal only if they are the same object: positions of different runs do not mix.
    """

    n: int
    images: tuple[tuple[tuple[int, ...], Layout], ...] = ()

    def __repr__(self) -> str:
        return f"a run of {self.n} positions with {len(self.images)} images"


@dataclass(frozen=True, eq=False, repr=False)
class TokenSet:
    """A set of positions of one run.

    `a | b`, `a & b`, `a - b` and `a ^ b` are the set operations, `~a` is the complement within the
    set's universe: the visual tokens of its image for sets that came from an image, all positions
    of the run for others; a set of both has the union of both universes.

    Attributes:
        sequence: the run's positions.
        positions: sorted positions of the decoder's input.
        universe: what `~` is taken in.
    """

    sequence: Positions
    positions: tuple[int, ...]
    universe: frozenset[int]

    @classmethod
    def of(
        cls, sequence: Positions, positions: Iterable[int], universe: Iterable[int] | None = None
    ) -> Self:
        """A set of `positions`; the universe is the whole run unless given.

        Raises:
            InputError: a position outside the universe.
        """
        inside = frozenset(range(sequence.n) if universe is None else universe)
        chosen = tuple(sorted({int(position) for position in positions}))
        strange = [position for position in chosen if position not in inside]
        if strange:
            raise InputError(
                f"expected positions among {len(inside)} of {sequence!r}, got {strange[0]}"
            )
        return cls(sequence, chosen, inside)

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[int]:
        return iter(self.positions)

    def __contains__(self, position: object) -> bool:
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
        rest = self.universe - set(self.positions)
        return TokenSet(self.sequence, tuple(sorted(rest)), self.universe)

    def __le__(self, other: TokenSet) -> bool:
        self._check(other)
        return set(self.positions) <= set(other.positions)

    def grow(self, rings: int = 1) -> TokenSet:
        """The set with its neighbours on the token grid (8 of them a ring), cut at the borders.

        A token of a tile grows within its tile; tokens without a place in a grid stay alone.

        Raises:
            InputError: `rings` is negative, or the set has positions that are no visual tokens.
        """
        if rings < 0:
            raise InputError(f"expected rings from 0 up, got {rings}")
        rest = set(self.positions)
        grown = set(self.positions)
        for positions, layout in self.sequence.images:
            here = [i for i, position in enumerate(positions) if position in rest]
            rest -= {positions[i] for i in here}
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
        if rest:
            raise InputError(
                f"expected visual tokens, which have neighbours in the image, got position "
                f"{min(rest)}, which is text: grow the visual part only (`tokens & run.positions"
                "['image']`)"
            )
        return TokenSet(self.sequence, tuple(sorted(grown)), self.universe | grown)

    def index(self, device: torch.device | str = "cpu") -> Int[Tensor, " token"]:
        """The positions as a tensor, for indexing."""
        return torch.tensor(self.positions, dtype=torch.long, device=device)

    def _joined(self, other: TokenSet, join: Callable[..., frozenset[int]]) -> TokenSet:
        self._check(other)
        positions = join(frozenset(self.positions), frozenset(other.positions))
        return TokenSet(self.sequence, tuple(sorted(positions)), self.universe | other.universe)

    def _check(self, other: TokenSet) -> None:
        if not isinstance(other, TokenSet):
            raise InputError(f"expected a token set, got a {type(other).__name__}")
        if self.sequence is not other.sequence:
            raise InputError(
                "expected two token sets of one run, got sets of different runs: choose both from "
                "the same run (`other_run.image.at(...)` takes indices among the visual tokens)"
            )

    def __repr__(self) -> str:
        spans: list[list[int]] = []
        for position in self.positions:
            if spans and position == spans[-1][1] + 1:
                spans[-1][1] = position
            else:
                spans.append([position, position])
        shown = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans[:8])
        more = ", ..." if len(spans) > 8 else ""
        return f"TokenSet({len(self)} of {len(self.universe)}: {shown}{more})"
