"""A rate limit on new sessions."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

BURST, EVERY = 20, 3.0
"""Sessions that an address may begin at once, and seconds until it may begin one more."""
MOST_ADDRESSES = 10_000


class Allowance:
    """A limit per address: a burst of sessions at first, then one every few seconds."""

    def __init__(
        self,
        burst: int = BURST,
        every: float = EVERY,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst, self._every, self._now = burst, every, now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> bool:
        """Whether this address may begin a session now; if so, it is counted."""
        now = self._now()
        left, since = self._left.pop(address, (float(self._burst), now))
        left = min(self._burst, left + (now - since) / self._every)
        granted = left >= 1
        self._left[address] = left - granted, now
        while len(self._left) > MOST_ADDRESSES:
            self._left.popitem(last=False)
        return granted
