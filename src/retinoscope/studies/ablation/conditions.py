"""The token sets of the ablation study, as indices among the image's visual tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .._sets import ImageTokens, Indices, Ranking, as_indices, control_of, object_sets
from ..token_sets import OBJECT_SETS, NamedSet


@dataclass(frozen=True)
class Condition:
    """A token set to ablate. `tokens` are sorted indices among the visual tokens; may be empty.

    `completeness` is the error of the integrated gradients that chose them, if any did.
    """

    name: NamedSet
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
    """Returns the conditions named by `wanted`, in the paper's order, controls last.

    Args:
        image: the visual tokens.
        masks: masks of the objects that carry the answer; without any there are no object sets and
            no controls of them.
        wanted: names of conditions.
        sizes: sizes of the random and gradient sets.
        min_cover: share of a token's box that a mask must cover.
        rng: returns a generator per purpose, so that one condition's draw does not affect
            another's. The random sets of an image are the same for all its prompts.
        label: name of these objects, on which their controls depend.
        by_gradient: returns all visual tokens, the largest attribution first; called at most once.

    Raises:
        InputError: no visual token covers the objects.
    """
    objects = object_sets(image, masks, min_cover) if masks else {}
    sets = [
        Condition(OBJECT_SETS[name], tokens) for name, tokens in objects.items() if name in wanted
    ]
    conditions = list(sets)
    fitting = [n for n in sizes if n < image.n]
    if "registers" in wanted:
        conditions.append(Condition(NamedSet("registers"), image.registers()))
    if "random" in wanted:
        for n in fitting:
            drawn = rng(f"random-{n}").choice(image.n, n, replace=False)
            conditions.append(Condition(NamedSet("random", n_drawn=n), as_indices(drawn)))
    if "gradient" in wanted and fitting:
        order, error = by_gradient()
        conditions += [
            Condition(NamedSet("gradient", n_drawn=n), as_indices(order[:n]), error)
            for n in fitting
        ]
    if "control" in wanted:
        for name, condition in zip(objects, sets, strict=False):
            drawn = control_of(condition.tokens, image.n, rng(f"control of {name} of {label}"))
            if drawn is not None:
                conditions.append(Condition(condition.name.control, drawn))
    return conditions
