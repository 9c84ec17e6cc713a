"""Signals that end a program, so that what is finished is kept."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""From a scheduler or a shutdown; from a terminal that was closed (there is none on Windows)."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise `KeyboardInterrupt` within the block, so that what is finished is
    written.

    Only in the main thread, where Python runs handlers, and only those that the program has no
    handler of its own for (`nohup` ignores SIGHUP, and it stays ignored).
    """
    main = threading.current_thread() is threading.main_thread()
    taken = [one for one in SIGNALS if main and signal.getsignal(one) is signal.SIG_DFL]
    for one in taken:
        signal.signal(one, _interrupt)
    try:
        yield
    finally:
        for one in taken:
            signal.signal(one, signal.SIG_DFL)


@contextmanager
def held_signals() -> Iterator[Callable[[], bool]]:
    """Ctrl-C, SIGTERM and SIGHUP wait within the block, which ends where it suits it.

    A second Ctrl-C interrupts at once. As `stopped_by_signals`, only in the main thread, and only
    signals that the program does not handle in its own way.

    Yields:
        A function that says whether one came.

    Raises:
        KeyboardInterrupt: after the block, if one came.
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in came:
            raise KeyboardInterrupt
        came.append(number)

    main = threading.current_thread() is threading.main_thread()
    usual = (signal.SIG_DFL, _interrupt, signal.default_int_handler)
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, *SIGNALS) if main}
    before = {one: handler for one, handler in before.items() if handler in usual}
    for one in before:
        signal.signal(one, note)
    try:
        yield lambda: bool(came)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    if came:
        raise KeyboardInterrupt


def _interrupt(number: int, frame: FrameType | None) -> None:
    if any(one.f_code.co_name == "__del__" for one, _ in traceback.walk_stack(frame)):
        # Python drops what is raised in a finaliser: the signal comes again when that is over.
        again = threading.Timer(0.01, signal.raise_signal, [number])
        again.daemon = True
        again.start()
        return
    raise KeyboardInterrupt
