"""The consent text, which participants must accept before anything is recorded."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..errors import InputError

CONSENT = (
    "You will see some blurred pictures. A small sharp window follows your mouse or your finger. "
    "While you look around, you describe each picture by typing, or read a description of it.",
    "What is recorded: where the sharp window was and when, and the words that you typed or read "
    "and when. There is no sound or video recording. One cookie lets you continue after a reload.",
    "What is not recorded: your name, your address, your device or the time of day. A random "
    "number stands for this session; nobody can find out who you are, unless your description "
    "says so. Please write nothing about yourself.",
    "You can pause at any time; nothing is recorded during a pause. You can stop at any time by "
    "closing the page. At the end you can download what was recorded, or delete it.",
    "The recordings are used for research on where people and computer models look in pictures, "
    "and may be published.",
)
"""Paragraphs of the built-in text; `consent=` replaces them."""


def consent_text(file: Path | None) -> tuple[str, ...]:
    """The paragraphs to accept: those of a text file, or the built-in ones.

    Raises:
        InputError: a file that cannot be read or is empty.
    """
    if file is None:
        return CONSENT
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file}: expected a text to consent to, cannot read it ({error})"
        ) from error
    paragraphs = tuple(" ".join(part.split()) for part in text.split("\n\n") if part.strip())
    if not paragraphs:
        raise InputError(f"{file}: expected a text to consent to, got an empty file")
    return paragraphs


def consent_id(paragraphs: tuple[str, ...]) -> str:
    """A hash that identifies the accepted text."""
    return hashlib.sha256("\n\n".join(paragraphs).encode()).hexdigest()[:16]
