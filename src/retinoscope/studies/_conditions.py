"""The token sets of the ablation study, as indices among the image's visual tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ._sets import ImageTokens, Indices, Ranking, object_sets

OBJECT_SETS = ("object", "object+1", "object+2")


@dataclass(frozen=True)
class Condition:
    """`tokens` are sorted indices among the visual tokens; empty where the image has none.

    `completeness` is the error of the integrated gradients that chose them, where these did.
    """

    name: str
    tokens: Indices
    completeness: float | None = None


def conditions_for(
    image: ImageTokens,
    masks: Sequence[np.ndarray],
    wanted: Sequence[str],
    sizes: Sequence[int],
    min_cover: float,
    rng: Callable[[str], np.random.Generator],
    label: str,
    by_gradient: Callable[[], Ranking],
) -> list[Condition]:
    """The conditions named by `wanted`, in the paper's order, controls last.

    Args:
        masks: of the objects that carry the answer; without any there are no object sets, and no
            controls of them.
        rng: a generator per purpose, so that one condition's draw does not move another's. The
            random sets of one image are the same for all its prompts and are run once for each.
        label: of these objects; their controls are their own.
        by_gradient: all visual tokens, the largest attribution first; called at most once.

    Raises:
        InputError: if no visual token covers the objects.
    """
    objects = object_sets(image, masks, min_cover) if masks else {}
    sets = [Condition(name, objects[name]) for name in OBJECT_SETS if name in wanted and objects]
    conditions = list(sets)
    fitting = [n for n in sizes if n < image.n]
    if "registers" in wanted:
        conditions.append(Condition("registers", image.registers()))
    if "random" in wanted:
        for n in fitting:
            drawn = rng(f"random-{n}").choice(image.n, n, replace=False)
            conditions.append(Condition(f"random-{n}", as_indices(drawn)))
    if "gradient" in wanted and fitting:
        order, error = by_gradient()
        conditions += [Condition(f"gradient-{n}", as_indices(order[:n]), error) for n in fitting]
    if "control" in wanted:
        for one in sets:
            drawn = control_of(one.tokens, image.n, rng(f"random={one.name} of {label}"))
            if drawn is not None:
                conditions.append(Condition(f"random={one.name}", drawn))
    return conditions


def control_of(tokens: Indices, n: int, rng: np.random.Generator) -> Indices | None:
    """As many random tokens outside `tokens`, or None where fewer than that are left."""
    outside = np.setdiff1d(np.arange(n), np.asarray(tokens, dtype=int))
    if len(outside) < len(tokens):
        return None
    return as_indices(rng.choice(outside, len(tokens), replace=False))


def as_indices(values: Sequence[int] | np.ndarray) -> Indices:
    """Sorted Python integers: hashable, and equal sets compare equal."""
    return tuple(sorted(int(value) for value in values))
