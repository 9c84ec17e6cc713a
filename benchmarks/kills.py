"""A study ended at random points, again and again, until it ends in the bytes of one left alone.

python -m benchmarks.kills [--kills 50] [--seed 0]

Half of the kills come between two system calls of a write, the others after a random time by
SIGKILL, SIGTERM or SIGHUP; each run goes on where the last was ended. Writes
`benchmarks/results/kills.json`; returns 1 if a byte differs.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.studies.survivor import Zygote

from ._bench import RESULTS, write_json

FILES = ("results.parquet", "examples.json")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
BETWEEN = "between calls"


def killed(zygote: Zygote, root: Path, kills: int, seed: int) -> tuple[Counter[str], int, int]:
    """How it was ended how often, runs finished in between, and those with other bytes."""
    whole = zygote.run(root / "whole")
    expected = {name: (root / "whole" / name).read_bytes() for name in FILES}
    points = random.Random(seed)
    ended: Counter[str] = Counter({BETWEEN: 0} | {one.name: 0 for one in SIGNALS})
    finished = other = 0
    while True:
        folder = root / str(finished)
        if ended.total() >= kills:
            code, how = zygote.run(folder)["code"], ""
        elif points.random() < 0.5:
            code, how = zygote.run(folder, deadly=points.randint(1, 120))["code"], BETWEEN
        else:
            by = points.choice(SIGNALS)
            after = points.uniform(0, 0.6 * whole["seconds"])
            code, how = zygote.run(folder, after=after, by=by)["code"], by.name
        if code:
            if not how:
                raise SystemExit(f"a run that nobody ended returned {code}")
            ended[how] += 1
            continue
        finished += 1
        same = all((folder / name).read_bytes() == expected[name] for name in FILES)
        other += not same
        if ended.total() >= kills:
            return ended, finished, other


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table; returns 1 if some run ended in other bytes."""
    parser = argparse.ArgumentParser("python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the result")
    given = parser.parse_args(argv)
    zygote = Zygote()
    try:
        with tempfile.TemporaryDirectory() as root:
            ended, finished, other = killed(zygote, Path(root), given.kills, given.seed)
    finally:
        zygote.close()
    for how, count in ended.items():
        print(f"{how:<16}{count:>4}")
    print(f"{ended.total() if not other else 0} of {given.kills} kills left nothing changed")
    print(f"{finished - other} of {finished} finished runs have the bytes of one left alone")
    write_json(
        given.out / "kills.json",
        {
            "benchmark": "kills",
            "seed": given.seed,
            "kills": dict(ended),
            "finished": finished,
            "other_bytes": other,
        },
    )
    return int(other > 0)


if __name__ == "__main__":
    sys.exit(main())
