"""What a tokenizer keeps of scenes: how many patches, and of which objects."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool
from scipy.stats import rankdata
from torch.nn import functional as F

from ...interfaces import Lavit
from ...interfaces.codes import DynamicTokenizer
from ...stats import Interval, over_seeds
from ..pocket._bank import AMBIGUOUS, Bank
from ._seen import SeenBank
from ._world import object_sizes

_SURVEYED = 500


@torch.no_grad()
def lengths(interface: Lavit, trained_on: SeenBank, seen: SeenBank, bank: Bank) -> pl.DataFrame:
    """One row per held-out scene.

    Args:
        interface: with its tokenizer in place.
        trained_on: what the tower saw in training scenes, to calibrate an untrained selector.
        seen, bank: of the held-out scenes.

    Returns:
        "scene", "tokens" (kept), "untrained" (kept by a selector with random weights, calibrated
        alike), "objects" (their number), "area" (patches that show one), "kept_objects" and
        "kept_ground" (shares of the patches that show an object, or none), "like_objects" and
        "like_ground" (mean cosine of the decoded codes to the features there), "bits" (of the
        sequence of codes).
    """
    tokenizer = interface.tokenizer
    patches = seen.rows(np.arange(len(bank)))["contrastive"][:, 1:]
    survey = trained_on.rows(np.arange(min(_SURVEYED, len(trained_on))))["contrastive"][:, 1:]
    keep = tokenizer.select(patches, interface.share)
    codes = tokenizer.encode(patches, interface.share)
    like = F.cosine_similarity(patches, tokenizer.decode(codes.codes, codes.mask), dim=-1).numpy()
    labels = np.asarray(bank.kinds).reshape(len(bank), -1)
    objects, ground = (labels > 0) & (labels != AMBIGUOUS), labels == 0
    tokens, untrained = keep.sum(1).numpy(), _untrained(tokenizer, survey)
    return pl.DataFrame(
        {
            "scene": np.arange(len(bank)),
            "tokens": tokens,
            "untrained": untrained.select(patches, interface.share).sum(1).numpy(),
            "objects": [len(sizes) for sizes in object_sizes(len(bank))],
            "area": objects.sum(1),
            "kept_objects": _inside(keep.numpy(), objects),
            "kept_ground": _inside(keep.numpy(), ground),
            "like_objects": _inside(like, objects),
            "like_ground": _inside(like, ground),
            "bits": tokens * math.log2(tokenizer.shape.n_codes),
        }
    )


def _untrained(tokenizer: DynamicTokenizer, survey: torch.Tensor) -> DynamicTokenizer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = DynamicTokenizer(tokenizer.shape).eval()
    made.standardise(survey)
    made.calibrate(survey)
    return made


def _inside(values: np.ndarray, where: Bool[np.ndarray, "scene patch"]) -> np.ndarray:
    """Means over these patches; NaN in a scene without any."""
    return np.where(where.any(1), (values * where).sum(1) / where.sum(1).clip(1), np.nan)


def follows(rows: pl.DataFrame, tokens: str, content: str, n_resamples: int = 2000) -> Interval:
    """Spearman's correlation of a number of tokens with a scene's content, over scenes.

    Args:
        rows: of `lengths`.
        tokens, content: columns.
        n_resamples: of the bootstrap over scenes.
    """
    values = rows.select(tokens, content).to_numpy()
    return _over_scenes(values, lambda v: _spearman(v[:, 0], v[:, 1]), n_resamples)


def follows_more(rows: pl.DataFrame, content: str, n_resamples: int = 2000) -> Interval:
    """How much more the trained selector's tokens follow a content than the untrained one's."""
    values = rows.select("tokens", "untrained", content).to_numpy()

    def gain(v: np.ndarray) -> float:
        own, control = (_spearman(v[:, k], v[:, 2]) for k in (0, 1))
        return own - control

    return _over_scenes(values, gain, n_resamples)


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def _over_scenes(
    values: np.ndarray, statistic: Callable[[np.ndarray], float], n_resamples: int
) -> Interval:
    rng = np.random.default_rng(0)
    draws = [
        statistic(values[rng.integers(len(values), size=len(values))]) for _ in range(n_resamples)
    ]
    return over_seeds(np.array([statistic(values)]), np.array([draws]), len(values))
