"""Texts about a scene: relations, a caption, questions. Needs only the layout."""

from __future__ import annotations

from .._sample import Question, Relation
from ._draws import TEXT, Draws
from ._font import SIGN_WORDS
from ._kinds import ALL_KINDS, COLORS, KINDS
from ._world import SceneItem, SceneLayout

COUNT_WORDS = ("one", "two", "three", "four", "five")
DIRECTIONS = ("left of", "right of", "above", "below")


def article(word: str) -> str:
    """ "a" or "an", by a word's first letter."""
    return "an" if word[:1].lower() in set("aeiou") else "a"


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


def questions(
    layout: SceneLayout, index: int, seed: int, more_kinds: bool = False
) -> tuple[Question, ...]:
    """All questions about a scene, kind by kind; polling has as many "no" as "yes"."""
    items = layout.items
    known = len(ALL_KINDS if more_kinds else KINDS)
    return (
        *_polling(items, Draws(seed, index, TEXT), known),
        *_attributes(items),
        *_relation_questions(items),
        Question("How many things are there?", COUNT_WORDS[len(items) - 1], "count"),
        *_sign_questions(layout),
    )


def _polling(items: tuple[SceneItem, ...], draws: Draws, known: int) -> list[Question]:
    present = [item.kind for item in items]
    absent = draws.distinct(len(items), [k for k in range(known) if k not in present])

    def ask(kind: int) -> str:
        return f"Is there {article(ALL_KINDS[kind])} {ALL_KINDS[kind]} in this image?"

    yes = [Question(ask(kind), "yes", "polling", (i,)) for i, kind in enumerate(present)]
    return yes + [Question(ask(kind), "no", "polling") for kind in absent]


def _attributes(items: tuple[SceneItem, ...]) -> list[Question]:
    asked = [
        Question(f"What color is the {ALL_KINDS[item.kind]}?", COLORS[item.color], "color", (i,))
        for i, item in enumerate(items)
    ]
    colors = [item.color for item in items]
    return asked + [
        Question(f"What is the {COLORS[item.color]} thing?", ALL_KINDS[item.kind], "kind", (i,))
        for i, item in enumerate(items)
        if colors.count(item.color) == 1
    ]


def _relation_questions(items: tuple[SceneItem, ...]) -> list[Question]:
    asked = []
    for a, anchor in enumerate(items):
        candidates = [(i, directions(item, anchor)) for i, item in enumerate(items) if i != a]
        for direction in DIRECTIONS:
            matching = [(i, names) for i, names in candidates if direction in names]
            if len(matching) == 1 and len(matching[0][1]) == 1:
                i = matching[0][0]
                question = f"What is {direction} the {ALL_KINDS[anchor.kind]}?"
                asked.append(Question(question, ALL_KINDS[items[i].kind], "relation", (i,)))
    return asked


def _sign_questions(layout: SceneLayout) -> list[Question]:
    if layout.board is None:
        return []
    return [Question("What does the sign say?", SIGN_WORDS[layout.board.word], "sign")]
