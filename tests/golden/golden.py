"""Every study once, small, on the packaged models: what must not change when the code moves.

python tests/golden/golden.py          writes `tables/` anew; the difference is then to be explained
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from inspect import Parameter
from pathlib import Path
from typing import Any

import retinoscope as rs
from retinoscope import cli
from retinoscope.cli._app import app
from retinoscope.reporting import compose

TABLES = Path(__file__).parent / "tables"
OPTIONS = TABLES.parent / "options.json"
NESTED = ("train", "fit-lens")
"""Commands that have commands of their own."""

RUNS = {
    "ablation": "ablate pocket scenes:2 --seed 4 --gradient-steps 2 --sizes 5 40",
    "lens": "lens pocket scenes:3 --seed 4 --no-untrained",
    "knockout": "knockout pocket scenes:3 --seed 4",
    "flow": "flow pocket scenes:1 --seed 4",
    "look": "look pocket scenes:3 --seed 4",
    "reprompt": "reprompt pocket scenes:3 --seed 4",
    "attend": "attend pocket scenes:2 --seed 4 --methods attention rollout chefer gradient-input",
    "alignment": "attend small:contrastive-max simulated:3 --seed 4 --methods similarity "
    "--distractors 2",
    "probe": "probe small:contrastive-max scenes:24 --seed 4 --seeds 1 --no-controls",
    "interfaces": "interfaces varied:2 --seed 4 --interfaces pocket pocket-none --max-objects 1",
    "group": "group small:contrastive-max scenes:4 --seed 4",
}
"""The study and the command that runs it, without --out."""

ROUNDING = (1e-3, 5e-5)
TRAINED = {"probe": (5e-3, 0.03)}
"""Relative and absolute. Of a trained probe, the rounding of another processor can move a location
to another label, and the score of 24 images with it."""


def run(study: str, out: Path) -> None:
    """Runs the study's command with its output in `out`."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        code = cli.main([*RUNS[study].split(), "--out", str(out)])
    assert code == 0, err.getvalue()


def tables(out: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """All that a finished run says: its summaries by name, and its findings."""
    results = rs.studies.open_results(out)
    yield "summary", results.summary().to_pylist()
    for name, table in results.extras().items():
        yield name, table.to_pylist()
    yield (
        "findings",
        [
            {
                "title": finding.title,
                "figure": finding.figure,
                "outcome": finding.outcome,
                **{f"p{number}": test.p for number, test in enumerate(finding.tests)},
            }
            for finding in compose(out).findings
        ],
    )


def written(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as CSV."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


def differences(study: str, now: str, before: str) -> list[str]:
    """Where two tables differ; numbers may differ by rounding."""
    rounding = TRAINED.get(study, ROUNDING)
    rows, old = (list(csv.reader(io.StringIO(text))) for text in (now, before))
    if rows[:1] != old[:1] or len(rows) != len(old):
        return [f"{len(rows)} rows of {rows[:1]}, before {len(old)} of {old[:1]}"]
    return [
        f"row {number}, {name}: {value!r}, before {was!r}"
        for number, (row, last) in enumerate(zip(rows[1:], old[1:], strict=True), 1)
        for name, value, was in zip(rows[0], row, last, strict=True)
        if not _alike(value, was, rounding)
    ]


def _alike(value: str, was: str, rounding: tuple[float, float]) -> bool:
    if value.isdigit() and was.isdigit():
        return value == was
    try:
        relative, absolute = rounding
        return math.isclose(float(value), float(was), rel_tol=relative, abs_tol=absolute)
    except ValueError:
        return value == was


def options() -> dict[str, dict[str, Any]]:
    """Each command's options by name: the choices, and the default as JSON has it."""
    return {
        f"{within}{name}": {
            one.name: [_type(one.hint), _default(one.field_info.default)]
            for one in group[name].assemble_argument_collection()
            if one.show and one.parse
        }
        for within, group in (("", app), *((f"{name} ", app[name]) for name in NESTED))
        for name in group
        if not name.startswith("-") and name not in NESTED
    }


def _type(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint)) if isinstance(hint, type) else str(hint)


def _default(value: Any) -> Any:
    return "required" if value is Parameter.empty else json.loads(json.dumps(value, default=str))


def main() -> None:
    OPTIONS.write_text(json.dumps(options(), indent=1) + "\n", "utf-8")
    for study in sys.argv[1:] or RUNS:
        for file in TABLES.glob(f"{study}.*.csv"):
            file.unlink()
        with tempfile.TemporaryDirectory() as folder:
            run(study, Path(folder) / "run")
            for name, rows in tables(Path(folder) / "run"):
                (TABLES / f"{study}.{name}.csv").write_text(written(rows), "utf-8")


if __name__ == "__main__":
    main()
