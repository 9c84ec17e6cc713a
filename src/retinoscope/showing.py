"""How a run, a lens or effects find what shows them, which lies in a room above theirs.

`import retinoscope` registers it; the rooms below only ask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_shower: Callable[[object], Any] | None = None


def register(shower: Callable[[object], Any]) -> None:
    """Makes `shower` the function that `show` calls."""
    global _shower
    _shower = shower


def show(thing: object) -> Any:
    """A notebook widget of `thing`; see `retinoscope.show`."""
    assert _shower is not None, "retinoscope registers it when it is imported"
    return _shower(thing)
