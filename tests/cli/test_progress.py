"""Progress on a terminal and elsewhere."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from retinoscope.cli._progress import Progress, duration


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_every_tenth_and_every_five_seconds() -> None:
    stream, clock = io.StringIO(), _Clock()
    with Progress(stream, clock) as progress:
        show = progress.stage("ablation")
        for done in range(101):
            clock.now = done * 0.1
            show(done, 100, f"scene-{done}")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[0] == "ablation: 0/100 (0%) scene-0"
    assert lines[5] == "ablation: 50/100 (50%), about 5 s left scene-50"
    assert lines[-1] == "ablation: 100/100 (100%) scene-100"


def test_slow_work_speaks_every_five_seconds() -> None:
    stream, clock = io.StringIO(), _Clock()
    show = Progress(stream, clock).stage("lens")
    for done in range(7):
        clock.now = done * 6.0
        show(done, 1000, "")
    assert len(stream.getvalue().splitlines()) == 7


def test_the_last_line_comes_once() -> None:
    stream = io.StringIO()
    show = Progress(stream, _Clock()).stage("lens")
    show(3, 3, "all finished before")
    show(3, 3, "")
    assert len(stream.getvalue().splitlines()) == 1


def test_a_terminal_gets_a_bar() -> None:
    stream = _Terminal()
    with Progress(stream) as progress:
        show = progress.stage("knockout [x]")
        show(1, 2, "scene-0")
        progress.say("[bold] is no markup")
    text = stream.getvalue()
    assert "knockout [x]" in text
    assert "1/2" in text
    assert "[bold] is no markup" in text


@given(st.floats(0, 1e6))
def test_durations_are_short_and_have_units(seconds: float) -> None:
    text = duration(seconds)
    assert text.split()[-1] in ("s", "min")
    assert "60" not in text.split()[2:3]
