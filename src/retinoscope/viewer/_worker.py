"""A thread that holds the model, and a queue that serves the clients in turn."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

PER_CLIENT, IN_ALL = 8, 512
POLL = 0.2


class BusyError(Exception):
    """The queue is full; `client` is true if it is this client's own part."""

    def __init__(self, client: bool) -> None:
        whose = "your earlier requests are" if client else "the model is"
        super().__init__(f"{whose} still being worked on: wait for an answer, then try again")
        self.client = client


class LateError(Exception):
    """There was no answer in time."""


class LeftError(Exception):
    """The client went away."""


class ModelWorker:
    """Runs work in one thread: clients take turns, each client's own work runs in order.

    Args:
        per_client: maximum length of one client's queue.
        in_all: maximum length of all queues together.
    """

    def __init__(self, per_client: int = PER_CLIENT, in_all: int = IN_ALL) -> None:
        self._per_client, self._in_all = per_client, in_all
        self._queues: OrderedDict[str, deque[tuple[Future[Any], Callable[[], Any]]]] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    def submit(self, client: str, work: Callable[[], T]) -> Future[T]:
        """Queues `work` for `client`; raises BusyError if there is no room."""
        future: Future[T] = Future()
        with self._changed:
            queue = self._queues.get(client)
            if queue is not None and len(queue) >= self._per_client:
                raise BusyError(client=True)
            if self._closed or sum(map(len, self._queues.values())) >= self._in_all:
                raise BusyError(client=False)
            self._queues.setdefault(client, deque()).append((future, work))
            self._changed.notify()
        return future

    async def run(
        self,
        client: str,
        work: Callable[[], T],
        timeout: float,
        gone: Callable[[], Awaitable[bool]] | None = None,
    ) -> T:
        """Queues `work` and waits for its result.

        Work that is late or whose client left is taken out of the queue or, if it has started,
        finished and discarded.

        Args:
            client: the client whose queue is used.
            work: called in the model's thread.
            timeout: maximum seconds to wait.
            gone: returns whether the client has left.

        Raises:
            BusyError: there is no room in the queue.
            LateError: there was no answer in time.
            LeftError: the client left.
        """
        future = self.submit(client, work)
        waiting = asyncio.wrap_future(future)
        end = asyncio.get_running_loop().time() + timeout
        try:
            while True:
                left = end - asyncio.get_running_loop().time()
                done, _ = await asyncio.wait({waiting}, timeout=max(0.0, min(left, POLL)))
                if done:
                    return waiting.result()
                if left <= 0:
                    raise LateError(
                        f"no answer within {timeout:g} seconds: the model is busy or slow; try "
                        "again, or start the server with a larger --timeout"
                    )
                if gone is not None and await gone():
                    raise LeftError
        finally:
            if not waiting.done():
                future.cancel()

    def close(self) -> None:
        """Stops the thread after its current work; cancels what is queued."""
        with self._changed:
            self._closed = True
            for queue in self._queues.values():
                for future, _ in queue:
                    future.cancel()
            self._queues.clear()
            self._changed.notify()

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._changed:
            while not self._queues:
                if self._closed:
                    return None
                self._changed.wait()
            client, queue = self._queues.popitem(last=False)
            item = queue.popleft()
            if queue:
                # To the end, so that the other clients come first.
                self._queues[client] = queue
            return item

    def _work(self) -> None:
        while (item := self._next()) is not None:
            future, work = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            # Do not hold the result until the next request comes: a run can take gigabytes.
            del item, work, future
