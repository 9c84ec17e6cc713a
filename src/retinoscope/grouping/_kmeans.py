"""k-means with the settings used for features and superpixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ..errors import MissingExtraError

_STARTS: Any = 4


def kmeans(
    values: Float[np.ndarray, "location d"], k: int, seed: int
) -> Int[np.ndarray, " location"]:
    """The cluster of each location, the best of 4 starts.

    Raises:
        MissingExtraError: without scikit-learn.
    """
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "probe") from error
    labels: Any = KMeans(k, n_init=_STARTS, random_state=seed).fit(values).labels_
    return labels.astype(np.int64)
