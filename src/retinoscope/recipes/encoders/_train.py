"""Training of the comparison: scenes, one job per objective and seed, and the packed folder."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import nn

from ...arguments import whole
from ...device import device_of
from ...encoders.comparison import ALIASES, OBJECTIVES
from ...encoders.packed import half_weights, pack
from ...encoders.small_tower import build_tower
from ...errors import InputError, StudyError
from ...signals import stopped_by_signals
from ...store import write_bytes
from ..pocket import Report, claim, optimise
from ._config import EncoderRecipe
from ._objectives import training_for
from ._pairs import Pairs, open_pairs

_READ_EVERY = 20
_CHECKPOINT_SECONDS = 60.0
Jobs = Sequence[tuple[str, int]]


@stopped_by_signals()
def train_encoders(
    work: Path,
    out: Path,
    *,
    objectives: Sequence[str] = tuple(OBJECTIVES),
    seeds: int = 3,
    recipe: EncoderRecipe | None = None,
    device: str | torch.device = "cpu",
    processes: int = 1,
    report: Report,
) -> list[Path]:
    """Trains `seeds` encoders for each of `objectives` and writes them to `out`.

    An objective that starts from another's encoder trains that one too. On a GPU, matrix products
    are computed in bfloat16; weights are kept in float32 and written in float16.

    Args:
        work: folder for scenes, checkpoints and finished jobs; a later call resumes from it.
        out: folder for the finished encoders: a few files below 16 MB each and encoders.json.
        objectives: names from `OBJECTIVES`.
        seeds: number of seeds, counted from 0.
        recipe: sizes and budget; those of the packaged encoders by default.
        device: "cpu" or "cuda".
        processes: number of processes that train in parallel, each with its share of the seeds.
        report: called with the progress of every stage.

    Returns:
        The files written.

    Raises:
        InputError: an objective is unknown, `seeds` or `processes` is below 1, the device is not
            available, or `work` belongs to another recipe.
        StudyError: a training process died.
    """
    recipe = recipe or EncoderRecipe()
    chosen = with_starts(objectives)
    place = device_of(device)
    whole(seeds, "seeds", 1)
    whole(processes, "processes", 1)
    claim(work, asdict(recipe))
    for grounded in sorted({OBJECTIVES[name].grounded for name in chosen}):
        _opened(work, recipe, grounded, torch.device("cpu"), report)
    done = work / "done"
    done.mkdir(parents=True, exist_ok=True)
    jobs = [(name, seed) for seed in range(seeds) for name in chosen]
    waiting = [(n, s) for n, s in jobs if not (done / f"{n}-{s}.safetensors").exists()]
    if processes == 1 or len({seed for _, seed in waiting}) < 2:
        _train_jobs(waiting, work, recipe, place, report)
    else:
        shares = [[job for job in waiting if job[1] % processes == k] for k in range(processes)]
        _in_processes([share for share in shares if share], work, recipe, place, report)
    facts = {
        "recipe": asdict(recipe),
        "objectives": {name: asdict(OBJECTIVES[name]) for name in chosen},
        "trained": {f"{n}-{s}": json.loads((done / f"{n}-{s}.json").read_text()) for n, s in jobs},
    }
    ordered = sorted(jobs, key=lambda job: (job[1], chosen.index(job[0])))
    encoders = ((n, s, load_file(done / f"{n}-{s}.safetensors")) for n, s in ordered)
    return pack(out, recipe.sizes, encoders, facts)


def with_starts(objectives: Sequence[str]) -> list[str]:
    """Returns the objectives and those that they start from, each after its start.

    Raises:
        InputError: there is none, or one is unknown.
    """
    wanted: set[str] = set()
    for name in objectives:
        name = ALIASES.get(name, name)
        if name not in OBJECTIVES:
            raise InputError(f"expected objectives of {', '.join(OBJECTIVES)}, got {name!r}")
        start = OBJECTIVES[name].start
        wanted |= {name} | ({start} if start else set())
    if not wanted:
        raise InputError(f"expected at least one objective of {', '.join(OBJECTIVES)}, got none")
    return [name for name in OBJECTIVES if name in wanted]


def _train_jobs(
    jobs: Jobs, work: Path, recipe: EncoderRecipe, place: torch.device, report: Report
) -> None:
    sets: dict[bool, Pairs] = {}
    for name, seed in jobs:
        grounded = OBJECTIVES[name].grounded
        if grounded not in sets:
            sets[grounded] = _opened(work, recipe, grounded, place, report)
        _train_one(name, seed, sets[grounded], work, recipe, place, report)


def _train_one(
    name: str,
    seed: int,
    pairs: Pairs,
    work: Path,
    recipe: EncoderRecipe,
    place: torch.device,
    report: Report,
) -> None:
    objective = OBJECTIVES[name]
    done = work / "done"
    tower = build_tower(recipe.sizes, seed)
    if objective.start is not None:
        weights = load_file(done / f"{objective.start}-{seed}.safetensors")
        state = {key.removeprefix("tower/"): value.float() for key, value in weights.items()}
        tower.load_state_dict({key: value for key, value in state.items() if "/" not in key})
    began = time.monotonic()
    last_loss = math.nan
    kept: dict[str, nn.Module] = {"tower": tower}
    if objective.kind != "random":
        training = training_for(objective, tower, recipe.sizes, seed)
        for module in training.modules.values():
            module.to(place).train()
        generator = torch.Generator(place)

        def loss_at(rng: np.random.Generator) -> torch.Tensor:
            batch = pairs.batch(rng, min(recipe.stage.batch, len(pairs)))
            generator.manual_seed(int(rng.integers(2**62)))
            with torch.autocast(place.type, torch.bfloat16, enabled=place.type == "cuda"):
                return training.loss(batch, generator)

        def report_loss(stage: str, step: int, steps: int, loss: float) -> None:
            nonlocal last_loss
            last_loss = loss
            report(stage, step, steps, loss)

        optimise(
            f"{name}-{seed}",
            recipe.stage,
            training.modules,
            loss_at,
            seed=seed,
            work=work,
            report=report_loss,
            after=training.after,
            read_every=_READ_EVERY,
            checkpoint_seconds=_CHECKPOINT_SECONDS,
        )
        kept = training.kept()
    facts = {
        "loss": last_loss if math.isfinite(last_loss) else None,
        "seconds": round(time.monotonic() - began, 1),
        "device": torch.cuda.get_device_name(place) if place.type == "cuda" else place.type,
    }
    write_bytes(done / f"{name}-{seed}.json", json.dumps(facts).encode())
    write_bytes(done / f"{name}-{seed}.safetensors", save(half_weights(kept)))
    (work / f"{name}-{seed}.safetensors").unlink(missing_ok=True)


def _opened(
    work: Path, recipe: EncoderRecipe, grounded: bool, place: torch.device, report: Report
) -> Pairs:
    n = recipe.grounded_scenes if grounded else recipe.scenes
    return open_pairs(
        work, n, grounded=grounded, tokens=recipe.sizes.text_tokens, device=place, report=report
    )


def _in_processes(
    shares: Sequence[Jobs], work: Path, recipe: EncoderRecipe, place: torch.device, report: Report
) -> None:
    context = get_context("spawn")
    messages: Any = context.Queue()
    # Together they use as many threads as this process would.
    threads = max(1, torch.get_num_threads() // len(shares))
    fixed = (work, recipe, str(place), threads, messages)
    workers = [context.Process(target=_work, args=(share, *fixed), daemon=True) for share in shares]
    try:
        for worker in workers:
            worker.start()
        finished = 0
        while finished < len(workers):
            try:
                message = messages.get(timeout=1.0)
            except Empty:
                if any(worker.exitcode not in (None, 0) for worker in workers):
                    raise StudyError(
                        "a training process died; finished jobs and checkpoints are kept: run the "
                        "same command again to resume"
                    ) from None
                continue
            if message is None:
                finished += 1
            elif isinstance(message, str):
                raise StudyError(message)
            else:
                report(*message)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            # A terminated worker finishes its step and writes a checkpoint.
            worker.join(60)
            worker.kill()


def _work(
    jobs: Jobs, work: Path, recipe: EncoderRecipe, place: str, threads: int, messages: Any
) -> None:
    """Trains one process's jobs; the last message is None, or the error's text."""
    try:
        with stopped_by_signals():
            torch.set_num_threads(threads)
            _train_jobs(
                jobs, work, recipe, torch.device(place), lambda *message: messages.put(message)
            )
        messages.put(None)
    except KeyboardInterrupt:
        # Training is ending and nobody reads the queue any more, so do not wait for it.
        messages.cancel_join_thread()
    except Exception as error:
        messages.put(
            f"training stopped ({type(error).__name__}: {error}): run the same command again to "
            "resume"
        )
        raise
