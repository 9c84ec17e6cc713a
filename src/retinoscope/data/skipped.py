"""What was left out of a source, counted and reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SKIPPED = "skipped"
"""Key in `Sample.meta`: what was left out or changed in this sample, as `Skipped`."""


@dataclass(frozen=True)
class Skipped:
    """One thing that was left out or changed.

    Attributes:
        kind: what happened, the same words for all of a kind: "objects left out: no valid outline".
        detail: file, entry, field and reason of this one.
    """

    kind: str
    detail: str


def counted(skipped: Iterable[Skipped]) -> dict[str, tuple[int, str]]:
    """How often each kind occurs, and the first one's detail."""
    found: dict[str, tuple[int, str]] = {}
    for one in skipped:
        often, first = found.get(one.kind, (0, one.detail))
        found[one.kind] = often + 1, first
    return found


def lines(found: Mapping[str, tuple[int, str]]) -> list[str]:
    """A line for each kind: how often, and the first."""
    return [
        f"{kind}: {often} ({'the first: ' if often > 1 else ''}{first})"
        for kind, (often, first) in found.items()
    ]
