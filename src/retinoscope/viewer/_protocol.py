"""Connections within bounds: a request's head in time, and room for new ones."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""Seconds that the head of a request may take to arrive, on a new connection or on a kept one."""

CONNECTIONS = 1_000
"""Most connections at once; fewer where the system allows the process fewer files."""

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: 49\r\n\r\n"
    b'{"error": "too many connections: try again soon"}'
)


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol with a time limit for heads, and idle connections that give way.

    Where there are too many connections, the one that has been idle for longest is closed, of the
    address that has the most: clients that only hold connections never keep others out. A client
    whose idle connection is closed makes another one.
    """

    most = CONNECTIONS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # type: ignore[override]
        super().connection_made(cast(Any, transport))
        self._idle_since = self.loop.time()
        self._head: asyncio.TimerHandle | None = None
        self._wait_for_head()
        if len(self.connections) > self.most:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.idle:
            self._wait_for_head()
        else:
            self._head_came()

    def on_response_complete(self) -> None:
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        # Of a request whose body turned out malformed: its own answer is not to follow this one,
        # and nothing can be said inside an answer that has begun.
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
                return
        super().send_400_response(msg)

    @property
    def idle(self) -> bool:
        """Whether no request is being received or answered; a part of a head is none."""
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_head(self) -> None:
        # Once: bytes that trickle in do not make it longer.
        if self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _make_room(self) -> None:
        open_ones = [cast(BoundedProtocol, one) for one in self.connections]
        open_ones = [one for one in open_ones if not one.transport.is_closing()]
        if len(open_ones) <= self.most:
            return
        held = Counter(one.address for one in open_ones)
        idle = [one for one in open_ones if one.idle and one is not self]
        if idle:
            oldest = min(idle, key=lambda one: (-held[one.address], one._idle_since))
            oldest.timeout_keep_alive_handler()
        else:
            self.transport.write(_FULL)
            self.transport.close()

    @property
    def address(self) -> str:
        return self.client[0] if self.client else ""


def most_connections() -> int:
    """`CONNECTIONS`, or what the process's limit of open files leaves room for."""
    try:
        import resource
    except ModuleNotFoundError:
        return CONNECTIONS
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return CONNECTIONS if files < 0 else max(16, min(CONNECTIONS, files - 128))
