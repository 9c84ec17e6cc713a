"""The model's thread: turns, limits, late and leaving clients."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from retinoscope.viewer._worker import BusyError, LateError, LeftError, ModelWorker


@pytest.fixture
def worker() -> Iterator[ModelWorker]:
    found = ModelWorker(per_client=4, in_all=8)
    yield found
    found.close()


def blocked(worker: ModelWorker, client: str = "first") -> threading.Event:
    """Occupies the thread until the event is set."""
    gate, begun = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        gate.wait(10)

    worker.submit(client, wait)
    assert begun.wait(5)
    return gate


def test_clients_take_turns(worker: ModelWorker) -> None:
    gate = blocked(worker)
    order: list[str] = []
    futures = [
        worker.submit(client, lambda name=f"{client}{k}": order.append(name))
        for client in ("greedy", "b", "c")
        for k in range(3 if client == "greedy" else 1)
    ]
    gate.set()
    for future in futures:
        future.result(5)
    assert order == ["greedy0", "b0", "c0", "greedy1", "greedy2"]


def test_a_client_has_its_share_of_the_queue_and_all_have_theirs(worker: ModelWorker) -> None:
    gate = blocked(worker)
    for _ in range(4):
        worker.submit("a", lambda: None)
    with pytest.raises(BusyError, match="your earlier") as error:
        worker.submit("a", lambda: None)
    assert error.value.client
    for k in range(4):
        worker.submit(f"other{k}", lambda: None)
    with pytest.raises(BusyError, match="the model is") as error:
        worker.submit("new", lambda: None)
    assert not error.value.client
    gate.set()


def test_late_work_is_taken_out_of_the_queue(worker: ModelWorker) -> None:
    gate, done = blocked(worker), []
    with pytest.raises(LateError, match=r"within 0\.1 seconds"):
        asyncio.run(worker.run("a", lambda: done.append(1), timeout=0.1))
    gate.set()
    worker.submit("a", lambda: None).result(5)
    assert done == []


def test_work_of_a_client_that_left_is_taken_out(worker: ModelWorker) -> None:
    gate, done = blocked(worker), []

    async def gone() -> bool:
        return True

    with pytest.raises(LeftError):
        asyncio.run(worker.run("a", lambda: done.append(1), timeout=30, gone=gone))
    gate.set()
    worker.submit("a", lambda: None).result(5)
    assert done == []


def test_an_error_reaches_its_client_and_the_thread_goes_on(worker: ModelWorker) -> None:
    def fail() -> None:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        asyncio.run(worker.run("a", fail, timeout=5))
    assert asyncio.run(worker.run("a", lambda: 7, timeout=5)) == 7


def test_closing_cancels_what_waits() -> None:
    worker = ModelWorker()
    gate = blocked(worker)
    future = worker.submit("a", lambda: None)
    worker.close()
    gate.set()
    assert future.cancelled()
    with pytest.raises(BusyError):
        worker.submit("a", lambda: None)
    end = time.monotonic() + 5
    while worker._thread.is_alive() and time.monotonic() < end:
        time.sleep(0.01)
    assert not worker._thread.is_alive()
