"""A study whose every row is known beforehand, and a process that kills it at a chosen point.

    python survivor.py FOLDER SEED        reads what to do from stdin, one JSON line a time

It imports once and forks for each run, so that fifty killed runs take seconds.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

# A run uses them, and every forked process would import them anew.
import pandas  # noqa: F401
import pyarrow.dataset  # noqa: F401
from PIL import Image

from retinoscope.data import Sample
from retinoscope.studies import AttentionKnockout
from retinoscope.studies.token_sets import NOTHING, RING_1, NamedSet

CALLS = ("fsync", "replace", "fdopen", "open", "unlink")
"""The system calls of a durable write, in between which the power can fail."""
SAMPLES = 30


class Model:
    """What a study asks of a model before it asks about samples."""

    name, fingerprint, device, n_layers = "survivor", "survivor-1", "cpu", 8
    dtype = "float32"
    adapter = SimpleNamespace(vocabulary=SimpleNamespace(unknown=lambda question: ()))


class Pictures(Sequence[Sample]):
    """Small pictures, made when they are asked for."""

    def __init__(self, n: int, fingerprint: str | None = None) -> None:
        self.n = n
        if fingerprint is not None:
            self.fingerprint = fingerprint

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self.n:
            raise IndexError(index)
        pixels = np.full((4, 4, 3), index % 251, np.uint8)
        return Sample(f"picture-{index:06d}", Image.fromarray(pixels))


@dataclass(frozen=True, eq=False, kw_only=True)
class Survivor(AttentionKnockout):
    """Rows as a knockout has them, from the sample's number; `conditions` of them."""

    conditions: int = 6
    ends_at: tuple[int, int] | None = None
    """A sample's number and the signal that comes while it is computed."""

    columns: ClassVar[tuple[str, ...]] = AttentionKnockout.columns

    def asks(self, sample: Sample) -> Mapping[str, int]:
        return {"located": 1}

    def _parameters(self) -> dict[str, object]:
        return {"conditions": self.conditions}

    def _prepare(self, readable: Sequence[Sample]) -> None:
        return None

    def _rows(self, context: None, index: int, sample: Sample, keep: bool) -> tuple[Any, list]:
        if self.ends_at is not None and index == self.ends_at[0]:
            os.kill(os.getpid(), self.ends_at[1])
        if index % 7 == 5:
            raise ValueError(f"{sample.id} is torn")
        rng = random.Random(index)
        base = {"sample": sample.id, "item": 0, "kind": "color", "mode": "corrected"}
        base |= {"question": "What color is it?", "answer": "red", "baseline_correct": True}
        rows = [base | {**NamedSet(NOTHING).columns, "correct": True}]
        sources = (RING_1, RING_1.control)
        for number in range(1, self.conditions):
            before, after = rng.random(), rng.random()
            rows.append(
                base
                | {
                    **sources[number % 2].columns,
                    "target": "last",
                    "window": "sliding",
                    "width": 1,
                    "first_layer": number // 2,
                    "last_layer": number // 2,
                    "n_source": 9,
                    "n_edges": 9,
                    "correct": after > 0.5,
                    "probability_before": before,
                    "probability_after": after,
                }
            )
        picture = SimpleNamespace(facts={"number": index}, image=sample.image)
        return rows, [picture] if keep else []


def study(samples: int, **options: Any) -> Survivor:
    """The study that the tests run."""
    return Survivor(Model(), Pictures(samples), **options)  # type: ignore[arg-type]


def run(folder: Path, samples: int, deadly: int, ends_at: tuple[int, int] | None) -> None:
    """Runs it, and dies by SIGKILL at the `deadly`-th step of a write (0: never)."""
    import retinoscope.store._directory as directory
    import retinoscope.store._ledger as ledger

    # Parts of one or two samples, merged by fours: many more steps at which to die.
    ledger.LOOSE_PARTS = 4
    opening = directory.RunDirectory.open.__func__  # type: ignore[attr-defined]

    def small(cls: type, *args: Any, **kwargs: Any) -> Any:
        return opening(cls, *args, buffer_samples=2, **kwargs)

    directory.RunDirectory.open = classmethod(small)  # type: ignore[assignment]
    left = deadly

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            step()
            result = call(*args, **kwargs)
            step()
            return result

        return wrapped

    for name in CALLS:
        setattr(os, name, watched(getattr(os, name)))
    study(samples, ends_at=ends_at).run(folder)


def child(order: dict[str, Any]) -> int:
    """Forks one run; returns its exit code, or minus the signal that ended it."""
    begun = time.monotonic()
    process = os.fork()
    if process == 0:
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # Whoever started the tests may have had it ignored (nohup, a service).
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            ends_at = None if order["at"] is None else (order["at"], order["signal"])
            run(Path(order["folder"]), order["samples"], order["deadly"], ends_at)
            code = 0
        except KeyboardInterrupt:
            code = 130
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    if order["after"] is not None:
        time.sleep(max(0.0, order["after"] - (time.monotonic() - begun)))
        os.kill(process, order["signal"])
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status)


class Zygote:
    """The process that forks the runs."""

    def __init__(self) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )

    def run(
        self,
        folder: Path,
        *,
        deadly: int = 0,
        after: float | None = None,
        at: int | None = None,
        by: signal.Signals = signal.SIGKILL,
    ) -> dict[str, float]:
        order = {"folder": str(folder), "samples": SAMPLES, "deadly": deadly}
        order |= {"after": after, "at": at, "signal": int(by)}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()


def main() -> None:
    """Serves orders until stdin ends."""
    for line in sys.stdin:
        begun = time.monotonic()
        code = child(json.loads(line))
        print(json.dumps({"code": code, "seconds": time.monotonic() - begun}), flush=True)


if __name__ == "__main__":
    main()
