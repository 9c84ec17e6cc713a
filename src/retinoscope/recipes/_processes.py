"""Work that is spread over the machine's processors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


@contextmanager
def spread(work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Iterator[Result]]:
    """Yields the results of `work` on each of `jobs`, in their order.

    A single job is done here: a process takes seconds to start.
    """
    if len(jobs) < 2:
        yield map(work, jobs)
        return
    processes = min(len(jobs), os.cpu_count() or 1)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield pool.map(work, jobs)
