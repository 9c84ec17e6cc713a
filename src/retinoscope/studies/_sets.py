"""Token sets of one run as indices among the image's visual tokens, 0 to n - 1.

Studies ask several prompts about one image; an index among the visual tokens means the same in all
of them, a position of the decoder's input does not have to. One more index, n, is the position
after the image, which the gradient sets of the released code can hold.
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
        completeness: relative error of the integration; None where the rule has no such sum.
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
        """Sorted indices of the members of `tokens` that are visual tokens of this image."""
        found = (self._place.get(position) for position in positions_of(tokens))
        return tuple(sorted(index for index in found if index is not None))

    def tokens(self, indices: Iterable[int]) -> TokenSet:
        """The token set of these indices."""
        chosen = tuple(indices)
        if self.n not in chosen:
            return self.run.image.at(chosen)
        places = positions_of(self.run.image.tokens)
        after = places[-1] + 1
        return TokenSet.of(self.run.sequence, (after if i == self.n else places[i] for i in chosen))

    def covering(self, mask: Bool[np.ndarray, "height width"], min_cover: float = 0.0) -> TokenSet:
        return self.run.image.covering(mask, min_cover=min_cover)

    def registers(self) -> Indices:
        """Tokens whose norm is above mean + 2 standard deviations (Darcet et al. 2023)."""
        return self.indices(registers(self.run, sigmas=2.0))

    def by_gradient(self, target: int, baseline: Fill, steps: int) -> Ranking:
        """All visual tokens by their attribution to the logit of token `target`, largest first.

        Integrated gradients from `baseline`, as in the paper, with the correct target token.
        """
        found = integrated_gradients(self.run, target, baseline=baseline, steps=steps)
        return Ranking(_descending(found.scores), found.completeness)

    def by_released_gradient(self, target: int, baseline: Fill, steps: int) -> Ranking:
        """The same as the released code ranks them: also index n, the position after the image."""
        return Ranking(_descending(released_scores(self.run, target, baseline, steps)), None)

    @cached_property
    def last_row(self) -> Indices:
        """The last row of the token grid; raises `InputError` if the tokens have no grid."""
        return self.indices(self.run.image.row(-1))

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns, where the tokens have a grid."""
        return self.run.image.grid

    @property
    def positions(self) -> list[int]:
        """Where each visual token stands in the decoder's sequence."""
        return list(self._place)

    @property
    def boxes(self) -> list[list[float | None]]:
        """Boxes in pixels of the original image; None in place of NaN (unplaced)."""
        return plain_boxes(self.run.image.boxes)


def object_sets(
    image: ImageTokens, masks: Sequence[np.ndarray], min_cover: float = 0.0
) -> dict[str, Indices]:
    """The object's tokens (all `masks` together), and grown by one and by two rings.

    Raises:
        InputError: if the masks are empty or no visual token covers them.
    """
    if not masks or not any(np.asarray(mask).any() for mask in masks):
        raise InputError("the object's mask is empty: leave the object out, or mend its mask")
    mask = np.logical_or.reduce([np.asarray(mask, dtype=bool) for mask in masks])
    tokens = image.covering(mask, min_cover)
    if not len(tokens):
        raise InputError(
            f"no visual token has its box on the object (min_cover {min_cover:g}): it lies outside "
            "the crop that the model sees, or min_cover is too high"
        )
    return {
        name: image.indices(tokens.grow(one.rings) if one.rings else tokens)
        for name, one in OBJECT_SETS.items()
    }


def control_of(tokens: Indices, n: int, rng: np.random.Generator) -> Indices | None:
    """As many random tokens outside `tokens`, or None where fewer than that are left."""
    outside = np.setdiff1d(np.arange(n), np.asarray(tokens, dtype=int))
    if len(outside) < len(tokens):
        return None
    return as_indices(rng.choice(outside, len(tokens), replace=False))


def as_indices(values: Sequence[int] | np.ndarray) -> Indices:
    """Sorted Python integers: hashable, and equal sets compare equal."""
    return tuple(sorted(int(value) for value in values))


def _descending(scores: Float[Tensor, " token"]) -> Indices:
    return tuple(int(index) for index in scores.argsort(descending=True, stable=True))


def plain_boxes(boxes: Float[np.ndarray, "token 4"]) -> list[list[float | None]]:
    """None in place of NaN (unplaced)."""
    values = np.asarray(boxes, dtype=float)
    return [[None if np.isnan(x) else float(x) for x in box] for box in values]


def positions_of(tokens: TokenSet) -> list[int]:
    """Positions as sorted integers."""
    return sorted(int(position) for position in tokens.positions)
