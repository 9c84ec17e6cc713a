"""The edges that a model's own attention mask allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ..errors import CapabilityError


@dataclass(frozen=True, eq=False)
class Edges:
    """Which keys each query of a block may read, by the model's own mask.

    Attributes:
        allowed: (n, n), or None for plain causal attention.
    """

    allowed: Bool[np.ndarray, "query key"] | None

    def first_reader(self, start: int) -> int:
        """Returns the first position that reads a key at or after `start`."""
        if self.allowed is None:
            return start
        reads = self.allowed[:start, start:].any(-1)
        return int(reads.argmax()) if reads.any() else start

    def any_allowed(
        self, rows: Int[np.ndarray, " query"], keys: Int[np.ndarray, " key"]
    ) -> Bool[np.ndarray, " query"]:
        """Whether each row reads any of the keys."""
        return np.any(self.between(rows, keys), axis=-1)

    def between(
        self, rows: Int[np.ndarray, " query"], keys: Int[np.ndarray, " key"]
    ) -> Bool[np.ndarray, "query key"]:
        """Returns (query, key), True where the row reads the key."""
        if self.allowed is None:
            return keys[None, :] <= rows[:, None]
        return self.allowed[np.ix_(rows, keys)]


def read_edges(mask: Any) -> Edges:
    """Returns the edges that an attention mask allows.

    Raises:
        CapabilityError: the mask's shape is not (1, 1, query, key).
    """
    if mask is None:
        return Edges(None)
    if not isinstance(mask, Tensor) or mask.ndim != 4 or len(mask) != 1 or mask.shape[1] != 1:
        raise CapabilityError(
            "the blocks of this model receive an attention mask other than (1, 1, query, key): its "
            "counterfactuals go through the reference path"
        )
    square = mask[0, 0]
    allowed = square if mask.dtype == torch.bool else square > torch.finfo(mask.dtype).min / 2
    array = allowed.cpu().numpy()
    causal = np.tri(len(array), dtype=bool)
    return Edges(None if array.shape == causal.shape and (array == causal).all() else array)
