"""Objects that a text names, and how many of them another text still names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..arguments import checked
from .words import names_any, without, words_of


@checked
def objects_named(text: str, known: Iterable[str]) -> frozenset[str]:
    """Returns the `known` names that `text` names by a whole word, a synonym or a plural.

    Longer names are matched first: a "hot dog" is not a dog.
    """
    named: set[str] = set()
    for name in sorted(known, key=lambda name: (-len(name.split()), name)):
        if names_any(text, words_of(name)):
            named.add(name)
            if " " in name:
                text = without(text, words_of(name))
    return frozenset(named)


@dataclass(frozen=True)
class Overlap:
    """A candidate's objects compared with a reference's.

    An empty candidate has no precision, an empty reference no recall, and F1 is 0 in both cases; if
    both are empty, nothing is defined.

    Source: Kaduri et al. 2024, who take the unedited description as the reference.
    """

    tp: int
    fp: int
    fn: int

    @classmethod
    def of(cls, candidate: frozenset[str], reference: frozenset[str]) -> Overlap:
        both = candidate & reference
        return cls(len(both), len(candidate - reference), len(reference - candidate))

    @property
    def precision(self) -> float | None:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def recall(self) -> float | None:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else None

    @property
    def f1(self) -> float | None:
        whole = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / whole if whole else None
