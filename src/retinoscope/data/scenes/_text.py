"""Texts about a scene: relations and a caption. Needs only the layout."""

from __future__ import annotations

from ...errors import InputError
from .._sample import Relation
from ._font import SIGN_WORDS
from ._kinds import ALL_KINDS, COLORS, KINDS
from ._world import SceneItem, SceneLayout

DIRECTIONS = ("left of", "right of", "above", "below")
_PLURALS = {
    "fish": "fish",
    "leaf": "leaves",
    "butterfly": "butterflies",
    "cactus": "cacti",
    "snowman": "snowmen",
}
"""Of the kinds that do not just take an s."""


def article(word: str) -> str:
    """ "a" or "an", by a word's first letter."""
    return "an" if word[:1].lower() in set("aeiou") else "a"


def plural(kind: str) -> str:
    """The plural of one of `KINDS` or `MORE_KINDS`.

    Raises:
        InputError: `kind` is none of them.
    """
    if kind not in ALL_KINDS:
        raise InputError(f"expected one of the drawn kinds, got {kind!r}: see KINDS, MORE_KINDS")
    return _PLURALS.get(kind, f"{kind}s")


MORE_WORDS: tuple[str, ...] = ("or", *(plural(kind) for kind in KINDS if plural(kind) != kind))
"""Words of the questions about varied scenes that the texts about other scenes do not have."""


def caption(layout: SceneLayout) -> str:
    """Names the objects from left to right, then the sign."""
    names = [f"{COLORS[item.color]} {ALL_KINDS[item.kind]}" for item in layout.items]
    phrases = [f"{article(name)} {name}" for name in names]
    listed = phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
    sentence = f"{listed[0].upper()}{listed[1:]}."
    if layout.board is not None:
        sentence += f" A sign says {SIGN_WORDS[layout.board.word]}."
    return sentence


def directions(subject: SceneItem, anchor: SceneItem) -> tuple[str, ...]:
    """The direction of `subject` from `anchor`, or two where neither is clear.

    A direction is clear if the centres differ along its axis more than 1.3 times as much as along
    the other.
    """
    dx, dy = subject.x - anchor.x, subject.y - anchor.y
    across, along = DIRECTIONS[0] if dx < 0 else DIRECTIONS[1], DIRECTIONS[2 if dy < 0 else 3]
    if 10 * abs(dx) > 13 * abs(dy):
        return (across,)
    if 10 * abs(dy) > 13 * abs(dx):
        return (along,)
    return across, along


def relations(layout: SceneLayout) -> tuple[Relation, ...]:
    """All ordered pairs with one clear direction."""
    relations_ = []
    for s, subject in enumerate(layout.items):
        for a, anchor in enumerate(layout.items):
            names = directions(subject, anchor) if s != a else ()
            if len(names) == 1:
                relations_.append(Relation(s, names[0], a))
    return tuple(relations_)
