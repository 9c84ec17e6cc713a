"""Termination signals, handled so that finished work is kept."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""SIGTERM from a scheduler or a shutdown, SIGHUP from a closed terminal (not on Windows)."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Turns SIGTERM and SIGHUP into `KeyboardInterrupt` within the block, so that finished work is
    written.

    Only in the main thread, where Python runs handlers, and only for signals that the program does
    not handle itself (`nohup` ignores SIGHUP, and it stays ignored).
    """
    main = threading.current_thread() is threading.main_thread()
    taken = [number for number in SIGNALS if main and signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def held_signals() -> Iterator[Callable[[], bool]]:
    """Defers Ctrl-C, SIGTERM and SIGHUP within the block, which can then end at a good moment.

    A second Ctrl-C interrupts at once. As with `stopped_by_signals`, this works in the main thread
    only, for signals that the program does not handle itself.

    Yields:
        A function that returns whether a signal has arrived.

    Raises:
        KeyboardInterrupt: after the block, if a signal arrived.
    """
    arrived: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in arrived:
            raise KeyboardInterrupt
        arrived.append(number)

    main = threading.current_thread() is threading.main_thread()
    usual = (signal.SIG_DFL, _interrupt, signal.default_int_handler)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *SIGNALS) if main}
    before = {number: handler for number, handler in before.items() if handler in usual}
    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(arrived)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if arrived:
        raise KeyboardInterrupt


def _interrupt(number: int, frame: FrameType | None) -> None:
    if any(frame.f_code.co_name == "__del__" for frame, _ in traceback.walk_stack(frame)):
        # Python discards exceptions raised in a finaliser: send the signal again once it is over.
        again = threading.Timer(0.01, signal.raise_signal, [number])
        again.daemon = True
        again.start()
        return
    raise KeyboardInterrupt
