"""COCO times three hundred conditions: 35 million rows through a whole study, in bounded memory.

python -m benchmarks.rows                         118,000 images x 300 conditions
python -m benchmarks.rows --images 1180           a hundredth of it

Everything but the model is real: fingerprints and keys of samples, the resumable loop, parts and
their segments, the merge into results.parquet, and the summary with its intervals. The model is a
stub that draws answers, so that what is measured is what the library itself adds to a study.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow
from PIL import Image

from retinoscope.data import Sample
from retinoscope.studies import AttentionKnockout, Progress, Window
from retinoscope.studies.knockout.options import SETS
from retinoscope.studies.token_sets import NOTHING, NamedSet
from retinoscope.studies.windows import SLIDING

from ._bench import RESULTS, write_json

IMAGES, CONDITIONS = 118_000, 300
LIMIT = 10**9
SOURCES = ("object", "object+1", "object+2", "rest", "question", "control")
TARGETS = ("last", "last-row")


class Stub:
    """What a study asks of a model before it asks about samples."""

    name, fingerprint, dtype, device, n_layers = "stub", "stub-1", "float32", "cpu", 100
    adapter = SimpleNamespace(vocabulary=SimpleNamespace(unknown=lambda question: ()))


class Drawn(Sequence[Sample]):
    """Small pictures of one colour each, made when they are asked for."""

    fingerprint = "drawn-1"

    def __init__(self, n: int) -> None:
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self._n:
            raise IndexError(index)
        colour = (index % 256, index // 256 % 256, index // 65536)
        return Sample(f"{index:012d}.jpg", Image.new("RGB", (8, 8), colour))


@dataclass(frozen=True, eq=False, kw_only=True)
class StubKnockout(AttentionKnockout):
    """Rows as an attention knockout has them, `conditions` and the clean answer for each image."""

    conditions: int = CONDITIONS

    def asks(self, sample: Sample) -> Mapping[str, int]:
        return {"located": 1}

    def _parameters(self) -> dict[str, object]:
        return {"conditions": self.conditions}

    def _prepare(self, readable: Sequence[Sample]) -> list[dict[str, Any]]:
        return list(cuts(self.conditions))

    def _rows(
        self, context: list[dict[str, Any]], index: int, sample: Sample, keep: bool
    ) -> tuple[Any, list[Any]]:
        rng = np.random.default_rng(index)
        before = float(rng.random())
        after = rng.random(len(context))
        base = {
            "sample": sample.id,
            "item": 0,
            "object": "car",
            "kind": "color",
            "question": "What color is the car?",
            "answer": "red",
            "mode": "corrected",
            "baseline_correct": True,
            "probability_before": before,
            "answer_before": "red",
        }
        clean = {**NamedSet(NOTHING).columns, "correct": True}
        rows = [base | clean | {"probability_after": before, "answer_after": "red"}]
        for cut, chance, right in zip(context, after.tolist(), (after > 0.3).tolist(), strict=True):
            answer = "red" if right else "blue"
            own = {"correct": right, "probability_after": chance, "answer_after": answer}
            rows.append(base | cut | own)
        return rows, []


def cuts(n: int) -> Iterator[dict[str, Any]]:
    """`n` conditions: windows of one layer, from all sources to all targets."""
    pairs = [(source, target) for source in SOURCES for target in TARGETS]
    for number in range(n):
        layer, pair = divmod(number, len(pairs))
        source, target = pairs[pair]
        yield {
            **SETS[source].columns,
            "target": target,
            **Window(SLIDING, layer, layer).columns,
            "n_source": 12,
            "n_edges": 12,
        }


@dataclass
class Watch:
    """Seconds of each step (by the clock and of CPU), and the peak of resident memory by then."""

    steps: dict[str, dict[str, float]]

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        begun, worked = time.perf_counter(), time.process_time()
        yield
        seconds, work = time.perf_counter() - begun, time.process_time() - worked
        self.steps[name] = {
            "seconds": round(seconds, 2),
            "cpu_seconds": round(work, 2),
            "peak_bytes": peak_memory(),
        }
        print(
            f"{name}: {seconds:.1f} s ({work:.1f} s CPU), peak memory {peak_memory() / 1e6:.0f} MB",
            flush=True,
        )


def peak_memory() -> int:
    """The largest resident memory of this process so far, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def simulate(images: int, conditions: int, out: Path, show: Progress) -> dict[str, Any]:
    """Runs the study and its summary in `out`; returns what was measured."""
    watch = Watch({})
    start = peak_memory()
    with watch.step("study and merge"):
        results = study(images, conditions).run(out, show)
    with watch.step("summary"):
        summary = results.summary()
        extras = results.extras()
    with watch.step("run again (nothing left to do)"):
        study(images, conditions).run(out)
    rows = results.n_rows
    expected = images * (conditions + 1)
    if rows != expected or summary.num_rows != conditions or extras["baseline"].num_rows != 2:
        raise AssertionError(f"{rows} rows and {summary.num_rows} conditions, not {expected}")
    if set(summary["n"].to_pylist()) != {images}:
        raise AssertionError("a condition lacks images")
    return {
        "images": images,
        "conditions": conditions,
        "rows": rows,
        "results_bytes": (out / "results.parquet").stat().st_size,
        "parts": len(list((out / "parts").iterdir())),
        "start_bytes": start,
        "peak_bytes": peak_memory(),
        "steps": watch.steps,
    }


def study(images: int, conditions: int) -> StubKnockout:
    """The study that is simulated."""
    return StubKnockout(Stub(), Drawn(images), conditions=conditions, n_examples=0)  # type: ignore[arg-type]


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 1 if memory went over the limit."""
    parser = argparse.ArgumentParser("python -m benchmarks.rows", description=__doc__)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--conditions", type=int, default=CONDITIONS)
    parser.add_argument("--limit", type=float, default=LIMIT, help="bytes of resident memory")
    parser.add_argument("--work", type=Path, default=None, help="folder of the run; kept")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    given = parser.parse_args(argv)
    if given.images < 2 or given.conditions < 1:
        parser.error("expected at least 2 images and 1 condition")
    shown = time.monotonic()

    def show(done: int, total: int, what: str) -> None:
        nonlocal shown
        if time.monotonic() - shown > 20:
            shown = time.monotonic()
            print(f"{done}/{total} images, {peak_memory() / 1e6:.0f} MB", flush=True)

    folder = given.work or Path(tempfile.mkdtemp(prefix="rows-"))
    try:
        found = simulate(given.images, given.conditions, folder, show)
    finally:
        if given.work is None:
            shutil.rmtree(folder, ignore_errors=True)
    content = {
        "benchmark": "rows",
        "size": f"{given.images} x {given.conditions}",
        "command": f"python -m benchmarks.rows --images {given.images} "
        f"--conditions {given.conditions}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "pyarrow": pyarrow.__version__,
        },
        "limit_bytes": int(given.limit),
        **found,
    }
    whole = (given.images, given.conditions) == (IMAGES, CONDITIONS)
    name = "rows.json" if whole else f"rows-{given.images}x{given.conditions}.json"
    print(write_json(given.out / name, content))
    return int(found["peak_bytes"] > given.limit)


if __name__ == "__main__":
    sys.exit(main())
