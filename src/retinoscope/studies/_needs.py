"""What a study needs of its data, declared; what becomes of its parts without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InputError
from ..sources import Contents, advice


@dataclass(frozen=True)
class Need:
    """One thing that a study asks of data.

    Attributes:
        name: under which the study counts it, sample by sample (`Study.asks`).
        part: what of the data it rests on: "objects", "questions" or "gazes".
        gives: what the study does with it, as in "captions are asked".
        instead: a makeshift: counted and used only where all others are missing.
    """

    name: str
    part: str
    gives: str
    instead: bool = False


def fitting(needs: Sequence[Need], contents: Contents) -> tuple[list[Need], list[Need]]:
    """Which needs the data meets, and which it does not.

    A makeshift is met where nothing else is, and neither met nor missing elsewhere; what the
    study's options leave out is neither.
    """
    first = [one for one in needs if not one.instead and one.name in contents.asked]
    met = [one for one in first if contents.asked.get(one.name)]
    if not met:
        met = [one for one in needs if one.instead and contents.asked.get(one.name)]
    return met, [one for one in first if one not in met]


def refuse(study: str, text: str, needs: Sequence[Need], contents: Contents, source: str) -> None:
    """Raises InputError: nothing of the data can be used; says what there is, and what adds it."""
    wanted = [one for one in needs if one.name in contents.asked] or needs
    parts = list(dict.fromkeys(one.part for one in wanted))
    lacking = [part for part in parts if not contents.counts.get(part)]
    if len(lacking) == len(parts):
        todo = "; or ".join(advice(source, part) for part in parts)
    else:
        todo = "change the options that choose among them, or give other data"
    raise InputError(
        f"the {study} study needs {text}, and finds none of that in {source} ({contents.line}): "
        f"{todo}"
    )


def missing_lines(missing: Sequence[Need], contents: Contents, source: str) -> list[str]:
    """A line for each need that is not met: what is left out, and what adds it."""
    lines = [
        f"left out: {one.gives} "
        f"({'none that fits' if contents.counts.get(one.part) else f'no {one.part}'})"
        for one in missing
    ]
    parts = dict.fromkeys(one.part for one in missing if not contents.counts.get(one.part))
    return [*lines, *(f"for {part}: {advice(source, part)}" for part in parts)]
