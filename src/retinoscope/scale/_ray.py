"""`RayWorkers`: model replicas as actors, samples as tasks, lost workers replaced."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..errors import InputError, MissingExtraError, RetinoscopeError, StudyError
from ..studies import Outcome, Unit
from ._cluster import connect
from ._worker import Load, Open, RemoteModel, Worker

if TYPE_CHECKING:
    from ..studies import Readable, Study

AHEAD = 2
"""Units that a worker has at a time: one in work, the next one waiting."""


@dataclass(eq=False)
class _Actor:
    """A worker as the writing process sees it.

    Attributes:
        ready: reference to `Worker.describe`, until it has answered.
        queue: its units with their references, the one in work first.
    """

    handle: Any
    ready: Any
    model: RemoteModel | None = None
    pid: int | None = None
    queue: deque[tuple[Any, Unit]] = field(default_factory=deque)


class RayWorkers:
    """Evaluates a study's samples on a Ray cluster. Use it in a `with` block.

    It joins the cluster that `address` or the environment (RAY_ADDRESS) names, or one that runs on
    this machine, or starts one here and ends it afterwards. Every worker loads the model and opens
    the data by itself, and each sample is checked against the fingerprint that this process took.

    A worker that is lost (killed, out of memory, its machine gone) is replaced, and its samples are
    evaluated anew. A sample that has cost `tries` workers becomes a row with its error.

    Args:
        load: loads the model on a worker, such as `partial(retinoscope.load, "pocket")`.
        samples: opens the data on a worker, such as `partial(open_source, "coco:/data/coco")`.
        workers: how many; by default as many as the cluster has room for.
        gpus: of a worker; by default 1 if the cluster has any, else 0. More than 1 for a model that
            `load` spreads over several.
        threads: of torch on a worker's CPU; by default as in this process, for equal bytes.
        address: of the cluster.
        tries: workers that one sample may cost.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: the cluster has no room for one worker, or an argument is out of range.
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
        self._started = connect(ray, address)
        if gpus is None:
            gpus = min(1, ray.cluster_resources().get("GPU", 0))
        self._needs = {"num_cpus": self._threads if not gpus else 1, "num_gpus": gpus}
        self._most = self._room(workers)
        self._kind: Any = ray.remote(Worker).options(**self._needs)
        self._given = (load, samples, self._threads, os.getcwd())
        self._tries = tries
        self._actors: list[_Actor] = []

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
        """Process ids of the workers that have loaded the model, on whatever machine."""
        return [actor.pid for actor in self._actors if actor.pid is not None]

    def model(self) -> RemoteModel:
        """The model as the first worker has loaded it, for `Study(vlm, ...)`.

        Raises:
            InputError, CapabilityError: as `retinoscope.load`.
            StudyError: workers are lost before they are ready.
        """
        model = self._first().model
        assert model is not None
        return model

    def outcomes(
        self,
        study: Study[Any],
        readable: Readable,
        expected: Mapping[Unit, str | None],
        tell: Callable[[str], None],
    ) -> Generator[tuple[Unit, Outcome], None, None]:
        """See `retinoscope.studies.Executor`; units come in the order in which they are done.

        Raises:
            StudyError: workers are lost before they are ready, or one has another model or other
                data than this process.
        """
        ray = self._ray
        # Neither the model nor the data travels; a worker puts its own in place.
        bare = ray.put(replace(study, vlm=None, samples=()))
        prints = ray.put(tuple(readable.prints))
        measured = self._measured(bare, prints)
        todo, lost, lost_early = deque(expected), Counter[Unit](), 0
        for _ in range(min(self._most, len(todo)) - len(self._actors)):
            self._start()
        for actor in self._actors:
            actor.handle.prepare.remote(bare, prints, measured)
        while todo or any(actor.queue for actor in self._actors):
            self._hand_out(todo, readable.prints)
            actor, result = self._next()
            if isinstance(result, Exception):
                samples = [unit for _, unit in actor.queue]
                self._drop(actor)
                lost_early += not samples
                if lost_early >= self._tries:
                    raise _lost_early(self._tries, result) from result
                lost.update(samples[:1])
                if samples and lost[samples[0]] >= self._tries:
                    yield samples[0], _lost_unit(study, samples.pop(0), self._tries)
                todo.extendleft(reversed(samples))
                self._start().handle.prepare.remote(bare, prints, measured)
            elif actor.ready is not None:
                lost_early = 0
                self._welcome(actor, result, study)
            else:
                yield actor.queue.popleft()[1], result

    def _hand_out(self, todo: deque[Unit], prints: Sequence[str]) -> None:
        for _ in range(AHEAD):
            for actor in self._actors:
                if actor.ready is None and todo and len(actor.queue) < AHEAD:
                    unit = todo.popleft()
                    print_ = prints[unit] if isinstance(unit, int) else None
                    task = actor.handle.evaluate.remote(unit, print_)
                    actor.queue.append((task, unit))

    def _next(self) -> tuple[_Actor, Any]:
        """The next worker that is done, and its result; an exception if it is lost."""
        busy = {
            actor.queue[0][0] if actor.ready is None else actor.ready: actor
            for actor in self._actors
            if actor.ready is not None or actor.queue
        }
        (done,), _ = self._ray.wait(list(busy), num_returns=1)
        try:
            return busy[done], self._get(done)
        except self._ray.exceptions.RayActorError as error:
            return busy[done], error

    def _get(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, RetinoscopeError):
                raise error.cause from None
            raise

    def _start(self) -> _Actor:
        handle = self._kind.remote(*self._given)
        actor = _Actor(handle, handle.describe.remote())
        self._actors.append(actor)
        return actor

    def _drop(self, actor: _Actor) -> None:
        self._actors.remove(actor)
        # One that only cannot be reached must not go on beside its successor.
        self._ray.kill(actor.handle)

    def _first(self) -> _Actor:
        """A worker that has loaded the model."""
        for left in reversed(range(self._tries)):
            actor = self._actors[0] if self._actors else self._start()
            try:
                if actor.ready is not None:
                    actor.model, actor.pid = self._get(actor.ready)
                    actor.ready = None
                return actor
            except self._ray.exceptions.RayActorError as error:
                self._drop(actor)
                if not left:
                    raise _lost_early(self._tries, error) from error
        raise AssertionError

    def _measured(self, bare: Any, prints: Any) -> Any:
        """A reference to what the study measures over all samples, taken by one worker."""
        for left in reversed(range(self._tries)):
            actor = self._first()
            try:
                # Fetched and put again: an object of the worker's would be lost with it.
                return self._ray.put(self._get(actor.handle.measure.remote(bare, prints)))
            except self._ray.exceptions.RayActorError as error:
                self._drop(actor)
                if not left:
                    raise _lost_early(self._tries, error) from error
        raise AssertionError

    def _welcome(self, actor: _Actor, found: tuple[RemoteModel, int], study: Study[Any]) -> None:
        actor.model, actor.pid = found
        actor.ready = None
        ours = (study.vlm.fingerprint, str(study.vlm.dtype))
        theirs = (actor.model.fingerprint, str(actor.model.dtype))
        if theirs != ours:
            raise StudyError(
                f"a worker loaded other weights ({', '.join(theirs)}) than the run was started "
                f"with ({', '.join(ours)}): give all machines the same files"
            )

    def close(self) -> None:
        """Ends the workers, and the cluster if it was started here."""
        for actor in self._actors:
            self._ray.kill(actor.handle)
        self._actors.clear()
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
                f"{self._needs['num_gpus']:g} GPUs, got one of {have.get('CPU', 0):g} CPUs and "
                f"{have.get('GPU', 0):g} GPUs: give fewer threads or another device"
            )
        return int(fits) if workers is None else workers


def _lost_early(tries: int, error: Exception) -> StudyError:
    text = " ".join(str(error).split())[:300]
    return StudyError(
        f"{tries} workers were lost before they were ready ({text}); what is finished is kept: "
        "look at their memory, then the same command goes on"
    )


def _lost_unit(study: Study[Any], unit: Unit, tries: int) -> Outcome:
    error = StudyError(f"{tries} workers were lost while they evaluated it")
    return study.failed(f"sample {unit}" if isinstance(unit, int) else str(unit), error)
