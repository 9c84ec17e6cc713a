"""A stage that goes on from its checkpoint ends in the weights of an uninterrupted one."""

import pytest
import torch
from torch import nn

from retinoscope.pocket.recipe._config import Stage
from retinoscope.pocket.recipe._loop import optimise


class Interrupted(Exception):
    pass


def weights(work, stop_at=None):
    torch.manual_seed(0)
    model = nn.Linear(4, 4)

    def loss_at(rng):
        x = torch.from_numpy(rng.standard_normal((8, 4))).float()
        return (model(x) - x.flip(1)).square().mean()

    def report(name, step, steps, loss):
        if step == stop_at:
            raise Interrupted

    stage = Stage(steps=6, batch=8, lr=0.1, warmup=2)
    work.mkdir(exist_ok=True)
    optimise(
        "toy", stage, {"m": model}, loss_at,
        seed=0, work=work, report=report, checkpoint_seconds=0,
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
