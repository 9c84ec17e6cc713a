"""Sources and targets of attention knockouts, as positions of the decoder's input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._sets import ImageTokens, control_of, object_sets, positions_of
from .options import SOURCES

if TYPE_CHECKING:
    from ...engine import Run
    from ...tokens import TokenSet

_IMAGE_SOURCES = frozenset(SOURCES) - {"question"}


def sources_for(
    image: ImageTokens,
    masks: Sequence[np.ndarray],
    wanted: Sequence[str],
    min_cover: float,
    rng: np.random.Generator,
) -> dict[str, TokenSet]:
    """Returns the wanted sources.

    "visual" is all visual tokens, "rest" those outside object+1, "last-row" the last row of the
    token grid, "question" the text between the image and the last position, and "control" as many
    random visual tokens outside object+1 (missing if too few are left). Without `masks` there are
    no sources of an object, and always "visual".

    Raises:
        InputError: no visual token covers the objects, or the tokens have no grid.
    """
    if not masks:
        wanted = [*(name for name in wanted if name in ("last-row", "question")), "visual"]
    sets = object_sets(image, masks, min_cover) if masks else {}
    sources = {name: image.tokens(sets[name]) for name in sets if name in wanted}
    near = set(sets.get("object+1", ()))
    if "visual" in wanted:
        sources["visual"] = image.tokens(range(image.n))
    if "rest" in wanted:
        sources["rest"] = image.tokens(i for i in range(image.n) if i not in near)
    if "last-row" in wanted:
        sources["last-row"] = image.tokens(image.last_row)
    if "question" in wanted:
        sources["question"] = question_tokens(image.run)
    if "control" in wanted:
        drawn = control_of(sets["object+1"], image.n, rng)
        if drawn is not None:
            sources["control"] = image.tokens(drawn)
    return {name: tokens for name, tokens in sources.items() if len(tokens)}


def targets_for(image: ImageTokens, wanted: Sequence[str]) -> dict[str, TokenSet]:
    """Returns the wanted targets: the last position, the last row of the grid, the question."""
    targets: dict[str, TokenSet] = {}
    if "last" in wanted:
        targets["last"] = image.run.positions["last"]
    if "last-row" in wanted:
        targets["last-row"] = image.tokens(image.last_row)
    if "question" in wanted:
        targets["question"] = question_tokens(image.run)
    return targets


def question_tokens(run: Run) -> TokenSet:
    """Returns the question's positions without the last position, which is a separate target."""
    return run.positions["question"] - run.positions["last"]


def without_target(
    source: str, target: str, sources: dict[str, TokenSet], image: ImageTokens, mode: str
) -> TokenSet | None:
    """Returns the source without the target's own positions, or None if no edge is left.

    Towards the last visual row a set means its tokens outside that row, so that a set never loses
    the edges to itself. In "paper" mode this applies to "visual" alone ("all visual tokens except
    the last row"): the released code's object+1 keeps its tokens of that row, and so do the other
    sources, which it does not block towards that row.
    """
    if source == target:
        return None
    tokens = sources[source]
    cut = _IMAGE_SOURCES if mode == "corrected" else {"visual"}
    if target == "last-row" and source in cut:
        tokens = tokens - image.tokens(image.last_row)
    return tokens if len(tokens) else None


def count_edges(source: TokenSet, target: TokenSet) -> int:
    """Counts the (query, key) pairs of a causal decoder, whose key is not after the query."""
    keys = np.array(positions_of(source))
    queries = np.array(positions_of(target))
    return int((keys[None, :] <= queries[:, None]).sum())
