"""A study on a local Ray cluster of two workers, one of which is killed in the middle."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch

pytest.importorskip("ray", reason="needs the extra 'scale'")

import ray

from retinoscope import load
from retinoscope.cli import main
from retinoscope.errors import InputError, StudyError
from retinoscope.scale import RayWorkers, _ray
from retinoscope.sources import open_source
from retinoscope.studies import AttentionKnockout, LogitLens, Study, TokenAblation

pytestmark = pytest.mark.slow
SCENES = "scenes:12"
RESULTS = "results.parquet"
FILES = (RESULTS, "examples.json")


def knockout(vlm, samples) -> Study:
    return AttentionKnockout(vlm, samples, windows=("all",), targets=("last",))


def ablation(vlm, samples) -> Study:
    return TokenAblation(vlm, samples[:4], tasks=("polling",), conditions=("object", "control"))


def lens(vlm, samples) -> Study:
    return LogitLens(vlm, samples[:4], untrained=False)


@pytest.fixture(scope="module")
def _cluster() -> Iterator[None]:
    """One that the tests' workers join and leave as it is; who started it ends it."""
    assert not ray.is_initialized()
    with RayWorkers(partial(load, "pocket"), partial(open_source, SCENES)):
        yield
        assert ray.is_initialized()
    assert not ray.is_initialized()


@pytest.fixture
def _one_thread():
    """As on the workers: the last bits of a sum depend on how many threads share it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def _by_value():
    """Classes of this file reach workers that cannot import it."""
    from ray import cloudpickle

    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


@pytest.mark.usefixtures("_cluster", "_one_thread")
def test_a_killed_worker_changes_no_byte(tmp_path: Path) -> None:
    samples = open_source(SCENES)
    vlm = load("pocket")
    here = knockout(vlm, samples).run(tmp_path / "here").path
    killed: list[int] = []
    with RayWorkers(
        partial(load, "pocket"), partial(open_source, SCENES), workers=2, threads=1
    ) as workers:

        def kill(done: int, total: int, what: str) -> None:
            # The first one: it has given results, while the other may still load the model.
            if done == 3:
                killed.append(workers.pids[0])
                os.kill(killed[0], signal.SIGKILL)

        model = workers.model()
        assert model.fingerprint == vlm.fingerprint
        results = knockout(model, samples).run(tmp_path / "there", kill, executor=workers)
        for make in (ablation, lens):
            # The workers still have the model; a worker's data may be longer than the study's.
            alone = make(vlm, samples).run(tmp_path / f"{make.__name__}-here")
            far = make(model, samples).run(tmp_path / f"{make.__name__}-there", executor=workers)
            assert (far.path / RESULTS).read_bytes() == (alone.path / RESULTS).read_bytes()
    assert killed
    assert killed[0] not in workers.pids
    assert not results.failures()
    for name in FILES:
        assert (tmp_path / "there" / name).read_bytes() == (here / name).read_bytes()


class Deadly(Sequence):
    """Scenes of which the second ends whatever other process reads it."""

    def __init__(self, home: int) -> None:
        self.home, self.scenes = home, open_source("scenes:3")

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self
        if index == 1 and os.getpid() != self.home:
            os._exit(1)
        return self.scenes[index]


@pytest.mark.usefixtures("_cluster", "_by_value")
def test_a_sample_that_costs_several_workers_becomes_a_row(tmp_path: Path) -> None:
    samples = Deadly(os.getpid())
    with RayWorkers(
        partial(load, "pocket"), partial(Deadly, os.getpid()), workers=1, threads=1, tries=2
    ) as workers:
        study = knockout(workers.model(), samples)
        results = study.run(tmp_path / "run", executor=workers)
    ((_, error),) = results.failures()
    assert "2 workers were lost" in error
    assert results.n_samples == 3


@pytest.mark.usefixtures("_cluster")
def test_workers_that_are_lost_before_they_are_ready_end_the_study() -> None:
    with (
        RayWorkers(partial(os._exit, 1), partial(open_source, SCENES), tries=2) as workers,
        pytest.raises(StudyError, match="2 workers were lost before they were ready"),
    ):
        workers.model()


COMMANDS = (
    "1 lens pocket scenes:4 --no-untrained",
    "1 probe small:contrastive-max scenes:16 --seeds 1 --tasks name foreground --no-controls",
)


@pytest.mark.usefixtures("_cluster", "_one_thread")
@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_spreads_studies_of_every_kind_of_model(
    command: str, tmp_path: Path
) -> None:
    workers, *given = command.split()
    for name, scale in (("here", ()), ("there", ("--scale", "ray", "--workers", workers))):
        assert main([*given, "--out", str(tmp_path / name), *scale]) == 0
    here, there = ((tmp_path / name / RESULTS).read_bytes() for name in ("here", "there"))
    assert here == there


@pytest.mark.usefixtures("_cluster")
@pytest.mark.parametrize("started", [False, True])
def test_a_cluster_without_room_is_refused(started: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was started for these workers alone is ended."""
    ended: list[bool] = []
    monkeypatch.setattr(_ray, "connect", lambda *_: started)
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append(True))
    with pytest.raises(InputError, match="room for a worker"):
        RayWorkers(partial(load, "pocket"), partial(open_source, SCENES), gpus=8)
    assert ended == [True] * started


@pytest.mark.usefixtures("_cluster")
def test_a_bad_model_is_refused() -> None:
    with (
        RayWorkers(partial(load, "/no/such/model"), partial(open_source, SCENES)) as workers,
        pytest.raises(InputError, match="no such folder"),
    ):
        workers.model()
