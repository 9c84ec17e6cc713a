"""An intervention that would change nothing, or cannot be carried out, is refused beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.tokens import TokenSet
from tests.engine.decoders import decoder_vlm


@pytest.fixture
def run(tiny: rs.VLM, square: Image.Image) -> Run:
    return tiny.run(tiny.prompt(square, "Describe this image."))


@pytest.fixture
def other(tiny: rs.VLM, square: Image.Image) -> Run:
    return tiny.run(tiny.prompt(square, "Is there a cat in this image?"))


def _refused(run: Run, condition: object, match: str) -> None:
    with pytest.raises(rs.InputError, match=match) as error:
        run.counterfactuals([condition])  # type: ignore[list-item]
    assert "\n" not in str(error.value)


def test_empty_sets(run: Run) -> None:
    obj = run.image.at([0, 1])
    _refused(run, rs.Ablate(obj - obj), "got none")
    _refused(run, rs.Knockout(obj - obj, "last"), "got none")
    _refused(run, rs.Knockout(obj, run.positions["generated"]), "got none")
    _refused(run, rs.Patch(obj - obj, [1], run), "got none")
    _refused(run, rs.Knockout(obj, "last", layers=[]), "layer")
    _refused(run, rs.Patch(obj, [], run), "layer")
    with pytest.raises(rs.InputError, match="at least one intervention"):
        run.counterfactuals([])


def test_sets_of_another_run(run: Run, other: Run) -> None:
    _refused(run, rs.Ablate(other.image.at([0])), "another run")
    _refused(run, rs.Knockout(run.image.at([0]), other.positions["last"]), "another run")


def test_layers_and_heads_that_are_not_there(run: Run) -> None:
    obj = run.image.at([3])
    _refused(run, rs.Knockout(obj, "last", layers=[4]), "layers from 0 to 3, got 4")
    _refused(run, rs.Knockout(obj, "last", heads=[-1]), "heads from 0 to 3, got -1")
    _refused(run, rs.Patch(obj, [5], run), "layers from 0 to 4, got 5")


def test_edges_that_a_causal_decoder_does_not_have(run: Run) -> None:
    _refused(run, rs.Knockout(run.positions["last"], run.image.at([0])), "causal")


def test_a_row_without_keys_in_its_window() -> None:
    vlm = decoder_vlm("mistral, sliding window")
    run = vlm.run(vlm.prompt(Image.new("RGB", (28, 28)), "Describe this image."))
    near = TokenSet.of(run.sequence, range(run.n - 20, run.n))
    _refused(run, rs.Knockout(near, "last", layers=[1]), "at least one key .* layer 1")
    wider = TokenSet.of(run.sequence, range(run.n - 19, run.n))
    assert run.counterfactuals([rs.Knockout(wider, "last", layers=[1])]).logits.isfinite().all()


def test_a_row_without_keys(run: Run) -> None:
    everything = TokenSet.of(run.sequence, range(run.n))
    _refused(run, rs.Knockout(everything, "last", layers=[2]), "at least one key .* layer 2")
    half = TokenSet.of(run.sequence, range(30))
    _refused(
        run,
        [rs.Knockout(half, "last"), rs.Knockout(~half, "last", layers=[1], heads=[2])],
        "layer 1",
    )
    run.counterfactuals([[rs.Knockout(half, "last", [0]), rs.Knockout(~half, "last", [1])]])


def test_ablations_that_overlap(run: Run) -> None:
    a, b = run.image.at([1, 2]), run.image.at([2, 3])
    _refused(run, [rs.Ablate(a), rs.Ablate(b, rs.fill.noise(0))], "twice")


def test_two_values_for_one_state(run: Run, tiny: rs.VLM) -> None:
    other = tiny.run(tiny.prompt(Image.new("RGB", (28, 28), "red"), "Describe this image."))
    a, b = run.image.at([1, 2]), run.image.at([2, 3])
    shared = b.positions[0]
    _refused(run, [rs.Patch(a, [1, 2], run), rs.Patch(b, 2, other)], f"{shared} at layer 2")
    _refused(run, [rs.Ablate(a), rs.Patch(b, [0, 3], other)], f"{shared} at layer 0")
    apart = [rs.Patch(a, [2], other), rs.Patch(b - a, [2], other)]
    at_once = rs.Patch(a | b, [2], other)
    # Beside each other, at different layers and over an ablated input there is nothing to decide.
    fine = [apart, at_once, [rs.Ablate(a), rs.Patch(a, [1], other)], [rs.Patch(a, (1, 1), other)]]
    logits = run.counterfactuals(fine).logits
    assert torch.equal(logits[0], logits[1])
    _refused(run, [rs.Patch(a, [1], run)] * 2, "two patches")
    cut = rs.Knockout(a, "last", layers=1)
    twice, once = run.counterfactuals([[cut, cut], cut]).logits
    assert torch.equal(twice, once)


@pytest.mark.parametrize("wrong", ["12", [1.9], [True], [None], {"1": 2}, 1.5])
def test_numbers_of_another_type(run: Run, wrong: Any) -> None:
    obj = run.image.at([3])
    for make in (
        lambda: rs.Knockout(obj, "last", layers=wrong),
        lambda: rs.Knockout(obj, "last", heads=wrong),
        lambda: rs.Patch(obj, wrong, run),
        lambda: run.hidden(1, wrong),
        lambda: run.lens(positions=wrong),
        lambda: run.hidden(wrong),
        lambda: run.attention(wrong),
        lambda: run.generate(wrong),
        lambda: run.lens(top_k=wrong),
        lambda: run.counterfactuals([()], batch_size=wrong),
        lambda: run.soft_origin(wrong),
        lambda: obj.grow(wrong),
        lambda: rs.fill.noise(wrong),
    ):
        with pytest.raises(rs.InputError):
            make()


def test_one_layer_is_that_layer(run: Run) -> None:
    obj = run.image.at([3])
    one, several = run.counterfactuals(
        [rs.Knockout(obj, "last", layers=2, heads=np.int64(1)), rs.Knockout(obj, "last", [2], [1])]
    ).logits
    assert torch.equal(one, several)
    for wrong in (obj.indices, obj.indices[0]):
        with pytest.raises(rs.InputError, match="expected positions"):
            run.hidden(0, wrong)
    with pytest.raises(rs.InputError, match="seed"):
        rs.fill.noise(-1)


def test_donors_of_another_length(run: Run, other: Run) -> None:
    obj = run.image.at([1, 2])
    _refused(run, rs.Patch(obj, [1], other), "donor_positions")
    run.counterfactuals([rs.Patch(obj, [1], other, donor_positions=other.image.at([1, 2]))])


def test_things_that_are_no_interventions(run: Run) -> None:
    _refused(run, "ablate", "expected Ablate")
    with pytest.raises(rs.InputError, match="expected a fill"):
        rs.Ablate(run.image.at([0]), "mean")  # type: ignore[arg-type]
    with pytest.raises(rs.InputError, match=r"its \.tokens"):
        rs.Ablate(run.image)  # type: ignore[arg-type]
    with pytest.raises(rs.InputError, match="a run as donor"):
        rs.Patch(run.image.at([0]), [1], run.image)  # type: ignore[arg-type]
    with pytest.raises(rs.InputError, match="as target"):
        rs.Knockout(run.image.at([0]), "first")  # type: ignore[arg-type]
    with pytest.raises(rs.InputError, match="reference"):
        run.counterfactuals([[]], exact="fast")  # type: ignore[arg-type]


def test_flash_attention_takes_no_knockouts(tiny: rs.VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny.model.config.text_config
    monkeypatch.setattr(config, "_attn_implementation_internal", "flash_attention_2")
    found = tiny.adapter.capabilities()
    assert not found.supports("knockout")
    with pytest.raises(rs.CapabilityError, match="sdpa"):
        found.require("knockout")
