"""The entry point: turns what a command raised into one line and an exit code."""

from __future__ import annotations

import errno
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress

from cyclopts import CycloptsError

from ..errors import RetinoscopeError, StudyError
from ._app import app
from ._say import say, say_traceback, warn

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

_OUTSIDE = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENOENT,
        errno.EEXIST,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    }
)
"""System errors that the user can resolve: disk, quota, permissions, paths."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments; by default those of this process.

    Returns:
        0 done, 1 the study failed, 2 wrong use or bad input, 130 interrupted.
    """
    tokens = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in tokens
    tokens = [token for token in tokens if token != "--debug"]
    warnings.formatwarning = warn
    try:
        app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
        return DONE
    except KeyboardInterrupt:
        _say("interrupted: what is finished is kept, the same command continues from there")
        return INTERRUPTED
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else FAILED
    except BrokenPipeError:
        # The reader of the output (`| head`) has gone; there is nobody left to inform.
        sys.stdout = None
        return DONE
    except Exception as error:
        if debug:
            say_traceback()
        code, line = explained(error)
        _say(line if debug or code != FAILED else f"{line} (add --debug for the traceback)")
        return code


def explained(error: Exception) -> tuple[int, str]:
    """The exit code and one line for what a command raised."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, CycloptsError):
        text = " ".join(str(error).replace("│", " ").split())
        command = " ".join(("retinoscope", *(error.command_chain or ())))
        return WRONG_USE, f"error: {text} (see `{command} --help`)"
    if isinstance(error, StudyError) and not _outside(error.__cause__):
        return FAILED, f"failed: {text}"
    if isinstance(error, RetinoscopeError):
        return WRONG_USE, f"error: {text}"
    if _outside(error):
        assert isinstance(error, OSError)
        where = f" {error.filename}" if error.filename else ""
        return WRONG_USE, f"error: cannot use{where}: {(error.strerror or text).lower()}"
    return FAILED, f"failed: {type(error).__name__}: {text}"


def _outside(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in _OUTSIDE


def _say(line: str) -> None:
    # After SIGHUP the terminal is gone; the exit code remains.
    with suppress(OSError):
        say(line, to=sys.stderr)
