"""Printing: text from data, models and files cannot control the terminal."""

from __future__ import annotations

import sys
import unicodedata
from typing import TextIO

_JOINERS = "\u200c\u200d"
"""Invisible characters that belong to the spelling of some scripts."""


def printable(text: str, *, lines: bool = False) -> str:
    """Escapes control characters, changes of writing direction and lone surrogates in `text`, and
    line breaks too unless `lines`."""
    return "".join(_escaped(c) if _controls(c) and not (lines and c == "\n") else c for c in text)


def say(what: object, *, to: TextIO | None = None, lines: bool = False) -> None:
    """Prints `what` as one line, or with its line breaks if `lines`; on stdout if `to` is None."""
    print(printable(str(what), lines=lines), file=to, flush=True)


def warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """Formats a warning as one line; replaces `warnings.formatwarning`."""
    return f"warning: {printable(' '.join(str(message).split()))}\n"


def say_traceback() -> None:
    """Prints the traceback of the current exception on stderr."""
    import traceback

    say(traceback.format_exc().rstrip(), to=sys.stderr, lines=True)


def _controls(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in _JOINERS


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
