"""Memory budgets."""

from __future__ import annotations

import pytest
import torch

from retinoscope import InputError, memory

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("text", "number"),
    [("4GB", 4 * 10**9), ("1.5 GiB", 3 * 2**29), ("500kb", 500_000), ("12", 12), (7, 7)],
)
def test_amounts(text: str | int, number: int) -> None:
    assert memory.budget(text, CPU) == number


@pytest.mark.parametrize("text", ["", "much", "4 TBs", "-1GB", 0, "GB"])
def test_what_is_no_amount_is_refused(text: str | int) -> None:
    with pytest.raises(InputError, match="'4GB'"):
        memory.budget(text, CPU)


def test_without_an_amount_it_is_measured() -> None:
    assert memory.budget(None, CPU) > 2**20


def test_batches_keep_to_the_limit_and_the_order() -> None:
    done = memory.in_batches([3, 1, 2, 9, 1], lambda one: one, 5, list)
    assert done == [[3, 1], [2], [9], [1]]
    assert memory.in_batches(range(5), lambda one: 0, 5, list, most=2) == [[0, 1], [2, 3], [4]]


def test_a_batch_that_does_not_fit_is_halved() -> None:
    tried: list[int] = []

    def work(items: list[int]) -> list[int]:
        tried.append(len(items))
        if len(items) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")
        return list(items)

    done = memory.in_batches(list(range(9)), lambda one: 0, 1, work)
    assert [one for part in done for one in part] == list(range(9))
    assert tried[:3] == [9, 4, 2]


def test_other_failures_and_single_items_are_not_hidden() -> None:
    def fail(items: list[int]) -> None:
        raise RuntimeError("another fault")

    def full(items: list[int]) -> None:
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(RuntimeError, match="another fault"):
        memory.in_batches([1, 2], lambda one: 0, 1, fail)
    with pytest.raises(torch.OutOfMemoryError):
        memory.in_batches([1, 2], lambda one: 0, 1, full)
