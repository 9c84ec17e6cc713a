"""Memory budgets: parsed, measured, and halved where they prove too large."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from .arguments import whole
from .errors import InputError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
_SHARE = 0.5
"""The share of the free memory that one batch may take."""


def budget(memory: str | int | None, device: torch.device) -> int:
    """The number of bytes that one batch may take.

    Args:
        memory: such as "4GB" or "512MiB", a number of bytes, or None for half of what is free.

    Raises:
        InputError: not an amount of memory.
    """
    if memory is None:
        return int(_free(device) * _SHARE)
    # A number counts bytes; fractions and booleans are refused.
    text = memory if isinstance(memory, str) else str(whole(memory, "the bytes of memory"))
    parts = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]I?)?B?\s*", text.upper())
    amount = int(float(parts[1]) * _UNITS[parts[2] or ""]) if parts else 0
    if amount < 1:
        raise InputError(f"expected an amount of memory such as '4GB', got {memory!r}")
    return amount


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return int(psutil.virtual_memory().available)


def free_memory() -> None:
    """Returns unused memory to the system or device, after an allocation has failed."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on any device."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def in_batches(
    items: Sequence[int],
    cost: Callable[[int], int],
    limit: int,
    work: Callable[[Sequence[int]], T],
    most: int | None = None,
) -> list[T]:
    """Calls `work` on consecutive items, as many at a time as fit into `limit`.

    A batch that runs out of memory is halved, and later batches stay as small. A single item is
    always tried.

    Args:
        cost: the number of bytes that an item takes.
        most: the largest number of items in a batch.
    """
    done: list[T] = []
    start = 0
    while start < len(items):
        stop, taken = start + 1, cost(items[start])
        while stop < len(items) and (most is None or stop - start < most):
            taken += cost(items[stop])
            if taken > limit:
                break
            stop += 1
        try:
            done.append(work(items[start:stop]))
        except (RuntimeError, MemoryError) as error:
            if stop - start == 1 or not is_out_of_memory(error):
                raise
            most = (stop - start) // 2
            continue
        start = stop
    return done
