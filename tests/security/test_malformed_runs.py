"""Malformed run directories end in one line; `python -m benchmarks.malformed_runs` tries more."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.malformed_runs import make_runs, sweep
from retinoscope.errors import InputError
from retinoscope.reporting import write_report
from retinoscope.studies import open_results
from retinoscope.viewer import _page

COUNT = 60
QUICK = ("lens", "ablation", "knockout", "look", "group", "spurious")
"""Studies that take a second or two; the program takes all."""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return make_runs(tmp_path_factory.mktemp("good"), QUICK)


@pytest.fixture
def run(good: tuple[Path, ...], tmp_path: Path) -> Path:
    """A copy of the lens's run, to be spoilt."""
    return Path(shutil.copytree(good[0], tmp_path / "lens"))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_error_of_python_comes_through(
    good: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_page, "STATIC", Path(__file__).parents[1] / "viewer" / "stub")
    rows = sweep(good, tmp_path, COUNT, seed=1)
    assert [row for row in rows if row["fault"]] == []
    assert sum(row["end"] == "InputError" for row in rows) > COUNT / 4


@pytest.mark.parametrize("study", QUICK)
def test_a_column_of_another_kind_is_named(
    study: str, good: tuple[Path, ...], tmp_path: Path
) -> None:
    run = Path(shutil.copytree(good[QUICK.index(study)], tmp_path / study))
    whole = pq.read_table(run / "results.parquet")
    named = ("sample", "item", "object", "correct", "n_tokens", "n", "n_groups", "weights", "best")
    for name in (one for one in named if one in whole.column_names):
        column = whole[name]
        wrong: list[object] = (
            [float("nan")] * len(column) if name != "best" else ["x"] * len(column)
        )
        place = whole.column_names.index(name)
        pq.write_table(whole.set_column(place, name, pa.array(wrong)), run / "results.parquet")
        with pytest.raises(InputError, match=f"column '{name}': expected .*, got "):
            write_report(run)


def _edit(file: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize("layer", [10**9, -2, 10**18])
def test_a_layer_that_no_model_has_takes_no_memory(layer: int, run: Path) -> None:
    file = run / "results.parquet"
    table = pq.read_table(file)
    place = table.column_names.index("layer")
    wrong = pa.array([layer] * table.num_rows)
    pq.write_table(table.set_column(place, "layer", wrong), file)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (lambda: open_results(run).summary(), lambda: write_report(run)):
        with pytest.raises(InputError, match=rf"'layer'.*{layer}"):
            read()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@pytest.mark.parametrize("column", ["sample", "error", "lens"])
def test_a_missing_column_is_named(column: str, run: Path) -> None:
    file = run / "results.parquet"
    pq.write_table(pq.read_table(file).drop_columns([column]), file)
    with pytest.raises(InputError, match=f"'{column}'"):
        open_results(run)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", {"samples": -1}),
        ("data", {"source": {"spec": 3}}),
        ("model", ["pocket"]),
        ("parameters", "none"),
        ("seeds", None),
        ("schema", 10**30),
    ],
)
def test_a_field_of_the_manifest_is_named(field: str, value: object, run: Path) -> None:
    _edit(run / "run.json", lambda content: content.update({field: value}))
    with pytest.raises(InputError, match=rf"run\.json: field '{field}"):
        open_results(run)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("boxes", [[0, 0, 1]]),
        ("boxes", 5),
        ("size", [0, 1]),
        ("grid", [10**9, 10**9]),
        ("sets", {"object": [-1]}),
    ],
)
def test_a_field_of_an_example_is_named(field: str, value: object, run: Path) -> None:
    _edit(run / "examples.json", lambda content: content[0].update({field: value}))
    for read in (lambda: open_results(run).examples(), lambda: write_report(run)):
        with pytest.raises(InputError, match=rf"examples\.json: field '0\.{field}"):
            read()


def test_json_that_is_too_deep_is_one_line(run: Path) -> None:
    for name in ("examples.json", "run.json"):
        (run / name).write_bytes(b"[" * 200_000)
        with pytest.raises(InputError, match=name):
            open_results(run).examples()
