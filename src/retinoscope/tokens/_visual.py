"""`VisualTokens`: the visual tokens of one image in one run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ..arguments import number, wholes
from ..errors import CapabilityError, InputError
from ..models import Layout
from ._cover import Region, region_cover
from ._numbers import Index
from ._set import Positions, TokenSet


@dataclass(frozen=True, eq=False)
class VisualTokens:
    """The n visual tokens of one image.

    Attributes:
        sequence: the run's positions, which token sets belong to.
        number: which image of the prompt this is, from 0.
        embeddings: (n, d_model) what the decoder receives, after the projector.
    """

    sequence: Positions
    number: int
    embeddings: Float[Tensor, "token d_model"] = field(repr=False)

    @property
    def positions(self) -> tuple[int, ...]:
        """Positions in the decoder's input, in the order of the visual tokens."""
        return self.sequence.images[self.number][0]

    @property
    def layout(self) -> Layout:
        """Where each token came from in the image."""
        return self.sequence.images[self.number][1]

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns, or None where the tokens do not form one grid."""
        return self.layout.grid

    @property
    def boxes(self) -> Float[np.ndarray, "token 4"]:
        """x0 y0 x1 y1 in pixels of the original image (NumPy float64), NaN where unplaced."""
        return self.layout.boxes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the original image in pixels."""
        return self.layout.size

    @property
    def tokens(self) -> TokenSet:
        """All visual tokens of this image."""
        return TokenSet.of(self.sequence, self.positions, self.positions)

    def __len__(self) -> int:
        return len(self.positions)

    def at(self, indices: Iterable[int] | int) -> TokenSet:
        """The tokens with these indices (or this one) among the image's visual tokens, 0 to n - 1.

        Raises:
            InputError: an index outside 0 to n - 1, or something that is not an index, such as the
                positions of a token set.
        """
        if isinstance(indices, TokenSet):
            raise InputError(
                "expected indices among an image's visual tokens, got a token set: use it as it "
                "is, or pass its .indices to select the same places in another run or image"
            )
        chosen = wholes(indices, "indices", 0, len(self) - 1, Index)
        places = self.positions
        return TokenSet.of(self.sequence, (places[index] for index in chosen), places)

    def cover(self, region: Region) -> Float[np.ndarray, " token"]:
        """(n,) share of each token's box that `region` covers, 0 where unplaced.

        Raises what `covering` raises.
        """
        if self.layout.why:
            raise CapabilityError(
                f"the layout of this model's visual tokens is not known ({self.layout.why}): "
                "choose them by position (image.at), by gradient, or at random"
            )
        return region_cover(region, self.size, self.boxes)

    def covering(self, region: Region, min_cover: float = 0.0) -> TokenSet:
        """The tokens whose box overlaps `region`, by at least `min_cover` of the box.

        The set may be empty: an object can lie outside the crop that the model sees.

        Args:
            region: a bool mask (H, W) of the original image's size; a COCO segmentation (polygons
                or run lengths); or a box of four numbers x0, y0, x1, y1 (not COCO's width and
                height).
            min_cover: least share of a box, 0 to 1; 0 takes any overlap, as in the paper.

        Raises:
            InputError: an empty region, a mask of another size than the image, or `min_cover`
                outside 0 to 1.
            CapabilityError: a family whose layout is not known.
            MissingExtraError: compressed COCO run lengths without pycocotools.

        Source: Neo et al. 2024, section 3 (object tokens).
        """
        number(min_cover, "min_cover", 0, 1)
        share = self.cover(region)
        return self.at(np.flatnonzero((share > 0) & (share >= min_cover)))

    def row(self, number: int) -> TokenSet:
        """One row of the token grid; negative numbers count from the last.

        Raises:
            InputError: no such row, or tokens without a grid.
        """
        return self.rows([number])

    def rows(self, numbers: Iterable[int]) -> TokenSet:
        """Several rows of the token grid; raises what `row` raises."""
        if self.grid is None:
            raise InputError(
                "expected visual tokens in a single grid, got some without: rows are not known"
            )
        n_rows = self.grid[0]
        chosen: set[int] = set()
        for row in wholes(numbers, "rows", -n_rows, n_rows - 1):
            chosen |= set(np.flatnonzero(self.layout.rows == row % n_rows).tolist())
        return self.at(sorted(chosen))
