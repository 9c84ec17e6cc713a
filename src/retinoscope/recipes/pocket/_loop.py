"""The optimisation loop of every stage: schedule, progress, checkpoints, resuming.

A step's batch depends on (seed, batches, step) alone, so a stage resumed from its checkpoint sees
the batches that it would have seen without interruption.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ...errors import InputError
from ...signals import held_signals
from ._config import Stage

_TIMED = (10, 30)
"""First and last of the steps that are timed to set the length of a stage given in seconds."""

Report = Callable[[str, int, int, float], None]
"""Called as report(stage name, step, steps, smoothed loss)."""


def optimise(
    name: str,
    stage: Stage,
    modules: dict[str, nn.Module],
    loss_at: Callable[[np.random.Generator], Tensor],
    *,
    seed: int,
    work: Path,
    report: Report,
    batches: str | None = None,
    checkpoint_seconds: float = 60.0,
    seconds: float | None = None,
    after: Callable[[int], None] | None = None,
    read_every: int = 1,
) -> None:
    """Trains `modules` in place for one stage, or resumes from its checkpoint in `work`.

    Ctrl-C, SIGTERM and SIGHUP let the current step finish and write a checkpoint; a second Ctrl-C
    does not.

    Args:
        name: name of the stage and its files.
        stage: steps, batch size and learning rate.
        modules: the trained modules, by name.
        loss_at: draws a batch with the given generator and returns its loss.
        seed: seed of the batches.
        work: folder for checkpoints.
        report: called with the progress whenever the loss is read.
        batches: part of the seed of the batches: stages with the same one see the same batches. The
            name by default.
        checkpoint_seconds: time between checkpoints.
        seconds: approximate duration of the stage; replaces its number of steps, which is then set
            from the speed of the first ones (and kept in the checkpoint).
        after: called after each step with the number of steps done; may update `modules` further.
        read_every: number of steps between readings of the loss, each of which waits for the device
            and may write a checkpoint.

    Raises:
        KeyboardInterrupt: one of these signals arrived; the same call resumes after that step.
        InputError: the checkpoint is that of a stage of another length.
    """
    trainer = _Trainer(modules, stage, work / f"{name}.safetensors")
    step, steps = trainer.restore()
    if steps is not None and steps != stage.steps:
        if seconds is None:
            raise InputError(
                f"expected a checkpoint of {stage.steps} steps in {work}, got one of {steps}: "
                "choose another work folder, or remove this one"
            )
        stage = stage.lasting(steps)
    pace = None if seconds is None or steps is not None else _Pace(seconds, step)
    smoothed = _Smoothed(0.98**read_every)
    stop = False
    with held_signals() as ended:
        while not stop and (step < stage.steps or pace is not None):
            if pace is not None and (n_steps := pace.steps(step)) is not None:
                stage, pace = stage.lasting(n_steps), None
            loss = loss_at(np.random.default_rng([seed, *(batches or name).encode(), step]))
            trainer.descend(loss, stage.lr * _schedule(step, stage))
            step += 1
            if after is not None:
                after(step)
            known = None if pace is not None else stage.steps
            # Read once: a signal that arrives later waits for the next step.
            stop = ended()
            if step % read_every and step != known and not stop:
                continue
            report(name, step, known or stage.steps, smoothed.after(loss.item()))
            if stop or step == known or trainer.unsaved_seconds > checkpoint_seconds:
                trainer.save(step, known)


class _Smoothed:
    """A running mean in which every new value has the weight 1 - `kept`."""

    def __init__(self, kept: float) -> None:
        self._kept, self._mean = kept, math.nan

    def after(self, value: float) -> float:
        """Adds `value` and returns the mean."""
        first = math.isnan(self._mean)
        self._mean = value if first else self._kept * self._mean + (1 - self._kept) * value
        return self._mean


class _Trainer:
    """The trained modules, their optimizer, and the checkpoint of both."""

    def __init__(self, modules: dict[str, nn.Module], stage: Stage, path: Path) -> None:
        self._modules, self._path, self._saved = modules, path, time.monotonic()
        self._parameters = [p for module in modules.values() for p in module.parameters()]
        decay = [p for p in self._parameters if p.ndim > 1]
        rest = [p for p in self._parameters if p.ndim <= 1]
        groups = [
            {"params": decay, "weight_decay": stage.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]
        fused = bool(self._parameters) and self._parameters[0].is_cuda
        self._optimizer = torch.optim.AdamW(groups, lr=stage.lr, betas=(0.9, 0.98), fused=fused)
        self._numbered = [*decay, *rest]

    def descend(self, loss: Tensor, rate: float) -> None:
        """Takes one step at this learning rate, with the gradients' norm clipped to 1."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()

    @property
    def unsaved_seconds(self) -> float:
        """Time since the last checkpoint."""
        return time.monotonic() - self._saved

    def save(self, step: int, steps: int | None) -> None:
        """Writes a checkpoint with the steps done and, if known, the length of the stage."""
        tensors: dict[str, Tensor] = {}
        for name, module in self._modules.items():
            for key, value in module.state_dict().items():
                tensors[f"module/{name}/{key}"] = value.detach().clone()
        for number, parameter in enumerate(self._numbered):
            for key, value in self._optimizer.state[parameter].items():
                tensors[f"optimizer/{number}/{key}"] = value.detach().clone()
        unfinished = self._path.with_suffix(".tmp")
        metadata = {"step": str(step)} | ({} if steps is None else {"steps": str(steps)})
        save_file(tensors, unfinished, metadata=metadata)
        os.replace(unfinished, self._path)
        self._saved = time.monotonic()

    def restore(self) -> tuple[int, int | None]:
        """Restores the checkpoint; returns the steps done and, if known, the stage's length."""
        if not self._path.is_file():
            return 0, None
        with safe_open(self._path, "pt") as file:
            metadata = file.metadata() or {}
            step = int(metadata["step"])
            steps = int(metadata["steps"]) if "steps" in metadata else None
            keys = list(file.keys())
            for name, module in self._modules.items():
                start = f"module/{name}/"
                own = [key for key in keys if key.startswith(start)]
                module.load_state_dict({key[len(start) :]: file.get_tensor(key) for key in own})
            for key in keys:
                if key.startswith("optimizer/"):
                    _, number, entry = key.split("/")
                    parameter = self._numbered[int(number)]
                    value = file.get_tensor(key)
                    # A non-fused optimizer counts its steps on the CPU.
                    counted = entry == "step" and not self._optimizer.defaults.get("fused")
                    place = value.device if counted else parameter.device
                    self._optimizer.state[parameter][entry] = value.to(place)
        return step, steps


class _Pace:
    """Sets the length of a stage from the speed of steps `_TIMED` after `first`."""

    def __init__(self, seconds: float, first: int) -> None:
        self._seconds, self._first = seconds, first
        self._began = time.monotonic()

    def steps(self, step: int) -> int | None:
        """Returns the length once it is known; called before every step."""
        since = step - self._first
        if since == _TIMED[0]:
            self._began = time.monotonic()
        if since < _TIMED[1]:
            return None
        speed = (_TIMED[1] - _TIMED[0]) / (time.monotonic() - self._began)
        return step + max(1, int(self._seconds * speed))


def _schedule(step: int, stage: Stage) -> float:
    if step < stage.warmup:
        return (step + 1) / stage.warmup
    done = (step - stage.warmup) / max(1, stage.steps - stage.warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))
