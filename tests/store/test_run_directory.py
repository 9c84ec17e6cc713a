import errno
import json
import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

import retinoscope.store._atomic as atomic
from retinoscope.errors import InputError, StudyError
from retinoscope.store import RunDirectory, new_manifest, read_manifest, read_results

MANIFEST = {
    "study": "ablation",
    "parameters": {"layers": [1, 2]},
    "model": {"name": "pocket", "fingerprint": "m1"},
    "data": {"name": "scenes:3", "fingerprint": "d1"},
    "seeds": {"random": 0},
    "dtype": "float32",
    "device": "cpu",
    "command": "retinoscope ablate",
}


def rows_of(number, count=3):
    return [{"sample": f"s{number}", "layer": k, "p": number / (k + 1)} for k in range(count)]


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_finished_run_reads_back_sorted_with_its_manifest(tmp_path):
    path = tmp_path / "a" / "run"
    with RunDirectory.open(path, MANIFEST, 1, order=["k2", "k1", "k0"]) as run:
        for number in range(3):
            run.write(f"k{number}", rows_of(number))
        assert run.done() == {"k0", "k1", "k2"}
        assert run.finish() == path / "results.parquet"
    table = read_results(path)
    assert table.column("sample").to_pylist() == ["s2"] * 3 + ["s1"] * 3 + ["s0"] * 3
    assert table.column("sample_row").to_pylist() == [0, 1, 2] * 3
    assert table.column_names == ["sample_key", "sample_row", "sample", "layer", "p"]
    assert table.column("p").to_pylist()[:3] == [2.0, 1.0, 2 / 3]
    stored = read_manifest(path)
    assert stored["schema"] == 1
    assert stored["parameters"] == {"layers": [1, 2]}
    # The first sample is written at once, the others together.
    parts = ["parts/000000.parquet", "parts/000001.parquet"]
    assert names(path) == [".lock", *parts, "results.parquet", "run.json"]


def test_bytes_do_not_depend_on_how_parts_were_cut_or_in_which_order_samples_came(tmp_path):
    samples = {
        "a": [{"x": 1, "y": None}],
        "b": [],
        "c": [{"z": ["left", "right"], "x": 2.5}, {"x": 3, "late": True}],
        "d": [{"x": None, "z": []}] * 5,
        "e": [{"y": None, "word": "é"}],
    }
    found = set()
    for number, (order, size) in enumerate(
        [("abcde", 1), ("edcba", 2), ("cabed", 3), ("abcde", 99)]
    ):
        path = tmp_path / str(number)
        with RunDirectory.open(path, MANIFEST, 1, buffer_samples=size) as run:
            for key in order:
                run.write(key, samples[key])
            run.finish()
        found.add((path / "results.parquet").read_bytes())
    assert len(found) == 1
    table = read_results(tmp_path / "0")
    assert table.column_names[2:] == ["x", "y", "z", "late", "word"]
    assert table.column("x").to_pylist()[:3] == [1.0, 2.5, 3.0]
    assert table.column("z").to_pylist()[1:4] == [["left", "right"], None, []]


@pytest.mark.parametrize("value", [[1], [0.5], ["x"]])
def test_lists_that_were_read_back_change_no_byte(tmp_path, value):
    samples = {"a": [], "b": [{"z": None}], "c": [{"z": value}, {"z": value * 2}], "d": []}
    found = set()
    for stops in (["d"], ["b", "d"], ["c", "d"], ["a", "b", "c", "d"]):
        path = tmp_path / "".join(stops)
        for stop in stops:
            with RunDirectory.open(path, MANIFEST, 1, order="abcd") as run:
                for key in samples:
                    if key not in run and key <= stop:
                        run.write(key, samples[key])
                if stop == "d":
                    run.finish()
        found.add((path / "results.parquet").read_bytes())
    assert len(found) == 1


def test_many_rows_are_merged_in_equal_row_groups(tmp_path):
    found = []
    for size in (1, 4):
        path = tmp_path / str(size)
        with RunDirectory.open(path, MANIFEST, 1, buffer_samples=size) as run:
            for number in range(7):
                run.write(f"k{number}", rows_of(number, 10_000))
            run.finish()
        found.append((path / "results.parquet").read_bytes())
        file = pq.ParquetFile(path / "results.parquet")
        groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        assert groups == [32_768, 32_768, 70_000 - 2 * 32_768]
    assert found[0] == found[1]


def test_a_second_opening_goes_on_and_notes_itself(tmp_path):
    with RunDirectory.open(tmp_path, MANIFEST, 1) as run:
        run.write("a", rows_of(1))
        run.write("empty", [])
    other = {**MANIFEST, "command": "again", "device": "cuda", "versions": {"torch": "9"}}
    with RunDirectory.open(tmp_path, other, 1) as run:
        assert run.done() == {"a", "empty"}
        run.write("b", rows_of(2))
    stored = read_manifest(tmp_path)
    assert stored["command"] == "retinoscope ablate"
    assert [entry["command"] for entry in stored["resumed"]] == ["again"]


def test_a_model_folder_may_be_renamed(tmp_path):
    RunDirectory.open(tmp_path, MANIFEST, 1).close()
    moved = {**MANIFEST, "model": {"name": "elsewhere", "fingerprint": "m1"}}
    RunDirectory.open(tmp_path, moved, 1).close()


@pytest.mark.parametrize(
    ("change", "schema", "named"),
    [
        ({"study": "lens"}, 1, "study"),
        ({"parameters": {"layers": [1, 3]}}, 1, r"parameters\.layers \(there: \[1,2\], here"),
        ({"parameters": {"layers": [1, 2], "fill": "zero"}}, 1, r"parameters\.fill"),
        ({"model": {"name": "pocket", "fingerprint": "m2"}}, 1, r"model \(.* has changed"),
        ({"model": {"name": "other", "fingerprint": "m2"}}, 1, r"model \(there: .*, here: other"),
        ({"data": "d1 of another kind"}, 1, "data"),
        ({"seeds": {"random": 1}}, 1, r"seeds\.random"),
        ({"dtype": "float16"}, 1, "dtype"),
        ({}, 2, "schema"),
        ({"vocabulary": "x"}, 1, "vocabulary"),
    ],
)
def test_another_run_is_refused_and_the_difference_named(tmp_path, change, schema, named):
    with RunDirectory.open(tmp_path, MANIFEST, 1) as run:
        run.write("a", rows_of(1))
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    with pytest.raises(InputError, match=named):
        RunDirectory.open(tmp_path, {**MANIFEST, **change}, schema)
    after = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    before.pop(".lock"), after.pop(".lock")
    assert after == before
    RunDirectory.open(tmp_path, MANIFEST, 1).close()


def test_a_manifest_without_identity_is_refused(tmp_path):
    fields = {k: v for k, v in MANIFEST.items() if k not in ("model", "seeds")}
    with pytest.raises(InputError, match="lacks model, seeds"):
        RunDirectory.open(tmp_path / "x", fields, 1)
    assert not (tmp_path / "x").exists()


def test_foreign_folders_and_files_are_refused_untouched(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match=r"holiday\.jpg"):
        RunDirectory.open(tmp_path, MANIFEST, 1)
    assert names(tmp_path) == ["holiday.jpg"]
    with pytest.raises(InputError, match="not a folder"):
        RunDirectory.open(tmp_path / "holiday.jpg", MANIFEST, 1)
    with pytest.raises(InputError, match="can be written"):
        RunDirectory.open(tmp_path / "holiday.jpg" / "below", MANIFEST, 1)
    with pytest.raises(InputError, match=r"has no run\.json"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b"\xff\xfe"])
def test_a_damaged_manifest_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(InputError, match=r"run\.json"):
        RunDirectory.open(tmp_path, MANIFEST, 1)
    assert (tmp_path / "run.json").read_bytes() == content


def test_a_damaged_part_is_named(tmp_path):
    with RunDirectory.open(tmp_path, MANIFEST, 1) as run:
        run.write("a", rows_of(1))
    part = tmp_path / "parts" / "000000.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"000000\.parquet cannot be read.*delete"):
        RunDirectory.open(tmp_path, MANIFEST, 1)
    part.unlink()
    with RunDirectory.open(tmp_path, MANIFEST, 1) as run:
        assert run.done() == set()


def test_leftovers_of_interrupted_writes_go_at_the_next_opening(tmp_path):
    with RunDirectory.open(tmp_path, MANIFEST, 1) as run:
        run.write("a", rows_of(1))
        run.write_file("pictures/deep/1.png", b"png")
    for folder in (tmp_path, tmp_path / "parts", tmp_path / "pictures" / "deep"):
        (folder / ".tmp-left").write_bytes(b"half")
    RunDirectory.open(tmp_path, MANIFEST, 1).close()
    assert names(tmp_path) == [
        ".lock",
        "parts/000000.parquet",
        "pictures/deep/1.png",
        "run.json",
    ]


def test_a_folder_with_only_leftovers_of_a_killed_start_is_empty(tmp_path):
    (tmp_path / ".lock").write_bytes(b"1\n")
    (tmp_path / ".tmp-x").write_bytes(b"{")
    RunDirectory.open(tmp_path, MANIFEST, 1).close()
    assert names(tmp_path) == [".lock", "run.json"]


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, code):
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(code, "no locks")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(InputError, match="has no file locks"):
        RunDirectory.open(tmp_path / "run", MANIFEST, 1)


def test_one_writer_at_a_time(tmp_path):
    with RunDirectory.open(tmp_path, MANIFEST, 1) as run:
        with pytest.raises(InputError, match=f"being written by process {os.getpid()}"):
            RunDirectory.open(tmp_path, MANIFEST, 1)
        run.write("a", rows_of(1))
    RunDirectory.open(tmp_path, MANIFEST, 1).close()


def write_then_raise(path, key, rows, error):
    with RunDirectory.open(path, MANIFEST, 1) as run:
        run.write(key, rows)
        raise error


def test_an_error_or_an_interrupt_in_the_block_keeps_what_is_buffered(tmp_path):
    for number, error in enumerate([RuntimeError, KeyboardInterrupt]):
        with pytest.raises(error):
            write_then_raise(tmp_path, f"k{number}", rows_of(number), error)
    with RunDirectory.open(tmp_path, MANIFEST, 1) as run:
        assert run.done() == {"k0", "k1"}


def full_disk(number):
    def fsync(descriptor):
        raise OSError(number, os.strerror(number))

    return fsync


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_keeps_what_is_finished(tmp_path, monkeypatch, number):
    with RunDirectory.open(tmp_path, MANIFEST, 1) as run:
        run.write("a", rows_of(1))
    before = names(tmp_path)
    run = RunDirectory.open(tmp_path, MANIFEST, 1)
    monkeypatch.setattr(atomic.os, "fsync", full_disk(number))
    with (
        pytest.raises(StudyError, match=r"what is finished is kept.*the same command") as caught,
        run,
    ):
        run.write("b", rows_of(2))
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == before
    monkeypatch.undo()
    with RunDirectory.open(tmp_path, MANIFEST, 1) as run:
        assert run.done() == {"a"}
        monkeypatch.setattr(atomic.os, "fsync", full_disk(number))
        for write in (
            run.finish,
            lambda: run.write_file("x/y.png", b"1"),
            lambda: run.write_tensors("t", {"a": np.zeros(3)}),
        ):
            with pytest.raises(StudyError, match="kept"):
                write()
        assert names(tmp_path) == before
        monkeypatch.undo()
        run.finish()


def test_a_disk_that_fills_in_the_middle_of_the_merge_leaves_no_half_file(tmp_path):
    code = f"""
import resource, signal, sys
sys.path[:0] = {[p for p in sys.path if p]!r}
from retinoscope.store import RunDirectory
import numpy as np
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
noise = np.random.default_rng(0)
with RunDirectory.open({str(tmp_path / "run")!r}, {MANIFEST!r}, 1, buffer_samples=1) as run:
    for k in range(4):
        run.write(str(k), [dict(p=float(p)) for p in noise.normal(size=10000)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    try:
        run.finish()
    except Exception as error:
        print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("StudyError cannot write")
    assert names(tmp_path / "run")[-1] == "run.json"
    assert "results.parquet" not in names(tmp_path / "run")


def test_a_full_disk_at_the_start_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic.os, "fsync", full_disk(errno.ENOSPC))
    with pytest.raises(StudyError):
        RunDirectory.open(tmp_path / "a" / "b", MANIFEST, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    def mkstemp(**_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(atomic.tempfile, "mkstemp", mkstemp)
    with pytest.raises(InputError, match="permission denied; give an output folder"):
        RunDirectory.open(tmp_path / "x", MANIFEST, 1)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([{"x": 1}, {"x": "two"}], "row 1, column 'x'"),
        ([{"x": True}, {"x": 2}], "values of one type"),
        ([{"x": b"bytes"}], "write_file"),
        ([{"x": {"nested": 1}}], "a dict"),
        ([{"x": [1, "a"]}], "a list with"),
        ([{"x": 2**70}], "column 'x'"),
        ([{"sample_key": "k"}], "cannot be called"),
    ],
)
def test_what_a_table_cannot_hold_is_refused_and_nothing_of_it_kept(tmp_path, rows, named):
    with RunDirectory.open(tmp_path, MANIFEST, 1) as run:
        run.write("good", [{"x": 1.0}])
        with pytest.raises(InputError, match=named):
            run.write("bad", rows)
        assert run.done() == {"good"}


def test_columns_keep_their_kind_over_samples_and_openings(tmp_path):
    with RunDirectory.open(tmp_path, MANIFEST, 1) as run:
        run.write("a", [{"x": np.float32(0.5), "n": np.int64(3), "flag": np.bool_(True)}])
    with RunDirectory.open(tmp_path, MANIFEST, 1) as run:
        with pytest.raises(InputError, match="sample b: column 'x' holds string"):
            run.write("b", [{"x": "half"}])
        with pytest.raises(InputError, match="already finished"):
            run.write("a", [])
        assert run.rows().to_pylist() == [
            {"sample_key": "a", "sample_row": 0, "x": 0.5, "n": 3, "flag": True}
        ]


def test_finish_refuses_while_samples_are_missing_and_results_never_go_stale(tmp_path):
    with RunDirectory.open(tmp_path, MANIFEST, 1, order=["a", "b"]) as run:
        run.write("a", rows_of(1))
        with pytest.raises(StudyError, match="1 of 2 samples are not finished"):
            run.finish()
    with pytest.raises(InputError, match="not finished"):
        read_results(tmp_path)
    assert read_results(tmp_path, partial=True).num_rows == 3
    with RunDirectory.open(tmp_path, MANIFEST, 1) as run:
        run.finish()
        run.write("b", rows_of(2))
        run.flush()
        assert not (tmp_path / "results.parquet").exists()


def test_a_run_without_samples_finishes_empty(tmp_path):
    with RunDirectory.open(tmp_path, MANIFEST, 1) as run:
        run.finish()
    assert read_results(tmp_path).num_rows == 0


def test_tensors_and_files_read_back(tmp_path):
    torch = pytest.importorskip("torch")
    with RunDirectory.open(tmp_path, MANIFEST, 1) as run:
        run.write_tensors("means/a", {"m": np.arange(6.0).reshape(2, 3).T})
        assert run.read_tensors("means/a")["m"].tolist() == [[0, 3], [1, 4], [2, 5]]
        half = torch.arange(4.0).to(torch.bfloat16)
        path = run.write_tensors("half", {"h": half, "view": half[1:], "n": np.ones(2)})
        from safetensors.torch import load_file

        assert torch.equal(load_file(path)["h"], half)
        assert run.write_file("p/1.png", b"png").read_bytes() == b"png"
        with pytest.raises(InputError, match="no tensors were written"):
            run.read_tensors("missing")
        for name in ("../x", "/x", "", "a\\b", ".tmp-x"):
            with pytest.raises(InputError, match="relative name"):
                run.write_file(name, b"")
        for name in ("run.json", "parts/0.parquet", "results.parquet"):
            with pytest.raises(InputError, match="store itself"):
                run.write_file(name, b"")
        with pytest.raises(InputError, match="expected numbers"):
            run.write_tensors("t", {"a": np.array(["x"])})
        with pytest.raises(InputError, match="at least one"):
            run.write_tensors("t", {})
    with pytest.raises(InputError, match="closed"):
        run.write_file("a", b"")


def test_a_new_manifest_has_versions_and_plain_json(tmp_path):
    manifest = new_manifest(
        study="lens",
        parameters={"k": np.int64(5), "at": (1, 2)},
        model="m",
        data="d",
        seeds=0,
        dtype="float32",
        device="cpu",
    )
    assert manifest["parameters"] == {"k": 5, "at": [1, 2]}
    assert {"python", "torch", "pyarrow"} <= manifest["versions"].keys()
    json.dumps(manifest)
    RunDirectory.open(tmp_path, manifest, 1).close()
