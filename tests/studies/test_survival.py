"""A study that is ended at any moment goes on to the same bytes; samples that fail are counted."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from retinoscope.errors import InputError, StudyError
from retinoscope.signals import stopped_by_signals
from retinoscope.store import RunDirectory
from retinoscope.studies import (
    AttentionKnockout,
    LogitLens,
    TokenAblation,
    open_results,
)
from tests.studies import survivor
from tests.studies.survivor import SAMPLES, Zygote

KILLS = 50
FILES = ("results.parquet", "examples.json")


@pytest.fixture(scope="module")
def zygote():
    made = Zygote()
    yield made
    made.close()


@pytest.fixture(scope="module")
def whole(zygote, tmp_path_factory):
    """The bytes of an uninterrupted run, and how long it took."""
    folder = tmp_path_factory.mktemp("whole")
    done = zygote.run(folder)
    assert done["code"] == 0
    return {name: (folder / name).read_bytes() for name in FILES}, done["seconds"]


def test_killed_at_fifty_points_it_ends_in_the_same_bytes(zygote, whole, tmp_path):
    expected, seconds = whole
    points = random.Random(0)
    kills = dict.fromkeys(("between calls", "SIGKILL", "SIGTERM", "SIGHUP", "SIGINT"), 0)
    finished = 0
    folder = tmp_path / "0"
    while sum(kills.values()) < KILLS or not (folder / FILES[-1]).exists():
        if (folder / FILES[-1]).exists():
            finished += 1
            folder = tmp_path / str(finished)
        if sum(kills.values()) >= KILLS:
            assert zygote.run(folder)["code"] == 0
            continue
        if points.random() < 0.5:
            code = zygote.run(folder, deadly=points.randint(1, 120))["code"]
            assert code in (0, -signal.SIGKILL)
            kills["between calls"] += code != 0
        else:
            by = points.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
            after = points.uniform(0, 0.6 * seconds)
            code = zygote.run(folder, after=after, by=by)["code"]
            # Before the study takes them over, SIGTERM and SIGHUP end the process as always.
            assert code in (0, 130, -by), code
            kills[by.name] += code != 0
        if (folder / FILES[-1]).exists():
            for name in FILES:
                assert (folder / name).read_bytes() == expected[name], folder
    assert min(kills.values()) > 0, kills
    for name in FILES:
        assert (folder / name).read_bytes() == expected[name]
    assert not list(tmp_path.rglob(".tmp-*"))
    assert len(list((folder / "parts").iterdir())) < 8


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_keeps_what_is_finished(zygote, whole, tmp_path, by):
    code = zygote.run(tmp_path / "run", at=11, by=by)["code"]
    assert code == 130
    with RunDirectory.open(tmp_path / "run", *_identity(tmp_path / "run")) as directory:
        kept = len(directory.done())
    assert 11 <= kept < SAMPLES
    assert zygote.run(tmp_path / "run")["code"] == 0
    assert (tmp_path / "run" / FILES[0]).read_bytes() == whole[0][FILES[0]]


def test_a_study_that_is_killed_after_each_sample_gets_on(zygote, whole, tmp_path):
    folder = tmp_path / "run"
    for session in range(5):
        # While the second sample of the session is computed: seconds after the first was finished.
        assert zygote.run(folder, at=session + 1)["code"] == -signal.SIGKILL
        with RunDirectory.open(folder, *_identity(folder)) as directory:
            assert len(directory.done()) == session + 1
    assert zygote.run(folder)["code"] == 0
    assert (folder / FILES[0]).read_bytes() == whole[0][FILES[0]]


def _identity(folder):
    manifest = json.loads((folder / "run.json").read_text())
    return manifest, manifest["schema"]


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP])
def test_a_handler_of_the_program_and_other_threads_are_left_alone(tmp_path, by):
    seen = []
    previous = signal.signal(by, lambda *_: seen.append("ours"))
    try:
        survivor.study(2).run(tmp_path / "a", lambda *_: signal.raise_signal(by))
    finally:
        signal.signal(by, previous)
    assert seen
    worker = threading.Thread(target=lambda: survivor.study(2).run(tmp_path / "b"))
    worker.start()
    worker.join()
    assert open_results(tmp_path / "b").n_samples == 2
    assert signal.getsignal(by) == previous


def test_a_signal_in_a_finaliser_is_not_lost():
    class Dropped:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt), stopped_by_signals():
        _drop_and_wait(Dropped)


def _drop_and_wait(kind):
    kind()
    # The signal comes again between two instructions of the main thread.
    for _ in range(500):
        time.sleep(0.01)


def test_samples_that_fail_are_rows_and_are_counted(tmp_path):
    results = survivor.study(14).run(tmp_path)
    assert results.failures() == [
        (f"picture-{index:06d}", f"ValueError: picture-{index:06d} is torn") for index in (5, 12)
    ]
    assert results.errors() == results.failures()
    assert results.n_samples == 14


class Torn(survivor.Survivor):
    """Fails at every third sample, while `broken`."""

    broken = True

    def _rows(self, context, index, sample, keep):
        if self.broken and index % 3 == 0:
            raise MemoryError
        return super()._rows(context, index + 7 * 1000, sample, False)


def torn(**options):
    return Torn(survivor.Model(), survivor.Pictures(60), **options)


def test_too_many_failures_stop_the_run_and_can_be_tried_again(tmp_path, monkeypatch):
    with pytest.raises(StudyError, match=r"of the first 20 samples failed.*max_failures \(0\.25\)"):
        torn(max_failures=0.25).run(tmp_path / "run")
    with RunDirectory.open(tmp_path / "run", *_identity(tmp_path / "run")) as directory:
        assert len(directory.done()) == 20
    with pytest.raises(StudyError, match="failed"):
        torn(max_failures=0.25).run(tmp_path / "run")
    monkeypatch.setattr(Torn, "broken", False)
    results = torn(max_failures=0.25).run(tmp_path / "run", retry_failed=True)
    whole = torn(max_failures=1.0).run(tmp_path / "whole")
    assert (results.path / FILES[0]).read_bytes() == (whole.path / FILES[0]).read_bytes()
    assert len(results.failures()) == 8


def test_a_larger_share_lets_a_stopped_run_go_on(tmp_path):
    with pytest.raises(StudyError):
        torn(max_failures=0.25).run(tmp_path / "run")
    results = torn(max_failures=0.6).run(tmp_path / "run")
    assert results.n_samples == 60
    with pytest.raises(InputError, match="max_failures as a share"):
        torn(max_failures=2).run(tmp_path / "x")


@pytest.mark.parametrize("name", ["ablation", "lens", "knockout"])
def test_nan_in_the_logits_fails_the_sample(name, seer, make_samples, tmp_path):
    samples = make_samples(3)

    class Broken(seer):
        def run(self, prompt):
            done = super().run(prompt)
            if done.sample.id == "drawn-1":
                done.logits[3] = torch.nan
            return done

    vlm = Broken(samples)
    study = {
        "ablation": lambda: TokenAblation(vlm, samples),
        "lens": lambda: LogitLens(vlm, samples, untrained=False),
        "knockout": lambda: AttentionKnockout(vlm, samples),
    }[name]()
    results = study.run(tmp_path)
    ((sample, error),) = results.failures()
    assert sample == "drawn-1"
    assert "1 of 14 logits are NaN" in error
    # Not every object has inner tokens, or other masks beside it.
    rows = [row for row in results.summary().to_pylist() if row.get("group", "object") == "object"]
    assert {row["n_samples" if name != "lens" else "n_images"] for row in rows} == {2}


def test_fingerprints_are_kept_and_changed_data_is_noticed(seer, make_samples, tmp_path):
    class Source(list):
        fingerprint = "drawn"
        reads = 0

        def __getitem__(self, index):
            Source.reads += 1
            return super().__getitem__(index)

    samples = Source(make_samples(4))

    def stop(done, total, what):
        if done == 2:
            raise KeyboardInterrupt

    study = AttentionKnockout(seer(list(samples)), samples)
    with pytest.raises(KeyboardInterrupt):
        study.run(tmp_path / "run", stop)
    Source.reads = 0
    changed = Source(samples)
    pixels = np.array(changed[3].image)
    pixels[0, 0] += 1
    changed[3] = replace(changed[3], image=Image.fromarray(pixels))
    with pytest.raises(StudyError, match="sample 3 is not what it was"):
        replace(study, samples=changed).run(tmp_path / "run")
    Source.reads = 0
    study.run(tmp_path / "run")
    assert Source.reads == 1, "only what was left is read"
    whole = AttentionKnockout(seer(list(samples)), list(samples)).run(tmp_path / "whole")
    assert (tmp_path / "run" / FILES[0]).read_bytes() == (whole.path / FILES[0]).read_bytes()


def test_two_processes_on_one_run(zygote, tmp_path):
    folder = tmp_path / "run"

    def second(done, total, what):
        if done == 1:
            assert zygote.run(folder)["code"] == 1

    survivor.study(4).run(folder, second)
    assert open_results(folder).n_samples == 4
