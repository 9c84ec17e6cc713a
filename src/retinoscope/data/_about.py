"""The objects that a question is about, where the data does not say."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ANY_OBJECT = frozenset({"question", "kind", "relation"})
_NAMED_IN_QUESTION = frozenset({"question", "color", "polling"})


def about_by_name(question: str, answer: str, kind: str, names: Sequence[str]) -> tuple[int, ...]:
    """The one object that is the answer, or else the one asked about; empty where that is unclear.

    Args:
        kind: the question's kind, see `Question.kind`.
        names: the names of the image's objects.
    """
    if kind == "polling" and answer.lower() != "yes":
        return ()
    if kind in _ANY_OBJECT:
        answers = [index for index, name in enumerate(names) if name.lower() == answer.lower()]
        if answers:
            return tuple(answers) if len(answers) == 1 else ()
    if kind in _NAMED_IN_QUESTION:
        named = [
            index
            for index, name in enumerate(names)
            if re.search(rf"\b{re.escape(name.lower())}\b", question.lower())
        ]
        return tuple(named) if len(named) == 1 else ()
    return ()
