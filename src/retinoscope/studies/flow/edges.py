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
"""Keys that are hidden: text before the image (which cannot hold any of it), visual tokens, text
behind the image, the prompt's last position, the tokens of the question's object (and one ring),
and all other visual tokens."""
TARGETS = ("image", "query", "last", "generated")
"""Queries that they are hidden from; "generated" is what the model writes."""
READINGS = ("query", "generated")
"""What the prompt's last position counts as: it belongs to the question, and it writes the first
word. An explicit "last" is that position in both."""
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
"""The edges of Zhang et al. 2024 (arXiv 2411.18620), whose question does not hold the last
position."""
Edge = tuple[str, str]


@dataclass(frozen=True)
class Preset:
    """Edges of a paper, and what the prompt's last position counts as in it."""

    edges: tuple[str, ...]
    readings: tuple[str, ...]


PRESETS = {"kaduri": Preset(KADURI, READINGS), "zhang": Preset(ZHANG, ("generated",))}


@checked
def parse_edges(text: str) -> tuple[Edge, ...]:
    """ "SOURCE:TARGET", or several joined by commas.

    Raises:
        InputError: another form, an unknown name, or one edge twice.
    """
    edges: list[Edge] = []
    for one in text.split(","):
        source, colon, target = one.strip().partition(":")
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
    """The named positions of a run; those of the object only where `masks` are given.

    "generated" holds the prompt's last position if it counts as such: what is written comes after.

    Raises:
        InputError: no visual token covers the masks.
    """
    run = image.run
    visual = positions_of(run.positions["image"])
    text = positions_of(run.positions["text"])
    last = run.n - 1
    behind = [p for p in text if p > visual[0] and (p != last or reading == "query")]
    named = {
        "before": TokenSet.of(run.sequence, [p for p in text if p < visual[0]]),
        "image": run.positions["image"],
        "query": TokenSet.of(run.sequence, behind),
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
    """Edges of one run, in every layer in which they are blocked.

    Attributes:
        prompt: keys that are hidden from a position of the prompt.
        generated: keys that are hidden from every position behind the prompt.
    """

    prompt: Mapping[int, frozenset[int]]
    generated: frozenset[int]

    @property
    def n_edges(self) -> int:
        """Blocked pairs within the prompt, per layer and head."""
        return sum(len(keys) for keys in self.prompt.values())

    def knockouts(self, run: Run, layers: Sequence[int]) -> list[Knockout]:
        """The interventions that block them; rows with the same keys share one."""
        by_keys: dict[frozenset[int], list[int]] = {}
        for row, keys in self.prompt.items():
            by_keys.setdefault(keys, []).append(row)
        found = [
            Knockout(_tokens(run, keys), TokenSet.of(run.sequence, rows), layers)
            for keys, rows in by_keys.items()
        ]
        if self.generated:
            found.append(Knockout(_tokens(run, self.generated), "generated", layers))
        return found


def block(edges: Sequence[Edge], positions: Mapping[str, TokenSet]) -> Blocked | None:
    """The edges between named positions; None where there is none.

    A source without a name here (the object of a description) has no edges, neither has one behind
    its target. A position keeps the edge to itself, unless that edge is named ("last:last").
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
            own = (source, target) == ("last", "last")
            found = {key for key in keys if key < row or (own and key == row)}
            if found:
                prompt[row] = prompt.get(row, set()) | found
    if not prompt and not generated:
        return None
    return Blocked({row: frozenset(keys) for row, keys in prompt.items()}, frozenset(generated))


def random_instead(blocked: Blocked, n: int, written: int, rng: np.random.Generator) -> Blocked:
    """As many other edges, drawn from all of the prompt.

    Edges to the first position and from a position to itself are not drawn, so that no row is left
    without a key; where the prompt has too few others, all of them are blocked.

    Args:
        n: length of the prompt.
        written: rows behind the prompt; each loses `blocked.generated`.
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
