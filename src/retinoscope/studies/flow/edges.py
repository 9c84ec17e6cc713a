"""Attention edges by name: "image:query,image:generated" is two of them, blocked together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...arguments import checked
from ...engine import Knockout
from ...errors import InputError
from ...tokens import TokenSet
from .._sets import ImageTokens, object_sets, positions_of

if TYPE_CHECKING:
    from ...engine import Run

SOURCES = ("before", "image", "query", "last", "object", "object+1", "rest")
"""Names of keys to hide: text before the image (which cannot hold any of it), visual tokens, text
after the image, the prompt's last position, the tokens of the question's object (and one ring), and
all other visual tokens."""
TARGETS = ("image", "query", "last", "generated")
"""Names of queries from which they are hidden; "generated" is the model's own text."""
READINGS = ("query", "generated")
"""The roles of the prompt's last position: it belongs to the question, and it writes the first
word. An explicit "last" is that position under both."""
OBJECTS = frozenset({"object", "object+1", "rest"})

KADURI = (
    "image:query",
    "image:generated",
    "query:generated",
    "image:query,image:generated",
    "image:query,query:generated",
    "image:generated,query:generated",
    "image:query,image:generated,query:generated",
)
"""The edges of Kaduri et al. 2024 (arXiv 2411.17491) in all combinations."""
ZHANG = (
    "image:query",
    "image:last",
    "query:last",
    "last:last",
    "object:query",
    "object:last",
    "rest:query",
    "rest:last",
)
"""The edges of Zhang et al. 2024 (arXiv 2411.18620), whose question excludes the last position."""
Edge = tuple[str, str]


@dataclass(frozen=True)
class Preset:
    """Edges of a paper, and the roles of the prompt's last position in it."""

    edges: tuple[str, ...]
    readings: tuple[str, ...]


PRESETS = {"kaduri": Preset(KADURI, READINGS), "zhang": Preset(ZHANG, ("generated",))}


@checked
def parse_edges(text: str) -> tuple[Edge, ...]:
    """Parses "SOURCE:TARGET", or several joined by commas.

    Raises:
        InputError: another form, an unknown name, or one edge twice.
    """
    edges: list[Edge] = []
    for edge in text.split(","):
        source, colon, target = edge.strip().partition(":")
        if not colon or source not in SOURCES or target not in TARGETS:
            raise InputError(
                f"expected edges as SOURCE:TARGET[,SOURCE:TARGET...] with sources of "
                f"{', '.join(SOURCES)} and targets of {', '.join(TARGETS)}, got {text!r}"
            )
        if (source, target) in edges:
            raise InputError(f"expected different edges, got {source}:{target} twice in {text!r}")
        edges.append((source, target))
    return tuple(edges)


def name_positions(
    image: ImageTokens, reading: str, masks: Sequence[np.ndarray] = (), min_cover: float = 0.0
) -> dict[str, TokenSet]:
    """Returns the named positions of a run; those of the object only if `masks` are given.

    "generated" holds the prompt's last position if that is its role; generated text comes after it.

    Raises:
        InputError: no visual token covers the masks.
    """
    run = image.run
    visual = positions_of(run.positions["image"])
    text = positions_of(run.positions["text"])
    last = run.n - 1
    after = [p for p in text if p > visual[0] and (p != last or reading == "query")]
    named = {
        "before": TokenSet.of(run.sequence, [p for p in text if p < visual[0]]),
        "image": run.positions["image"],
        "query": TokenSet.of(run.sequence, after),
        "last": run.positions["last"],
        "generated": TokenSet.of(run.sequence, [last] if reading == "generated" else []),
    }
    if masks:
        sets = object_sets(image, masks, min_cover)
        near = set(sets["object+1"])
        named["object"] = image.tokens(sets["object"])
        named["object+1"] = image.tokens(sets["object+1"])
        named["rest"] = image.tokens(i for i in range(image.n) if i not in near)
    return named


@dataclass(frozen=True)
class Blocked:
    """Edges of one run, blocked in each of some layers.

    Attributes:
        prompt: keys hidden from each position of the prompt.
        generated: keys hidden from every position after the prompt.
    """

    prompt: Mapping[int, frozenset[int]]
    generated: frozenset[int]

    @property
    def n_edges(self) -> int:
        """Number of blocked pairs within the prompt, per layer and head."""
        return sum(len(keys) for keys in self.prompt.values())

    def knockouts(self, run: Run, layers: Sequence[int]) -> list[Knockout]:
        """Returns interventions that block them; rows with the same keys share one."""
        by_keys: dict[frozenset[int], list[int]] = {}
        for row, keys in self.prompt.items():
            by_keys.setdefault(keys, []).append(row)
        knockouts = [
            Knockout(_tokens(run, keys), TokenSet.of(run.sequence, rows), layers)
            for keys, rows in by_keys.items()
        ]
        if self.generated:
            knockouts.append(Knockout(_tokens(run, self.generated), "generated", layers))
        return knockouts


def block(edges: Sequence[Edge], positions: Mapping[str, TokenSet]) -> Blocked | None:
    """Returns the edges between named positions; None if there are none.

    A source that is not in `positions` (the object of a description) has no edges, nor has one
    after its target. A position keeps the edge to itself, unless that edge is named ("last:last").
    """
    prompt: dict[int, set[int]] = {}
    generated: set[int] = set()
    for source, target in edges:
        if source not in positions:
            return None
        keys = positions_of(positions[source])
        if target == "generated":
            generated |= set(keys)
        for row in positions_of(positions[target]):
            to_itself = (source, target) == ("last", "last")
            hidden = {key for key in keys if key < row or (to_itself and key == row)}
            if hidden:
                prompt[row] = prompt.get(row, set()) | hidden
    if not prompt and not generated:
        return None
    return Blocked({row: frozenset(keys) for row, keys in prompt.items()}, frozenset(generated))


def random_instead(blocked: Blocked, n: int, written: int, rng: np.random.Generator) -> Blocked:
    """Returns as many other edges, drawn from all of the prompt.

    Edges to the first position and from a position to itself are not drawn, so that no row is left
    without a key; if the prompt has too few others, all of them are blocked.

    Args:
        blocked: the edges.
        n: length of the prompt.
        written: number of rows after the prompt; each loses `blocked.generated`.
        rng: source of the draws.
    """
    rows, keys = np.tril_indices(n, -1)
    free = np.ones((n, n), dtype=bool)
    free[:, 0] = False
    for row, hidden in blocked.prompt.items():
        free[row, sorted(hidden)] = False
    pool = np.flatnonzero(free[rows, keys])
    wanted = blocked.n_edges + len(blocked.generated) * written
    drawn = rng.choice(pool, size=min(wanted, len(pool)), replace=False)
    prompt: dict[int, set[int]] = {}
    for row, key in zip(rows[drawn].tolist(), keys[drawn].tolist(), strict=True):
        prompt.setdefault(row, set()).add(key)
    return Blocked({row: frozenset(prompt[row]) for row in sorted(prompt)}, frozenset())


def _tokens(run: Run, keys: frozenset[int]) -> TokenSet:
    return TokenSet.of(run.sequence, sorted(keys))
