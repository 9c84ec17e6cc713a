"""What was left out of a source, counted and reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SKIPPED = "skipped"
"""Key in `Sample.meta`: the `Skipped` items that were left out or changed in this sample."""


@dataclass(frozen=True)
class Skipped:
    """Something that was left out or changed.

    Attributes:
        kind: what happened, in the same words for all of a kind, such as "objects left out because
            their annotation is damaged".
        detail: file, entry, field and reason of this one.
    """

    kind: str
    detail: str


def counted(skipped: Iterable[Skipped]) -> dict[str, tuple[int, str]]:
    """The number of items of each kind, with the first one's detail."""
    counts: dict[str, tuple[int, str]] = {}
    for item in skipped:
        count, first = counts.get(item.kind, (0, item.detail))
        counts[item.kind] = count + 1, first
    return counts


def lines(counts: Mapping[str, tuple[int, str]]) -> list[str]:
    """One line per kind: how many, and the first."""
    return [
        f"{kind}: {count} ({'the first: ' if count > 1 else ''}{first})"
        for kind, (count, first) in counts.items()
    ]
