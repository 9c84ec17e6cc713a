"""Malformed run directories: each must end in one line, or be harmless.

python -m benchmarks.malformed_runs                 150 mutations of a small run of every study
python -m benchmarks.malformed_runs --count 60      fewer
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import retinoscope as rs

from ._bench import RESULTS, write_json
from ._malformed import spoil_bytes, spoil_column, spoil_json

Mutation = Callable[[Path, random.Random], str]


def _makers() -> dict[str, Callable[[], Any]]:
    """A small study of each kind."""
    from retinoscope import studies

    vlm, scenes = rs.load("pocket"), rs.data.scenes(2)
    towers: Any = "small:contrastive-max"
    short: Any = {"n_examples": 1, "untrained": False}
    return {
        "lens": lambda: studies.LogitLens(vlm, scenes, **short),
        "ablation": lambda: studies.TokenAblation(
            *(vlm, scenes),
            n_examples=1,
            tasks=("question",),
            modes=("corrected",),
            conditions=("object", "control"),
            fill="zero",
        ),
        "knockout": lambda: studies.AttentionKnockout(
            *(vlm, scenes),
            n_examples=1,
            sources=("object+1", "control"),
            targets=("last",),
            windows=("all", "late"),
            max_questions=1,
        ),
        "flow": lambda: studies.InformationFlow(
            vlm, scenes, edges=("image:generated",), layers=("all",), **short
        ),
        "look": lambda: studies.WordAttention(vlm, scenes, **short),
        "reprompt": lambda: studies.ImageReprompting(vlm, scenes, n_examples=1, shares=(0.5,)),
        "attend": lambda: studies.AttributionLocalisation(
            vlm, scenes, n_examples=1, methods=("attention",), controls=0
        ),
        "alignment": lambda: studies.AttentionAlignment(
            vlm, rs.gaze.simulated(2), methods=("attention",), distractors=1, **short
        ),
        "group": lambda: studies.Grouping(
            *(towers, scenes),
            groupings=("kmeans",),
            attribution_images=0,
            **short,
        ),
        "spurious": lambda: studies.SpuriousGround(towers, rs.data.grounded(4, correlation=None)),
        "probe": lambda: studies.Probe(
            "small:mae", rs.data.scenes(12), layers=("vision.6",), seeds=1, controls=False
        ),
    }


STUDIES = (
    *("ablation", "lens", "knockout", "flow", "look", "reprompt", "probe", "group", "spurious"),
    *("attend", "alignment"),
)


def make_runs(folder: Path, only: Sequence[str] = STUDIES) -> tuple[Path, ...]:
    """Small finished runs of the packaged models, one of each study."""
    makers = _makers()
    for name in only:
        study = makers[name]()
        assert study.name == name, study.name
        study.run(folder / name)
    return tuple(folder / name for name in only)


def mutate(run: Path, rng: random.Random) -> str:
    """Spoils one thing in the run directory `run`; returns what."""
    return rng.choice((_json, _json, _column, _column, _column, _bytes, _table))(run, rng)


def outcome(run: Path) -> str:
    """What reading the run ends in: "harmless", or the error's class; more than one line fails.

    The report, the page, every summary and every example are made.

    Raises:
        AssertionError: a message of several lines.
        Exception: an error of Python, which is what must not happen.
    """
    from retinoscope.errors import RetinoscopeError
    from retinoscope.reporting import write_report
    from retinoscope.studies import open_results
    from retinoscope.viewer import export_view

    ends = []
    for what in (
        lambda: _read(open_results(run)),
        lambda: write_report(run),
        lambda: export_view(run, load=None),
    ):
        try:
            what()
        except RetinoscopeError as error:
            line = str(error)
            assert line, "an error without a message"
            assert "\n" not in line, line
            ends.append(type(error).__name__)
    return ends[0] if ends else "harmless"


def _read(results: Any) -> None:
    results.summary()
    results.extras()
    results.errors()
    results.failures()
    results.examples()
    _ = results.n_samples, results.unknown_words, results.table


def _json(run: Path, rng: random.Random) -> str:
    """Another value at some place of run.json, examples.json or what a study keeps beside them."""
    names = ("run.json", "examples.json", "probe.json")
    # Without pictures there are no examples.
    found = [run / name for name in names if (run / name).exists()]
    return spoil_json(rng.choice([file for file in found if len(file.read_bytes()) > 9]), rng)


def _column(run: Path, rng: random.Random) -> str:
    """A column of another type or with other values, or none."""
    return spoil_column(run / "results.parquet", rng)


def _table(run: Path, rng: random.Random) -> str:
    """The rows none, twice, shuffled, or one of them cut."""
    file = run / "results.parquet"
    table = pq.read_table(file)
    kind = rng.choice(("empty", "twice", "shuffled", "one row", "no columns"))
    order = rng.sample(range(table.num_rows), table.num_rows)
    made = {
        "empty": lambda: table.slice(0, 0),
        "twice": lambda: pa.concat_tables([table, table]),
        "shuffled": lambda: table.take(pa.array(order)),
        "one row": lambda: table.slice(rng.randrange(table.num_rows), 1),
        "no columns": lambda: table.select([]),
    }
    pq.write_table(made[kind](), file)
    return f"results.parquet rows: {kind}"


def _bytes(run: Path, rng: random.Random) -> str:
    """One of the files is no longer such a file."""
    return spoil_bytes(run / rng.choice(("run.json", "examples.json", "results.parquet")), rng)


def sweep(runs: Sequence[Path], scratch: Path, count: int, seed: int) -> list[dict[str, Any]]:
    """`count` mutations, each of a fresh copy of one of `runs`, and what each ended in.

    `fault` is None, or the error of Python that came through.
    """
    rows = []
    for number in range(count):
        rng = random.Random(f"{seed}-{number}")
        copy = Path(shutil.copytree(rng.choice(runs), scratch / f"run-{number}"))
        what = mutate(copy, rng)
        row: dict[str, Any] = {"number": number, "run": copy.name, "what": what, "fault": None}
        try:
            row["end"] = outcome(copy)
        except Exception as error:
            row["end"], row["fault"] = "fault", f"{type(error).__name__}: {str(error)[:200]}"
        rows.append(row)
        shutil.rmtree(copy)
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 1 if an error of Python came through."""
    parser = argparse.ArgumentParser("python -m benchmarks.malformed_runs", description=__doc__)
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        runs = make_runs(Path(folder) / "good")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rows = sweep(runs, Path(folder), given.count, given.seed)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    ends = Counter(row["end"] for row in rows)
    print(
        f"{len(rows)} malformed run directories (seed {given.seed}): "
        f"{', '.join(f'{count} {end}' for end, count in ends.most_common())}; "
        f"peak memory grew by {grown} MiB"
    )
    for row in rows:
        if row["fault"]:
            print(f"  {row['number']}: {row['what']}: {row['fault']}")
    write_json(
        RESULTS / "malformed_runs.json",
        {
            "benchmark": "malformed_runs",
            "seed": given.seed,
            "count": len(rows),
            "ends": dict(ends),
            "grown_mib": grown,
        },
    )
    return int(bool(ends["fault"]))


if __name__ == "__main__":
    sys.exit(main())
