"""Bounded connections: a time limit for a request's head, and a limit on their number."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""Maximum seconds for a request's head to arrive, on a new or a kept-alive connection."""

CONNECTIONS = 1_000
"""Maximum number of open connections; lower if the process may open fewer files."""

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: 49\r\n\r\n"
    b'{"error": "too many connections: try again soon"}'
)


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol with a time limit for heads and a limit on open connections.

    Beyond the limit, the longest idle connection of the address with the most connections is
    closed, so that clients that merely hold connections never keep others out. A client whose idle
    connection is closed opens another one.
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
        self._cancel_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.idle:
            self._wait_for_head()
        else:
            self._cancel_timer()

    def on_response_complete(self) -> None:
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        # The request's body was malformed: its own response must not follow this one, and nothing
        # can be inserted into a response that has started.
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
        """Whether no request is being received or answered; part of a head does not count."""
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_head(self) -> None:
        # Started once: bytes that trickle in do not extend it.
        if self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _cancel_timer(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _make_room(self) -> None:
        alive = [cast(BoundedProtocol, connection) for connection in self.connections]
        alive = [connection for connection in alive if not connection.transport.is_closing()]
        if len(alive) <= self.most:
            return
        held = Counter(connection.address for connection in alive)
        idle = [connection for connection in alive if connection.idle and connection is not self]
        if idle:
            oldest = min(idle, key=lambda c: (-held[c.address], c._idle_since))
            oldest.timeout_keep_alive_handler()
        else:
            self.transport.write(_FULL)
            self.transport.close()

    @property
    def address(self) -> str:
        return self.client[0] if self.client else ""


def most_connections() -> int:
    """Returns `CONNECTIONS`, or less if the process may open too few files."""
    try:
        import resource
    except ModuleNotFoundError:
        return CONNECTIONS
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return CONNECTIONS if files < 0 else max(16, min(CONNECTIONS, files - 128))
