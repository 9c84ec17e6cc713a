"""What can be said and asked about a layout."""

from __future__ import annotations

import numpy as np

from .._sample import Question, Relation
from ._kinds import COLORS, KINDS, SIGN_WORDS
from ._layout import Layout, Placed

COUNT_WORDS = ("one", "two", "three", "four", "five")
DIRECTIONS = ("left of", "right of", "above", "below")
_CLEAR = 1.3
"""A direction is clear where its axis differs by this factor more than the other axis."""


def article(word: str) -> str:
    """The word with its indefinite article: "a car", "an apple"."""
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def caption(layout: Layout) -> str:
    """The objects from left to right, then the sign."""
    ordered = sorted(layout.objects, key=lambda placed: placed.center)
    things = [article(f"{COLORS[placed.color]} {KINDS[placed.kind]}") for placed in ordered]
    listed = things[0] if len(things) == 1 else f"{', '.join(things[:-1])} and {things[-1]}"
    text = f"{listed[0].upper()}{listed[1:]}."
    if layout.sign is not None:
        text += f" A sign says {SIGN_WORDS[layout.sign.word]}."
    return text


def relations(layout: Layout) -> tuple[Relation, ...]:
    """Every ordered pair whose direction is clear."""
    found = []
    for first, a in enumerate(layout.objects):
        for second, b in enumerate(layout.objects):
            for direction in DIRECTIONS:
                if first != second and _lies(a, direction, b, _CLEAR):
                    found.append(Relation(first, direction, second))
    return tuple(found)


def questions(layout: Layout) -> tuple[Question, ...]:
    """All questions about the layout, absent kinds drawn by lot from its seed."""
    objects = layout.objects
    asked: list[Question] = []
    absent = [kind for kind in range(len(KINDS)) if all(kind != o.kind for o in objects)]
    for index, placed in enumerate(objects):
        asked.append(_polling(placed.kind, "yes", (index,)))
    for kind in layout.rng.permutation(absent)[: len(objects)]:
        asked.append(_polling(int(kind), "no", ()))
    for index, placed in enumerate(objects):
        kind, color = KINDS[placed.kind], COLORS[placed.color]
        asked.append(Question(f"What color is the {kind}?", color, "color", (index,)))
        if sum(other.color == placed.color for other in objects) == 1:
            asked.append(Question(f"What is the {color} thing?", kind, "kind", (index,)))
        for direction in DIRECTIONS:
            # The wide cone must hold one object only, and that one clearly.
            wide = [
                number
                for number, other in enumerate(objects)
                if number != index and _lies(other, direction, placed, 1 / _CLEAR)
            ]
            if len(wide) == 1 and _lies(objects[wide[0]], direction, placed, _CLEAR):
                answer = KINDS[objects[wide[0]].kind]
                text = f"What is {direction} the {kind}?"
                asked.append(Question(text, answer, "relation", (wide[0],)))
    count = COUNT_WORDS[len(objects) - 1]
    asked.append(Question("How many things are there?", count, "count"))
    if layout.sign is not None:
        asked.append(Question("What does the sign say?", SIGN_WORDS[layout.sign.word], "sign"))
    return tuple(asked)


def _polling(kind: int, answer: str, about: tuple[int, ...]) -> Question:
    return Question(f"Is there {article(KINDS[kind])} in this image?", answer, "polling", about)


def _lies(a: Placed, direction: str, b: Placed, clear: float) -> bool:
    right, down = np.subtract(a.center, b.center)
    along, across = {
        "left of": (-right, down),
        "right of": (right, down),
        "above": (-down, right),
        "below": (down, right),
    }[direction]
    return bool(along > clear * abs(across))
