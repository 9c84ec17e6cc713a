"""The encoding of an image: everything that the decoder receives of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """One image as the decoder receives it.

    Attributes:
        embeddings: (token, d_model) in place of the image's placeholders.
        added: for each of the decoder's first blocks, the values added after it at the image's
            positions (DeepStack); empty in most families.
        read: input to the keys and values of cross-attention blocks; None without such blocks.
    """

    embeddings: Float[Tensor, "token d_model"]
    added: tuple[Float[Tensor, "token d_model"], ...] = ()
    read: Float[Tensor, "patch d_model"] | None = None


@dataclass(frozen=True, eq=False)
class DeepStack:
    """The values that one call of the decoder adds after its first blocks.

    Attributes:
        tables: for each of these blocks, one row per position of the call, zero where nothing is
            added; a batch of 1 applies to the whole batch of the call.
    """

    tables: tuple[Float[Tensor, "batch token d_model"], ...]

    def replaced(
        self,
        n_rows: int,
        edits: Sequence[
            tuple[int, Int[Tensor, " token"], Sequence[Float[Tensor, "token d_model"]]]
        ],
    ) -> DeepStack:
        """Expands to a batch in which some items have other embeddings at some positions.

        Args:
            n_rows: size of the batch.
            edits: (item, positions, the values added there after each of the blocks).
        """
        tables = []
        for number, table in enumerate(self.tables):
            whole = table.repeat(n_rows, 1, 1)
            for row, positions, added in edits:
                whole[row, positions] = added[number].to(whole)
            tables.append(whole)
        return DeepStack(tuple(tables))
