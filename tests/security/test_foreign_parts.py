"""Files of another run are refused by name, not merged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import retinoscope as rs
from retinoscope.errors import InputError
from retinoscope.store import RunDirectory, new_manifest, read_results, scan_results
from retinoscope.studies import LogitLens, TokenAblation


def _manifest(model: str) -> dict[str, object]:
    return new_manifest(
        study="lens",
        parameters={"top_k": 1},
        model={"name": model, "fingerprint": model},
        data={"name": "scenes", "fingerprint": "d"},
        seeds=0,
        dtype="float32",
        device="cpu",
    )


def _write(folder: Path, model: str, keys: list[str], parts: int = 1) -> Path:
    with RunDirectory.open(folder, _manifest(model), schema=1, buffer_samples=1) as directory:
        for key in keys:
            for part in range(parts):
                directory.write(f"{key}{part}", [{"share": 0.5}])
        directory.finish()
    return folder


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return _write(tmp_path / "a", "a", ["x"]), _write(tmp_path / "b", "b", ["y"])


def test_a_part_of_another_run_is_refused(two: tuple[Path, Path]) -> None:
    ours, theirs = two
    shutil.copy(theirs / "parts" / "000000.parquet", ours / "parts" / "000007.parquet")
    (ours / "results.parquet").unlink()
    for read in (
        lambda: RunDirectory.open(ours, _manifest("a"), schema=1),
        lambda: read_results(ours, partial=True),
        lambda: read_results(ours),
    ):
        with pytest.raises(InputError, match=r"000007\.parquet") as error:
            read()
        assert "\n" not in str(error.value)
    (ours / "parts" / "000007.parquet").unlink()
    with RunDirectory.open(ours, _manifest("a"), schema=1) as directory:
        assert directory.done() == {"x0"}


def test_a_segment_of_another_run_is_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    ours, _ = two
    long = _write(tmp_path / "long", "long", ["z"], parts=64)
    segment = sorted((long / "parts").glob("*.parquet"))[-1]
    shutil.copy(segment, ours / "parts" / "000100.parquet")
    with pytest.raises(InputError, match=r"000100\.parquet"):
        RunDirectory.open(ours, _manifest("a"), schema=1)


def test_parts_stay_the_runs_own_when_samples_are_forgotten(tmp_path: Path) -> None:
    folder = _write(tmp_path / "a", "a", ["x", "y"])
    with RunDirectory.open(folder, _manifest("a"), schema=1) as directory:
        directory.forget(["x0"])
        assert directory.done() == {"y0"}
    with RunDirectory.open(folder, _manifest("a"), schema=1) as directory:
        assert directory.done() == {"y0"}


def test_results_of_another_run_are_refused(two: tuple[Path, Path]) -> None:
    ours, theirs = two
    shutil.copy(theirs / "results.parquet", ours / "results.parquet")
    for read in (read_results, scan_results):
        with pytest.raises(InputError, match=r"results\.parquet"):
            read(ours)


def test_a_renamed_model_is_the_same_run(tmp_path: Path) -> None:
    folder = _write(tmp_path / "a", "a", ["x"])
    manifest = _manifest("a") | {"model": {"name": "elsewhere/a", "fingerprint": "a"}}
    with RunDirectory.open(folder, manifest, schema=1) as directory:
        directory.write("y", [{"share": 1.0}])
        directory.finish()
    assert read_results(folder).num_rows == 2


@pytest.mark.parametrize("other", ["pocket-none", "ablation"])
def test_a_lens_takes_no_part_of_another_model_or_study(other: str, tmp_path: Path) -> None:
    """Merged, the part of pocket-none gave 4 samples in place of 2, and half the share."""
    vlm = rs.load("pocket")
    scenes = rs.data.scenes(2)
    lens = LogitLens(vlm, scenes, n_examples=0, untrained=False)
    found = lens.run(tmp_path / "lens").n_samples
    if other == "ablation":
        study = TokenAblation(
            vlm, scenes, n_examples=0, tasks=("question",), conditions=("object",), fill="zero"
        )
        study.run(tmp_path / "other")
    else:
        more = rs.data.scenes(2, seed=1)
        LogitLens(rs.load(other), more, n_examples=0, untrained=False).run(tmp_path / "other")
    part = min((tmp_path / "other" / "parts").glob("*.parquet"))
    shutil.copy(part, tmp_path / "lens" / "parts" / "000900.parquet")
    with pytest.raises(InputError, match=r"000900\.parquet"):
        lens.run(tmp_path / "lens")
    (tmp_path / "lens" / "parts" / "000900.parquet").unlink()
    assert lens.run(tmp_path / "lens").n_samples == found == 2
