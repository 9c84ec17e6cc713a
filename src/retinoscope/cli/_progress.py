"""Progress on stderr: a bar with an estimate on a terminal, occasional lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from ._say import printable, say

EVERY_SECONDS = 5.0
EVERY_SHARE = 0.1

Callback = Callable[[int, int, str], None]
"""Called with items done, items in all, and what was just done."""


class Progress:
    """Shows the progress of long work; use it in a `with` block.

    Args:
        stream: where to write; a bar is drawn only on a terminal.
        clock: monotonic seconds.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._bar = _Bar(self._stream) if self._stream.isatty() else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def stage(self, title: str) -> Callback:
        """Returns a callback for one piece of work called `title`."""
        title = printable(title)
        if self._bar:
            return self._bar.stage(title)
        return _Lines(title, self._stream, self._clock)

    def say(self, text: str) -> None:
        """Prints a permanent line, above the bar if there is one."""
        if self._bar:
            self._bar.say(printable(text))
        else:
            say(text, to=self._stream)


class _Bar:
    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress

        self._rich = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left", style="dim"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[what]}", style="dim", markup=False),
            console=Console(file=stream),
        )

    def start(self) -> None:
        self._rich.start()

    def stop(self) -> None:
        self._rich.stop()

    def say(self, text: str) -> None:
        self._rich.console.print(text, markup=False, highlight=False)

    def stage(self, title: str) -> Callback:
        task = self._rich.add_task(title, total=None, what="")

        def show(done: int, total: int, what: str) -> None:
            self._rich.update(task, completed=done, total=total, what=printable(what)[:40])

        return show


class _Lines:
    """Prints at the start, at the end, and every few seconds or tenths of the work."""

    def __init__(self, title: str, stream: TextIO, clock: Callable[[], float]) -> None:
        self._title, self._stream, self._clock = title, stream, clock
        self._first: tuple[float, int] | None = None
        self._last = (float("-inf"), float("-inf"))

    def __call__(self, done: int, total: int, what: str) -> None:
        now, share = self._clock(), done / total if total else 0.0
        if self._first is None:
            self._first = (now, done)
        late = now - self._last[0] >= EVERY_SECONDS
        far = share - self._last[1] >= EVERY_SHARE - 1e-9
        if not (late or far or (done == total and share != self._last[1])):
            return
        self._last = (now, share)
        left = self._left(now, done, total)
        line = f"{self._title}: {done}/{total} ({share:.0%}){left} {printable(what)}"
        say(line[:160].rstrip(), to=self._stream)

    def _left(self, now: float, done: int, total: int) -> str:
        assert self._first is not None
        since, begun = self._first
        if done <= begun or done >= total:
            return ""
        seconds = (now - since) / (done - begun) * (total - done)
        return f", about {duration(seconds)} left"


def duration(seconds: float) -> str:
    """ "40 s", "3 min 20 s", "2 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
