"""Jobs that are spread over processes, or done here where there is one only."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable

import pytest

from retinoscope.recipes._processes import spread
from retinoscope.recipes.pocket._bank import _draw_chunk
from retinoscope.recipes.smol._rows import _chunk


def test_results_come_in_the_order_of_jobs() -> None:
    with spread(math.factorial, [5, 1, 3]) as results:
        assert list(results) == [120, 1, 6]


def test_a_single_job_is_done_here() -> None:
    with spread(lambda job: job + 1, [1]) as results:
        assert list(results) == [2]
    with spread(math.factorial, []) as results:
        assert list(results) == []


@pytest.mark.parametrize("work", [_draw_chunk, _chunk])
def test_work_reaches_another_process(work: Callable[..., object]) -> None:
    assert pickle.loads(pickle.dumps(work)) is work
