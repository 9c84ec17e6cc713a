"""Clients: names that tell browsers apart, and limits on each one's concurrent uploads."""

from __future__ import annotations

import secrets
from collections import Counter, OrderedDict

MOST_CLIENTS = 10_000


class Clients:
    """Names given to browsers; beyond `most`, the least recently seen are forgotten."""

    def __init__(self, most: int = MOST_CLIENTS) -> None:
        self._most = most
        self._seen: OrderedDict[str, None] = OrderedDict()

    def new(self) -> str:
        name = secrets.token_hex(8)
        self._seen[name] = None
        while len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return name

    def of(self, named: str | None, address: str) -> str:
        """Returns the client of a request: a name given by this server, else the address."""
        if named is not None and named in self._seen:
            self._seen.move_to_end(named)
            return named
        return address


class Receiving:
    """Request bodies held in memory, counted by client.

    Args:
        in_all: maximum number of bytes of all clients together.
        per_client: maximum number of bytes of one client.
        uploads: maximum number of concurrent image uploads of one client.
    """

    def __init__(self, in_all: int, per_client: int, uploads: int) -> None:
        self._in_all, self._per_client, self._most = in_all, per_client, uploads
        self._uploads: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._sum = 0

    def begin(self, client: str) -> bool:
        """Counts an upload; returns False if the client has too many."""
        if self._uploads[client] >= self._most:
            return False
        self._uploads[client] += 1
        return True

    def end(self, client: str) -> None:
        """Ends an upload."""
        _subtract(self._uploads, client, 1)

    def hold(self, client: str, count: int) -> bool:
        """Counts bytes; returns False, counting nothing, if they would be too many."""
        if self._bytes[client] + count > self._per_client or self._sum + count > self._in_all:
            return False
        self._bytes[client] += count
        self._sum += count
        return True

    def release(self, client: str, count: int) -> None:
        """Releases bytes that `hold` counted."""
        _subtract(self._bytes, client, count)
        self._sum -= count


def _subtract(counts: Counter[str], client: str, count: int) -> None:
    counts[client] -= count
    if counts[client] <= 0:
        del counts[client]
