"""Grouping without text: principal components as centres, k-means, spectral clustering."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from .. import arguments
from ..arguments import checked
from ..errors import InputError, MissingExtraError
from ._kmeans import kmeans

Grouping = Literal["pc", "pc-both-signs", "kmeans", "spectral"]
GROUPINGS: tuple[Grouping, ...] = ("pc", "pc-both-signs", "kmeans", "spectral")
"""Ways to group locations by their features."""
NULLS = ("random", "voronoi", "superpixels")
"""Groupings that use no features."""

_SAME = 1e-5
"""Unit vectors that differ by less are the same."""
_NO_VARIANCE = 1e-8
"""Directions with a smaller share of the variance are rounding error."""

Features = Float[np.ndarray, "location d"]


@checked
def group(
    features: Features, method: Grouping = "kmeans", n_groups: int = 8, seed: int = 0
) -> Int[np.ndarray, " location"]:
    """The group of each location, numbered from 0; no group is empty.

    - "pc": a location joins the principal component of highest cosine similarity. The sign of a
      component is arbitrary but decides which locations it attracts; here, its largest loading (in
      absolute value) is positive.
    - "pc-both-signs": the same with each component and its negative, up to 2 x `n_groups` groups.
    - "kmeans": on features scaled to length 1, the best of 4 starts.
    - "spectral": normalised cuts of the graph whose edges are the positive cosine similarities of
      centred features; groups by QR.

    Locations with the same features share a group: with fewer than `n_groups` distinct features (or
    directions of variance) there are fewer groups.

    Args:
        features: (n, d) of one image.
        n_groups: the most components or clusters.
        seed: of the starts of k-means and spectral clustering.

    Raises:
        InputError: an unknown method, fewer locations (or, for components, dimensions) than groups,
            or a feature that is not finite or has length 0.
        MissingExtraError: without scikit-learn.

    Source: Ranasinghe et al. 2022, section 3.2 (principal components); the sign rule is new here.
    """
    arguments.whole(n_groups, "groups", 1)
    arguments.seed(seed)
    unit = _unit(features)
    n, width = unit.shape
    most = min(n, width) if method.startswith("pc") else n
    if not 1 <= n_groups <= most:
        what = f"{n} locations" if most == n else f"{width} dimensions"
        raise InputError(
            f"expected 1 to {most} groups of {what}, got {n_groups}: ask for fewer groups"
        )
    if method.startswith("pc"):
        middle = centres(features, n_groups)
        if method == "pc-both-signs":
            middle = np.concatenate([middle, -middle])
        groups = (unit @ middle.T).argmax(1) if len(middle) else np.zeros(n, np.int64)
    else:
        different = len(np.unique(np.round(unit / _SAME), axis=0))
        k = min(n_groups, different)
        cluster = kmeans if method == "kmeans" else _spectral
        groups = cluster(unit, k, seed) if k > 1 else np.zeros(n, np.int64)
    return np.unique(groups, return_inverse=True)[1]


@checked
def centres(features: Features, n_groups: int) -> Float[np.ndarray, "centre d"]:
    """The first principal components, of length 1, each with a positive largest loading.

    Directions without variance are left out; there may be none at all.

    Args:
        features: (n, d) of one image.
        n_groups: the most components, up to the smaller of n and d.
    """
    try:
        from sklearn.decomposition import PCA
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "probe") from error
    values = np.asarray(features, np.float64)
    if not np.ptp(values, axis=0).max() > _SAME * np.abs(values).max():
        return np.zeros((0, values.shape[1]))
    fitted: Any = PCA(n_groups, svd_solver="covariance_eigh").fit(values)
    varying = fitted.explained_variance_ratio_ > _NO_VARIANCE
    components = fitted.components_[varying]
    largest = np.abs(components).argmax(1)
    return components * np.sign(components[np.arange(len(components)), largest])[:, None]


def _unit(features: Features) -> Features:
    """Features of length 1, float64."""
    if not features.size:
        raise InputError(f"expected features (locations, d), got {features.shape}")
    values = features.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError("expected finite features, got NaN or infinity: use float32")
    length = np.linalg.norm(values, axis=1)
    if not length.min() > 0:
        bad = np.flatnonzero(length == 0)
        raise InputError(
            f"expected features with a direction, got {len(bad)} of {len(length)} locations with "
            f"length 0 (the first is {bad[0]}): choose another layer"
        )
    return values / length[:, None]


def _spectral(unit: Features, k: int, seed: int) -> Int[np.ndarray, " location"]:
    try:
        from sklearn.cluster import SpectralClustering
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "probe") from error
    centred = unit - unit.mean(0)
    length = np.linalg.norm(centred, axis=1)
    # A location at the very mean has no direction: it is tied only to itself.
    direction = centred / np.where(length > _SAME, length, np.inf)[:, None]
    affinity = np.maximum(direction @ direction.T, 0.0)
    # A disconnected graph has no unique cut: faint edges connect it.
    affinity = np.maximum(affinity, 1e-6)
    np.fill_diagonal(affinity, 1.0)
    cluster: Any = SpectralClustering(
        k, affinity="precomputed", assign_labels="cluster_qr", random_state=seed
    )
    return cluster.fit(affinity).labels_.astype(np.int64)
