"""Questions about a scene with one correct answer each. Needs only the layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from .._sample import Question
from ._draws import MORE_TEXT, TEXT, Draws
from ._font import SIGN_WORDS
from ._kinds import ALL_KINDS, AT_HOME, COLORS, KINDS
from ._text import DIRECTIONS, article, directions, plural
from ._world import FINE, SIZE, SceneItem, SceneLayout, SceneOptions

COUNT_WORDS = ("one", "two", "three", "four", "five")

_SIDES = {"left of": "left", "right of": "right", "above": "top", "below": "bottom"}
_MARGIN = 4
"""Least distance in pixels of a centre from the border of a third for a question of position."""


def questions(
    layout: SceneLayout, index: int, seed: int, options: SceneOptions
) -> tuple[Question, ...]:
    """All questions about a scene, kind by kind; polling has as many "no" as "yes".

    Where sizes, kinds or grounds vary, further ones follow; those of kind "polling-adversarial" are
    for evaluation only: absent kinds that are at home on the scene's ground (answer "no"), and as
    many present ones, the target first.
    """
    items = layout.items
    known = len(ALL_KINDS if options.more_kinds else KINDS)
    common = (
        *_polling(items, Draws(seed, index, TEXT), known),
        *_attributes(items),
        *_relation_questions(items),
        Question("How many things are there?", COUNT_WORDS[len(items) - 1], "count"),
        *_sign_questions(layout),
    )
    if not options.varied:
        return common
    draws = Draws(seed, index, MORE_TEXT)
    by_color = _counts([item.color for item in items], "count-color", _colored, draws)
    by_kind = _counts([item.kind for item in items], "count-kind", _of_kind, draws)
    return (
        *common,
        *_positions(items),
        *_twin_colors(items),
        *by_color,
        *(by_kind if options.repeats else ()),
        *_adversarial(layout, draws),
    )


def _present(items: Sequence[SceneItem]) -> dict[int, tuple[int, ...]]:
    """The indices of the items of each kind, kinds in the order of their first items."""
    kinds = [item.kind for item in items]
    return {kind: tuple(i for i, k in enumerate(kinds) if k == kind) for kind in kinds}


def _poll(kind: int) -> str:
    return f"Is there {article(ALL_KINDS[kind])} {ALL_KINDS[kind]} in this image?"


def _polling(items: tuple[SceneItem, ...], draws: Draws, known: int) -> list[Question]:
    present = _present(items)
    absent = draws.distinct(len(present), [k for k in range(known) if k not in present])
    yes = [Question(_poll(kind), "yes", "polling", about) for kind, about in present.items()]
    return yes + [Question(_poll(kind), "no", "polling") for kind in absent]


def _attributes(items: tuple[SceneItem, ...]) -> list[Question]:
    asked = [
        Question(f"What color is the {ALL_KINDS[kind]}?", COLORS[items[i].color], "color", (i,))
        for kind, (i, *twins) in _present(items).items()
        if not twins
    ]
    colors = [item.color for item in items]
    return asked + [
        Question(f"What is the {COLORS[item.color]} thing?", ALL_KINDS[item.kind], "kind", (i,))
        for i, item in enumerate(items)
        if colors.count(item.color) == 1
    ]


def _relation_questions(items: tuple[SceneItem, ...]) -> list[Question]:
    asked = []
    for kind, (a, *twins) in _present(items).items():
        if twins:
            continue
        candidates = [(i, directions(item, items[a])) for i, item in enumerate(items) if i != a]
        for direction in DIRECTIONS:
            matching = [(i, names) for i, names in candidates if direction in names]
            if len(matching) == 1 and len(matching[0][1]) == 1:
                i = matching[0][0]
                question = f"What is {direction} the {ALL_KINDS[kind]}?"
                asked.append(Question(question, ALL_KINDS[items[i].kind], "relation", (i,)))
    return asked


def _sign_questions(layout: SceneLayout) -> list[Question]:
    if layout.board is None:
        return []
    return [Question("What does the sign say?", SIGN_WORDS[layout.board.word], "sign")]


def _positions(items: tuple[SceneItem, ...]) -> list[Question]:
    """In which third of the image's width and height each kind is that occurs once."""
    asked = []
    for kind, (i, *twins) in _present(items).items():
        name = ALL_KINDS[kind]
        for at, ends, question in (
            (items[i].x, ("left", "right"), f"Is the {name} left, right or in the middle"),
            (
                items[i].y,
                ("top", "bottom"),
                f"Is the {name} at the top, at the bottom or in the middle",
            ),
        ):
            answer = _third(at, ends)
            if answer and not twins:
                asked.append(Question(f"{question} of the image?", answer, "position", (i,)))
    return asked


def _third(at: int, ends: tuple[str, str]) -> str | None:
    """The third in which a coordinate lies; None near the border of two."""
    low, high, margin = SIZE * FINE // 3, 2 * SIZE * FINE // 3, _MARGIN * FINE
    if min(abs(at - low), abs(at - high)) < margin:
        return None
    return ends[0] if at < low else ends[1] if at > high else "middle"


def _twin_colors(items: tuple[SceneItem, ...]) -> list[Question]:
    asked = []
    for kind, about in _present(items).items():
        pair = [items[i] for i in about]
        if len(pair) != 2 or pair[0].color == pair[1].color:
            continue
        for i, one, other in zip(about, pair, pair[::-1], strict=True):
            side = _SIDES[directions(one, other)[0]]
            question = f"What color is the {side} {ALL_KINDS[kind]}?"
            asked.append(Question(question, COLORS[one.color], "twin-color", (i,)))
    return asked


def _counts(
    values: list[int], kind: str, question: Callable[[int], str], draws: Draws
) -> list[Question]:
    """Counts every value that is repeated and, where there are two objects or repeats, one other.

    Counting every value would make "one" the answer to nearly all questions.
    """
    many = Counter(values)
    asked = [value for value, count in many.items() if count > 1]
    single = [value for value, count in many.items() if count == 1]
    if single and (asked or len(values) == 2):
        asked.append(single[draws.below(len(single))])
    return [
        Question(
            question(value),
            COUNT_WORDS[many[value] - 1],
            kind,
            tuple(i for i, other in enumerate(values) if other == value),
        )
        for value in asked
    ]


def _colored(color: int) -> str:
    return f"How many {COLORS[color]} things are there?"


def _of_kind(kind: int) -> str:
    return f"How many {plural(ALL_KINDS[kind])} are there?"


def _adversarial(layout: SceneLayout, draws: Draws) -> list[Question]:
    if layout.ground is None or layout.target is None:
        return []
    present = _present(layout.items)
    home = [KINDS.index(kind) for kind in AT_HOME[layout.ground]]
    absent = [kind for kind in home if kind not in present]
    target = layout.items[layout.target].kind
    first = sorted(present, key=lambda kind: kind != target)
    n = min(len(first), len(absent))
    asked = [(kind, "yes", present[kind]) for kind in first[:n]]
    asked += [(kind, "no", ()) for kind in draws.distinct(n, absent)]
    return [Question(_poll(kind), answer, "polling-adversarial", on) for kind, answer, on in asked]
