"""What a study needs from its data, declared, and the effect of what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InputError
from ..sources import Contents, advice


@dataclass(frozen=True)
class Need:
    """One thing that a study needs from data.

    Attributes:
        name: the name under which the study counts it, sample by sample (`Study.asks`).
        part: the part of the data it comes from: "objects", "questions" or "gazes".
        gives: what the study does with it, as in "captions are asked".
        instead: a makeshift, counted and used only if everything else is missing.
    """

    name: str
    part: str
    gives: str
    instead: bool = False


def fitting(needs: Sequence[Need], contents: Contents) -> tuple[list[Need], list[Need]]:
    """Returns the needs that the data meets, and those that it does not.

    A makeshift is met if nothing else is; otherwise, as whatever the study's options exclude, it is
    in neither list.
    """
    regular = [need for need in needs if not need.instead and need.name in contents.asked]
    met = [need for need in regular if contents.asked.get(need.name)]
    if not met:
        met = [need for need in needs if need.instead and contents.asked.get(need.name)]
    return met, [need for need in regular if need not in met]


def refuse(study: str, text: str, needs: Sequence[Need], contents: Contents, source: str) -> None:
    """Raises InputError if no data can be used; says what the data has, and how to add the rest."""
    relevant = [need for need in needs if need.name in contents.asked] or needs
    parts = list(dict.fromkeys(need.part for need in relevant))
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
    """Returns a line for each need that is not met: what is left out, and how to add it."""
    lines = [
        f"left out: {need.gives} "
        f"({'none that fits' if contents.counts.get(need.part) else f'no {need.part}'})"
        for need in missing
    ]
    parts = dict.fromkeys(need.part for need in missing if not contents.counts.get(need.part))
    return [*lines, *(f"for {part}: {advice(source, part)}" for part in parts)]
