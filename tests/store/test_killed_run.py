"""A writer that is killed at any moment loses nothing that was finished, and changes no byte."""

import json
import os
import random
import subprocess
import sys

import pytest

from retinoscope.store import RunDirectory, read_results

SAMPLES = 12
MANIFEST = {
    "study": "kill",
    "parameters": {},
    "model": "m",
    "data": "d",
    "seeds": 0,
    "dtype": "float32",
}

# Kills itself just before or after the n-th of the system calls that make a write durable.
WRITER = """
import json, os, signal, sys
sys.path[:0] = sys.argv[3].split(os.pathsep)
from retinoscope.store import RunDirectory

left = int(sys.argv[2])

def deadly(call):
    def wrapped(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        result = call(*args, **kwargs)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return wrapped

for name in ("fsync", "replace", "fdopen", "open"):
    setattr(os, name, deadly(getattr(os, name)))
keys = [f"k{n:02d}" for n in range(int(sys.argv[4]))]
manifest = json.loads(sys.argv[5])
with RunDirectory.open(sys.argv[1], manifest, 1, order=keys, buffer_samples=3) as run:
    for n, key in enumerate(keys):
        if key not in run.done():
            run.write(key, [{"n": n, "k": k, "p": n / (k + 1)} for k in range(n)])
            if n % 4 == 0:
                run.write_file(f"pictures/{key}.png", bytes([n]) * 100)
    run.finish()
"""


def attempt(folder, calls):
    paths = os.pathsep.join(p for p in sys.path if p)
    command = [sys.executable, "-c", WRITER, str(folder), str(calls), paths]
    command += [str(SAMPLES), json.dumps(MANIFEST)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    done = attempt(folder, 10**9)
    assert done.returncode == 0, done.stderr
    return (folder / "results.parquet").read_bytes()


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_and_resumed_ends_in_the_same_bytes(tmp_path, whole, seed):
    folder, points, finished = tmp_path / "run", random.Random(seed), set()
    kills = 0
    for _ in range(5):
        done = attempt(folder, points.randint(1, 60))
        if done.returncode == 0:
            break
        assert done.returncode == -9, done.stderr
        kills += 1
        if (folder / "run.json").exists():
            with RunDirectory.open(folder, MANIFEST, 1) as run:
                assert finished <= run.done()
                finished = run.done()
            assert not list(folder.rglob(".tmp-*"))
    assert kills >= 2
    assert attempt(folder, 10**9).returncode == 0
    assert (folder / "results.parquet").read_bytes() == whole
    assert read_results(folder).num_rows == sum(range(SAMPLES))


def test_the_lock_of_a_killed_writer_is_free(tmp_path):
    assert attempt(tmp_path / "run", 30).returncode == -9
    RunDirectory.open(tmp_path / "run", MANIFEST, 1).close()
