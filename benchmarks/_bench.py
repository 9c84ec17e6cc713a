"""What every benchmark does the same way: options, alternating timing, facts, results.

    options = options_for(__doc__)
    timings = alternate({"ours": Way(ours), "theirs": Way(theirs, units=36)}, options)
    write_result("knockouts", options, cases=[...], model=...)

The rule: what is compared runs in one process, in turns, and medians are compared. All times that
were taken are kept in the result.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

RESULTS = Path(__file__).parent / "results"
SIZES = ("small", "135m", "7b")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Options:
    """How a benchmark runs.

    Attributes:
        name: of the benchmark, and of its result.
        size: of the model: "small" (seconds, for the tests), "135m" or "7b".
        repeats: rounds; in each round every way has its turn.
        threads: of torch on the CPU.
        out: folder of the results.
        command: that gives the result again.
    """

    name: str
    size: str
    repeats: int
    threads: int
    device: str
    dtype: str
    out: Path
    command: str

    @property
    def torch_dtype(self) -> torch.dtype:
        return DTYPES[self.dtype]


def options_for(
    doc: str, name: str, argv: Sequence[str] | None = None, *, repeats: int = 5
) -> Options:
    """Reads the command line; `doc` is the benchmark's description, `repeats` the default.

    Ends with one line and exit code 2 where the machine cannot run what was asked for.
    """
    parser = argparse.ArgumentParser(f"python -m benchmarks.{name}", description=doc)
    parser.add_argument("--size", choices=SIZES, default="135m", help="of the model")
    parser.add_argument("--repeats", type=int, default=repeats, help="rounds of alternating timing")
    parser.add_argument("--threads", type=int, default=2, help="of torch on the CPU")
    parser.add_argument("--device", default=None, help="cpu or cuda; 7b runs on cuda only")
    parser.add_argument("--dtype", choices=tuple(DTYPES), default=None)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    given = parser.parse_args(argv)
    device = given.device or ("cuda" if given.size == "7b" else "cpu")
    dtype = given.dtype or ("bfloat16" if given.size == "7b" else "float32")
    if given.repeats < 1 or given.threads < 1:
        parser.error("expected repeats and threads from 1 up")
    if device.startswith("cuda") and not torch.cuda.is_available():
        parser.error(f"expected a CUDA device for --size {given.size}, found none: use --size 135m")
    if given.size == "7b" and not device.startswith("cuda"):
        parser.error("a 7B model on the CPU would take hours: use --size 135m")
    torch.set_num_threads(given.threads)
    command = (
        f"python -m benchmarks.{name} --size {given.size} --repeats {given.repeats} "
        f"--threads {given.threads} --device {device} --dtype {dtype}"
    )
    return Options(
        name, given.size, given.repeats, given.threads, device, dtype, given.out, command
    )


@dataclass(frozen=True)
class Way:
    """One way to do some work.

    Attributes:
        call: does the unit of work with the given number.
        units: how many units make the whole work. Where fewer are measured, the whole is
            extrapolated, and the result says so.
        per_round: units measured in a round.
        prepare: called before each unit, not timed.
    """

    call: Callable[[int], object]
    units: int = 1
    per_round: int = 1
    prepare: Callable[[], object] | None = None


@dataclass(frozen=True)
class Timing:
    """Seconds of the units that were measured.

    Attributes:
        seconds: of each unit.
        aside: of it spent in the modules that `alternate` was asked to set aside (the vision
            tower), for each unit.
        units: that make the whole work.
        distinct: different units among those measured.
    """

    seconds: tuple[float, ...]
    aside: tuple[float, ...]
    units: int = 1
    distinct: int = 1

    @property
    def total(self) -> float:
        """Of the whole work: the median unit times the number of units."""
        return self.units * statistics.median(self.seconds)

    @property
    def total_without(self) -> float:
        """The same without what was set aside."""
        return self.units * statistics.median(
            all_ - part for all_, part in zip(self.seconds, self.aside, strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "median": statistics.median(self.seconds),
            "min": min(self.seconds),
            "max": max(self.seconds),
            "units": self.units,
            "measured": self.distinct,
            "total": self.total,
            "total_without_tower": self.total_without,
            "seconds": [round(one, 6) for one in self.seconds],
            "aside": [round(one, 6) for one in self.aside],
        }


def alternate(
    ways: Mapping[str, Way],
    options: Options,
    aside: Sequence[nn.Module] = (),
    *,
    warm: bool = True,
) -> dict[str, Timing]:
    """Times the ways in turns, the order reversed in every other round.

    Args:
        aside: modules whose seconds are also kept apart.
        warm: call each once before, untimed: the first call of anything is slower. False where
            comparing the results has done so.
    """
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    if warm:
        for way in ways.values():
            _one(way, 0, options.device, aside)
    for number in range(options.repeats):
        order = list(ways) if number % 2 == 0 else list(ways)[::-1]
        for name in order:
            way = ways[name]
            gc.collect()
            for at in range(way.per_round):
                unit = _unit(way, number * way.per_round + at, options.repeats)
                taken[name].append(_one(way, unit, options.device, aside))
    return {
        name: Timing(
            tuple(seconds for seconds, _ in samples),
            tuple(part for _, part in samples),
            ways[name].units,
            min(ways[name].units, len(samples)),
        )
        for name, samples in taken.items()
    }


def _unit(way: Way, at: int, repeats: int) -> int:
    """The units that are measured lie evenly among all."""
    measured = way.per_round * repeats
    return at % way.units if measured >= way.units else at * way.units // measured


def _one(way: Way, unit: int, device: str, aside: Sequence[nn.Module]) -> tuple[float, float]:
    if way.prepare is not None:
        way.prepare()
    with spent_in(aside, device) as spent:
        synchronize(device)
        start = time.perf_counter()
        way.call(unit)
        synchronize(device)
        return time.perf_counter() - start, spent.seconds


def synchronize(device: str) -> None:
    """Waits until the device has done what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


@dataclass
class Spent:
    """Seconds and calls of the modules under `spent_in`."""

    seconds: float = 0.0
    calls: int = 0
    _starts: list[float] = field(default_factory=list)


@contextmanager
def spent_in(modules: Sequence[nn.Module], device: str = "cpu") -> Iterator[Spent]:
    """Adds up the seconds inside these modules' forward passes; none may contain another."""
    spent = Spent()

    def enter(*_: object) -> None:
        synchronize(device)
        spent._starts.append(time.perf_counter())

    def leave(*_: object) -> None:
        synchronize(device)
        spent.seconds += time.perf_counter() - spent._starts.pop()
        spent.calls += 1

    handles = [module.register_forward_pre_hook(enter) for module in modules]
    handles += [module.register_forward_hook(leave) for module in modules]
    try:
        yield spent
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class Measure:
    """One figure, and the floor that it is held against.

    Attributes:
        what: in words, with the unit.
        value: measured.
        at_least, at_most: the floor; both None where the issue names none.
    """

    what: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the floor is met; None without a floor."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return None if self.at_most is None else self.value <= self.at_most

    def to_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "value": self.value,
            "at_least": self.at_least,
            "at_most": self.at_most,
            "met": self.met,
        }


@dataclass(frozen=True)
class Case:
    """One row of work: its times, figures, limit, and how equal the results were.

    Attributes:
        equality: max_relative_difference (of the largest logit), same_argmax, rows, tolerance.
        limit: counts: the fewest token-layers or bytes, and what was computed.
        notes: sentences for the page.
    """

    name: str
    timings: Mapping[str, Timing]
    measures: Sequence[Measure]
    equality: Mapping[str, float]
    limit: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "timings": {name: one.to_json() for name, one in self.timings.items()},
            "measures": [one.to_json() for one in self.measures],
            "equality": dict(self.equality),
            "limit": dict(self.limit),
            "notes": list(self.notes),
        }


def equality(found: torch.Tensor, wanted: torch.Tensor, tolerance: float) -> dict[str, float]:
    """How far two sets of logits, (row, vocab) each, lie apart.

    Raises:
        SystemExit: further than `tolerance` times the largest logit. A time of a wrong result means
            nothing, so none is taken.
    """
    found, wanted = found.float().cpu(), wanted.float().cpu()
    difference = float((found - wanted).abs().max() / wanted.abs().max())
    same = int((found.argmax(-1) == wanted.argmax(-1)).sum())
    if not difference <= tolerance:
        raise SystemExit(
            f"the two ways differ by {difference:.1e} of the largest logit, expected at most "
            f"{tolerance:.0e}: nothing was timed"
        )
    return {
        "max_relative_difference": difference,
        "same_argmax": same,
        "rows": len(found),
        "tolerance": tolerance,
    }


TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2, "float16": 5e-2}
"""Largest difference of two ways; in half precision two batch shapes differ by as much."""


def machine(options: Options) -> dict[str, Any]:
    """What the times depend on."""
    import transformers

    facts: dict[str, Any] = {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if options.device.startswith("cuda") else "cpu",
        "dtype": options.dtype,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    return facts


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def write_result(
    options: Options, *, cases: Sequence[Case], model: Mapping[str, Any], **more: Any
) -> Path:
    """Prints the tables and writes `NAME.json` whole or not at all; returns its path.

    A size other than 135m is part of the file's name.
    """
    for case in cases:
        print_case(case)
    stem = options.name if options.size == "135m" else f"{options.name}-{options.size}"
    content = {
        "benchmark": options.name,
        "size": options.size,
        "command": options.command,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(options),
        "model": dict(model),
        "cases": [case.to_json() for case in cases],
        **more,
    }
    return write_json(options.out / f"{stem}.json", content)


def write_json(path: Path, content: Mapping[str, Any]) -> Path:
    """Writes JSON whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=".tmp-", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
    return path


def print_case(case: Case) -> None:
    """One case as a table."""
    print(f"\n{case.name}")
    for name, one in case.timings.items():
        part = f"{one.distinct} of {one.units} measured" if one.units > 1 else "whole"
        spread = f"unit {min(one.seconds):.3f} to {max(one.seconds):.3f} s"
        print(
            f"  {name:<44} {one.total:9.3f} s   without tower {one.total_without:9.3f} s   "
            f"({part}, {spread})"
        )
    for measure in case.measures:
        verdict = {True: "met", False: "NOT MET", None: ""}[measure.met]
        floor = (
            f"at least {measure.at_least:g}"
            if measure.at_least is not None
            else f"at most {measure.at_most:g}"
            if measure.at_most is not None
            else ""
        )
        print(f"  {measure.what:<60} {measure.value:9.3f}   {floor:<14} {verdict}")
    for key, value in case.limit.items():
        print(f"  {key:<60} {value:>12,}" if isinstance(value, int) else f"  {key}: {value}")
    for key, value in case.equality.items():
        print(f"  equality {key:<51} {value:9.2g}")
