"""Labels from text: the prompt most similar to a location's features."""

from __future__ import annotations

from collections.abc import Sequence
from string import Formatter

import numpy as np
from jaxtyping import Float, Int

from .. import arguments
from ..arguments import checked
from ..data.scenes import article
from ..errors import InputError

TEMPLATE = "a photo of {article} {name}"
BACKGROUNDS: tuple[str, ...] = (
    *("background", "sky", "grass", "ground", "wall", "floor", "water", "road", "mountain"),
    *("field", "sand", "snow", "ceiling"),
)
"""Typical backgrounds in photographs."""

Vectors = Float[np.ndarray, "text d"]


@checked
def prompts_for(names: Sequence[str], template: str = TEMPLATE) -> list[str]:
    """One prompt per name; "{article}" becomes "a" or "an" by the name's first letter.

    Raises:
        InputError: no names, a name given twice (ignoring case), or a template without "{name}" or
            with other fields.
    """
    if not len(names):
        raise InputError("expected at least one name to look for, got none")
    by_key: dict[str, str] = {}
    for name in names:
        key = " ".join(name.lower().split())
        if not key:
            raise InputError("expected names, got an empty one: leave it out")
        if key in by_key:
            raise InputError(
                f"expected different prompts, got {name!r} beside {by_key[key]!r}: leave one out"
            )
        by_key[key] = name
    fields = {field for _, field, _, _ in Formatter().parse(template) if field is not None}
    if "name" not in fields or fields - {"name", "article"}:
        raise InputError(
            f'expected a template such as "{TEMPLATE}" with {{name}}, got {template!r}'
        )
    return [template.format(name=name, article=article(name.strip())) for name in names]


@checked
def text_scores(
    locations: Float[np.ndarray, "location d"], vectors: Vectors
) -> Float[np.ndarray, "text location"]:
    """(k, n) cosine similarity of each location with each text.

    Raises:
        InputError: widths that differ; a location or a text of length 0.
    """
    if locations.shape[1] != vectors.shape[1]:
        raise InputError(
            f"expected locations and texts of the same width, got {locations.shape} and "
            f"{vectors.shape}"
        )
    units = []
    for what, values in (("locations", locations), ("texts", vectors)):
        values = values.astype(np.float64)
        length = np.linalg.norm(values, axis=1)
        if not np.isfinite(length).all() or not (length > 0).all():
            bad = int((~(length > 0)).sum())
            raise InputError(
                f"expected {what} with a direction, got {bad} of {len(values)} with length 0 or "
                "numbers that are not finite: use float32, or another layer"
            )
        units.append(values / length[:, None])
    return units[1] @ units[0].T


@checked
def check_different(vectors: Vectors, names: Sequence[str]) -> None:
    """Refuses prompts that the text tower maps to the same vector.

    Raises:
        InputError: two names with the same vector.
    """
    alike = np.abs(vectors[:, None] - vectors[None]).max(-1) <= 1e-6
    for first, second in np.argwhere(np.triu(alike, 1)):
        raise InputError(
            f"expected prompts with different vectors, got one for {names[first]!r} and "
            f"{names[second]!r}: the model's tokenizer may not know these words; use others"
        )


@checked
def classify(
    scores: Float[np.ndarray, "text location"], allowed: Sequence[int] | None = None
) -> Int[np.ndarray, " location"]:
    """(n,) the text with the largest score at each location; ties go to the first.

    Args:
        allowed: indices of the texts to choose from; None for all.
    """
    rows = np.arange(len(scores)) if allowed is None else np.asarray(allowed, np.int64)
    return rows[scores[rows].argmax(0)]


@checked
def shuffled(n: int, seed: int = 0) -> Int[np.ndarray, " text"]:
    """A random permutation of n texts that moves every one of them (n > 1).

    Source: Sattolo 1986; the permutation is a single cycle.
    """
    arguments.seed(seed)
    order = np.arange(n)
    rng = np.random.default_rng(seed)
    for last in range(n - 1, 0, -1):
        other = int(rng.integers(last))
        order[last], order[other] = order[other], order[last]
    return order
