"""The workers over which a study or a reproduction is distributed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from ._loading import Loading, Opened, load_model, quiet

if TYPE_CHECKING:
    from ..data import Sample
    from ..scale import RayWorkers


def _load_on_worker(model: str, loading: Loading, opened: Opened) -> Any:
    quiet()
    return opened(model, loading, True)


@contextmanager
def workers_of(
    model: str,
    samples: Callable[[], Sequence[Sample]],
    *,
    loading: Loading,
    scale: Literal["ray"] | None,
    workers: int | None,
    gpus: float | None,
    opened: Opened = load_model,
) -> Iterator[RayWorkers | None]:
    """Starts the workers that the options ask for, which open `samples` themselves; or none."""
    if scale is None:
        for name, given in (("workers", workers), ("gpus", gpus)):
            if given is not None:
                from ..errors import InputError

                raise InputError(f"--{name} is for a distributed study: it needs --scale ray")
        yield None
        return
    from ..scale import RayWorkers

    with RayWorkers(
        partial(_load_on_worker, model, loading, opened),
        samples,
        workers=workers,
        gpus=0 if loading.device == "cpu" else gpus,
    ) as replicas:
        yield replicas
