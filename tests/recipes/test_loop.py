"""A stage that goes on from its checkpoint ends in the weights of an uninterrupted one."""

import os
import signal

import pytest
import torch
from safetensors import safe_open
from torch import nn

from retinoscope.errors import InputError
from retinoscope.recipes.pocket._config import Stage
from retinoscope.recipes.pocket._loop import optimise


class Interrupted(Exception):
    pass


def weights(work, stop_at=None, ended_at=None, by=signal.SIGTERM, times=1, checkpoint_seconds=0):
    torch.manual_seed(0)
    model = nn.Linear(4, 4)

    steps = iter(range(100))

    def loss_at(rng):
        if next(steps) == ended_at:
            for _ in range(times):
                os.kill(os.getpid(), by)
        x = torch.from_numpy(rng.standard_normal((8, 4))).float()
        return (model(x) - x.flip(1)).square().mean()

    def report(name, step, steps, loss):
        if step == stop_at:
            raise Interrupted

    stage = Stage(steps=6, batch=8, lr=0.1, warmup=2)
    work.mkdir(exist_ok=True)
    optimise(
        "toy", stage, {"m": model}, loss_at,
        seed=0, work=work, report=report, checkpoint_seconds=checkpoint_seconds,
    )  # fmt: skip
    return model.weight.detach()


@pytest.mark.parametrize("stop_at", [1, 3, 6])
def test_interrupted_and_resumed(tmp_path, stop_at):
    expected = weights(tmp_path / "whole")
    with pytest.raises(Interrupted):
        weights(tmp_path / "parts", stop_at)
    assert torch.equal(weights(tmp_path / "parts"), expected)


def test_a_finished_stage_is_loaded_not_trained_again(tmp_path):
    expected = weights(tmp_path / "w")
    with pytest.raises(Interrupted):
        weights(tmp_path / "other", stop_at=1)
    assert torch.equal(weights(tmp_path / "w", stop_at=1), expected)


@pytest.fixture
def usual_handlers():
    """Whoever started the tests may have had SIGHUP ignored (nohup, a service)."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("usual_handlers")
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_after_its_step_and_loses_none(tmp_path, by):
    """A minute of training was lost: checkpoints were written once a minute only."""
    expected = weights(tmp_path / "whole")
    handlers = signal.getsignal(by)
    with pytest.raises(KeyboardInterrupt):
        weights(tmp_path / "parts", ended_at=2, by=by, checkpoint_seconds=1e9)
    assert signal.getsignal(by) == handlers
    with safe_open(tmp_path / "parts" / "toy.safetensors", "pt") as file:
        assert file.metadata()["step"] == "3"
    assert torch.equal(weights(tmp_path / "parts"), expected)


def test_a_second_interrupt_does_not_wait(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        weights(tmp_path, ended_at=2, by=signal.SIGINT, times=2, checkpoint_seconds=1e9)
    assert not list(tmp_path.iterdir())


def test_a_second_term_waits(tmp_path):
    """Processes of one training get Ctrl-C from the terminal and SIGTERM from the first of them."""
    with pytest.raises(KeyboardInterrupt):
        weights(tmp_path, ended_at=2, times=2, checkpoint_seconds=1e9)
    assert [path.name for path in tmp_path.iterdir()] == ["toy.safetensors"]


def batches_of(work, name, steps=4, **more):
    """The first draw of each step."""
    model, drawn = nn.Linear(1, 1), []

    def loss_at(rng):
        drawn.append(int(rng.integers(2**60)))
        return model(torch.ones(1)).sum()

    stage = Stage(steps=steps, batch=1, lr=0.1, warmup=1)
    optimise(name, stage, {"m": model}, loss_at, seed=0, work=work, report=quiet, **more)
    return drawn


def quiet(*_):
    pass


def test_stages_that_share_batches_see_the_same_ones(tmp_path):
    one, other = (batches_of(tmp_path, name, batches="text") for name in ("text-a", "text-b"))
    assert one == other == batches_of(tmp_path, "text")
    assert len(set(one)) == 4
    assert set(batches_of(tmp_path, "apart")).isdisjoint(one)


def test_a_checkpoint_of_another_length_is_refused(tmp_path):
    batches_of(tmp_path, "toy", steps=2)
    with pytest.raises(InputError, match=r"a checkpoint of 4 steps in .*, got one of 2"):
        batches_of(tmp_path, "toy", steps=4)
