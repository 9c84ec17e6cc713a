"""Workers that a study or a reproduction is spread over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from ._loading import Loading, load_model, quiet

if TYPE_CHECKING:
    from ..data import Sample
    from ..engine import VLM
    from ..scale import RayWorkers


def _load_on_worker(model: str, loading: Loading) -> VLM:
    import torch

    quiet()
    if loading.device is None and loading.device_map is None and torch.cuda.is_available():
        loading = replace(loading, device="cuda")
    return load_model(model, loading)


@contextmanager
def workers_of(
    model: str,
    samples: Callable[[], Sequence[Sample]],
    *,
    loading: Loading,
    scale: Literal["ray"] | None,
    workers: int | None,
    gpus: float | None,
) -> Iterator[RayWorkers | None]:
    """The workers that the options ask for, which open `samples` themselves; or None."""
    if scale is None:
        for name, given in (("workers", workers), ("gpus", gpus)):
            if given is not None:
                from ..errors import InputError

                raise InputError(f"--{name} says how to spread a study: it needs --scale ray")
        yield None
        return
    from ..scale import RayWorkers

    with RayWorkers(
        partial(_load_on_worker, model, loading),
        samples,
        workers=workers,
        gpus=0 if loading.device == "cpu" else gpus,
    ) as replicas:
        yield replicas
