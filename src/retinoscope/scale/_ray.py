"""`RayWorkers`: model replicas as actors, samples as tasks, lost workers restarted."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..errors import InputError, MissingExtraError, RetinoscopeError, StudyError
from ..studies import Outcome, Unit, describe
from ._cluster import connect
from ._worker import Load, Open, RemoteModel, Worker

if TYPE_CHECKING:
    from ..studies import Readable, Study


class RayWorkers:
    """Evaluates a study's samples on a Ray cluster. Use it in a `with` block.

    It joins the cluster that `address` or the environment (RAY_ADDRESS) names, or one running on
    this machine, or else starts one here and ends it afterwards. Every worker loads the model and
    opens the data itself, and each sample is checked against this process's fingerprint.

    Ray restarts a worker that is lost (killed, out of memory, its machine gone), and its sample is
    evaluated again. A sample that has cost `tries` workers becomes a row with its error.

    Args:
        load: loads the model on a worker, such as `partial(retinoscope.load, "pocket")`.
        samples: opens the data on a worker, such as `partial(open_source, "coco:/data/coco")`.
        workers: the number of workers; by default as many as the cluster has room for.
        gpus: per worker; by default 1 if the cluster has any, else 0. More than 1 for a model that
            `load` spreads over several.
        threads: torch threads on a worker's CPU; by default as in this process, for equal bytes.
        address: of the cluster.
        tries: the number of workers that one sample may cost.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: the cluster has no room for a worker, or an argument is out of range.
    """

    def __init__(
        self,
        load: Load,
        samples: Open,
        *,
        workers: int | None = None,
        gpus: float | None = None,
        threads: int | None = None,
        address: str | None = None,
        tries: int = 3,
    ) -> None:
        try:
            import ray  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise MissingExtraError("ray", "scale") from None
        import torch

        for name, value in (("workers", workers), ("threads", threads), ("tries", tries)):
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")
        if gpus is not None and gpus < 0:
            raise InputError(f"gpus must be 0 or more, got {gpus}")
        self._ray: Any = ray
        self._threads = threads or torch.get_num_threads()
        self._workers: list[Any] = []
        self._started = connect(ray, address)
        if gpus is None:
            gpus = min(1, ray.cluster_resources().get("GPU", 0))
        self._needs = {"num_cpus": self._threads if not gpus else 1, "num_gpus": gpus}
        try:
            self._most = self._room(workers)
        except InputError:
            self.close()
            raise
        self._kind: Any = ray.remote(Worker).options(
            **self._needs, max_restarts=-1, max_task_retries=tries - 1
        )
        self._given = (load, samples, self._threads, os.getcwd())
        self._tries = tries
        self._pids: dict[Any, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that have returned results, on any machine."""
        return list(self._pids.values())

    def model(self) -> RemoteModel:
        """The model as loaded by the first worker, for `Study(vlm, ...)`.

        Raises:
            InputError, CapabilityError: what `retinoscope.load` raises.
            StudyError: workers are lost before they are ready.
        """
        self._start(1)
        return self._ready(self._workers[0].describe.remote())

    def outcomes(
        self,
        study: Study[Any],
        readable: Readable,
        expected: Mapping[Unit, str | None],
        tell: Callable[[str], None],
    ) -> Generator[tuple[Unit, Outcome], None, None]:
        """See `retinoscope.studies.Executor`; units come in the order in which they finish.

        Raises:
            StudyError: workers are lost before they are ready, or a worker's model or data differ
                from this process's.
        """
        ray = self._ray
        self._start(min(self._most, max(len(expected), 1)))
        # Neither the model nor the data is sent; each worker puts its own in place.
        bare, prints = replace(study, vlm=None, samples=()), tuple(readable.prints)
        measured = self._ready(self._workers[0].measure.remote(bare, prints))
        plan = [ray.put((bare, prints, measured, describe(study.studied()[0])[1:3]))]
        # One unit at a time per worker: Ray counts a lost worker against all of its tasks.
        todo, idle, busy = deque(expected), self._workers[::-1], {}
        while todo or busy:
            while todo and idle:
                worker, unit = idle.pop(), todo.popleft()
                fingerprint = prints[unit] if isinstance(unit, int) else None
                busy[worker.evaluate.remote(plan, unit, fingerprint)] = worker, unit
            (done,), _ = ray.wait(list(busy), num_returns=1)
            worker, unit = busy.pop(done)
            idle.append(worker)
            try:
                self._pids[worker], outcome = self._get(done)
            except ray.exceptions.RayActorError:
                # If the worker cannot even load the model, the unit is not to blame.
                self._ready(worker.describe.remote())
                error = StudyError(f"{self._tries} workers were lost while they evaluated it")
                name = f"sample {unit}" if isinstance(unit, int) else str(unit)
                outcome = study.failed(name, error)
            yield unit, outcome

    def _start(self, n: int) -> None:
        """Starts workers up to `n`. Ray restarts a lost one and gives it its task again."""
        for _ in range(n - len(self._workers)):
            self._workers.append(self._kind.remote(*self._given))

    def _ready(self, reference: Any) -> Any:
        """Waits for a result needed before any sample; raises StudyError if workers are lost."""
        try:
            return self._get(reference)
        except self._ray.exceptions.RayActorError as error:
            text = " ".join(str(error).split())[:300]
            raise StudyError(
                f"{self._tries} workers were lost before they were ready ({text}); what is "
                "finished is kept: check their memory, then run the same command again"
            ) from error

    def _get(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, RetinoscopeError):
                raise error.cause from None
            raise

    def close(self) -> None:
        """Ends the workers, and the cluster if it was started here."""
        for worker in self._workers:
            self._ray.kill(worker)
        self._workers.clear()
        if self._started:
            self._ray.shutdown()
            self._started = False

    def _room(self, workers: int | None) -> int:
        have = self._ray.cluster_resources()
        fits = have.get("CPU", 0) // self._needs["num_cpus"]
        if self._needs["num_gpus"]:
            fits = min(fits, have.get("GPU", 0) // self._needs["num_gpus"])
        if fits < 1:
            raise InputError(
                f"expected a cluster with room for a worker of {self._needs['num_cpus']} CPUs and "
                f"{self._needs['num_gpus']:g} GPUs, got {have.get('CPU', 0):g} CPUs and "
                f"{have.get('GPU', 0):g} GPUs: give fewer threads or another device"
            )
        return int(fits) if workers is None else workers
