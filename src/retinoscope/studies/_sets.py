"""Token sets of one run as indices among the image's visual tokens, 0 to n - 1.

Studies put several prompts to one image; an index among the visual tokens means the same in all of
them, a position in the decoder's input may not. One more index, n, is the position after the image,
which the released code's gradient sets can include.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ..errors import InputError
from ..tokens import TokenSet, integrated_gradients, registers, released_scores
from .token_sets import OBJECT_SETS

if TYPE_CHECKING:
    from torch import Tensor

    from ..engine import Run
    from ..engine.fill import Fill

Indices = tuple[int, ...]


class Ranking(NamedTuple):
    """Visual tokens by attribution, the largest first.

    Attributes:
        order: the tokens.
        completeness: relative error of the integration; None if the rule has no such sum.
    """

    order: Indices
    completeness: float | None


class ImageTokens:
    """The visual tokens of the first image of a run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._place = {p: i for i, p in enumerate(positions_of(run.image.tokens))}
        self.n = len(self._place)

    def indices(self, tokens: TokenSet) -> Indices:
        """Returns sorted indices of those `tokens` that are visual tokens of this image."""
        places = (self._place.get(position) for position in positions_of(tokens))
        return tuple(sorted(place for place in places if place is not None))

    def tokens(self, indices: Iterable[int]) -> TokenSet:
        """Returns the token set of these indices."""
        chosen = tuple(indices)
        if self.n not in chosen:
            return self.run.image.at(chosen)
        places = positions_of(self.run.image.tokens)
        after = places[-1] + 1
        return TokenSet.of(self.run.sequence, (after if i == self.n else places[i] for i in chosen))

    def covering(self, mask: Bool[np.ndarray, "height width"], min_cover: float = 0.0) -> TokenSet:
        return self.run.image.covering(mask, min_cover=min_cover)

    def registers(self) -> Indices:
        """Returns tokens whose norm exceeds mean + 2 standard deviations (Darcet et al. 2023)."""
        return self.indices(registers(self.run, sigmas=2.0))

    def by_gradient(self, target: int, baseline: Fill, steps: int) -> Ranking:
        """Ranks all visual tokens by their attribution to the logit of token `target`.

        Integrated gradients from `baseline`, as in the paper, with the correct target token.
        """
        result = integrated_gradients(self.run, target, baseline=baseline, steps=steps)
        return Ranking(_descending(result.scores), result.completeness)

    def by_released_gradient(self, target: int, baseline: Fill, steps: int) -> Ranking:
        """As the released code ranks them, including index n, the position after the image."""
        return Ranking(_descending(released_scores(self.run, target, baseline, steps)), None)

    @cached_property
    def last_row(self) -> Indices:
        """The last row of the token grid; raises `InputError` if the tokens have no grid."""
        return self.indices(self.run.image.row(-1))

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns, if the tokens have a grid."""
        return self.run.image.grid

    @property
    def positions(self) -> list[int]:
        """Position of each visual token in the decoder's sequence."""
        return list(self._place)

    @property
    def boxes(self) -> list[list[float | None]]:
        """Boxes in pixels of the original image; None in place of NaN (unplaced)."""
        return plain_boxes(self.run.image.boxes)


def object_sets(
    image: ImageTokens, masks: Sequence[np.ndarray], min_cover: float = 0.0
) -> dict[str, Indices]:
    """Returns the object's tokens (all `masks` together), and these grown by one and two rings.

    Raises:
        InputError: the masks are empty, or no visual token covers them.
    """
    if not masks or not any(np.asarray(mask).any() for mask in masks):
        raise InputError("the object's mask is empty: leave the object out, or fix its mask")
    mask = np.logical_or.reduce([np.asarray(mask, dtype=bool) for mask in masks])
    tokens = image.covering(mask, min_cover)
    if not len(tokens):
        raise InputError(
            f"no visual token has its box on the object (min_cover {min_cover:g}): it lies outside "
            "the crop that the model sees, or min_cover is too high"
        )
    return {
        name: image.indices(tokens.grow(named.rings) if named.rings else tokens)
        for name, named in OBJECT_SETS.items()
    }


def control_of(tokens: Indices, n: int, rng: np.random.Generator) -> Indices | None:
    """Returns as many random tokens outside `tokens`, or None if fewer than that are left."""
    outside = np.setdiff1d(np.arange(n), np.asarray(tokens, dtype=int))
    if len(outside) < len(tokens):
        return None
    return as_indices(rng.choice(outside, len(tokens), replace=False))


def as_indices(values: Sequence[int] | np.ndarray) -> Indices:
    """Returns sorted Python integers: hashable, and comparable as sets."""
    return tuple(sorted(int(value) for value in values))


def _descending(scores: Float[Tensor, " token"]) -> Indices:
    return tuple(int(index) for index in scores.argsort(descending=True, stable=True))


def plain_boxes(boxes: Float[np.ndarray, "token 4"]) -> list[list[float | None]]:
    """Returns boxes as lists, with None in place of NaN (unplaced)."""
    values = np.asarray(boxes, dtype=float)
    return [[None if np.isnan(x) else float(x) for x in box] for box in values]


def positions_of(tokens: TokenSet) -> list[int]:
    """Returns the positions as sorted integers."""
    return sorted(int(position) for position in tokens.positions)
