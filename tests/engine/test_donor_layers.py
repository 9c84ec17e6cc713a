"""Patches from another layer, position or model of the donor, held against hooks on the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import pytest
import torch
from PIL import Image
from torch import Tensor

import retinoscope as rs
from retinoscope.engine import Run
from tests.conftest import make_model, make_processor
from tests.engine.decoders import decoder_vlm

TEXT = "What is the color of the car?"
SHORTER = "Describe this image."
Layered = Mapping[int, tuple[list[int], Tensor]]


@pytest.fixture
def run(tiny: rs.VLM, square: Image.Image) -> Run:
    return tiny.run(tiny.prompt(square, TEXT))


@pytest.fixture
def donor(tiny: rs.VLM, portrait: Image.Image) -> Run:
    return tiny.run(tiny.prompt(portrait, SHORTER))


@pytest.fixture
def deeper() -> Run:
    """A run of another model of the same width, with 6 blocks."""
    vlm = rs.load(model=make_model(seed=3, layers=6), processor=make_processor())
    return vlm.run(vlm.prompt(Image.new("RGB", (28, 28), "red"), SHORTER))


def _processed(run: Run) -> dict[str, Tensor]:
    """The prompt through the Hugging Face processor alone."""
    text = f"USER: <image>\n{run.prompt.text} ASSISTANT:"
    return dict(run.vlm.processor(images=run.prompt.images[0], text=text, return_tensors="pt"))


@torch.no_grad()
def _states(run: Run) -> list[Tensor]:
    """The input of every block and the output of the last one, read by hooks."""
    blocks = run.vlm.model.model.language_model.layers
    seen: list[Tensor] = []
    hooks = [
        block.register_forward_pre_hook(
            lambda _, args, kwargs: seen.append((args or (kwargs["hidden_states"],))[0][0]),
            with_kwargs=True,
        )
        for block in blocks
    ]
    hooks.append(blocks[-1].register_forward_hook(lambda _, __, output: seen.append(output[0])))
    try:
        run.vlm.model(**_processed(run))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _overwrite(places: list[int], values: Tensor, states: Tensor) -> Tensor:
    # While generating, the steps after the prompt hold a single position.
    if states.shape[1] > 1:
        states = states.clone()
        states[0, places] = values
    return states


def _hooked(run: Run, edits: Layered, call: Callable[..., Tensor]) -> Tensor:
    """What `call` of the prompt returns while states are overwritten by layer."""
    blocks = run.vlm.model.model.language_model.layers
    hooks = []
    for layer, (places, values) in edits.items():
        change = partial(_overwrite, places, values)
        if layer == len(blocks):
            hook = blocks[-1].register_forward_hook(lambda _, __, output, f=change: f(output))
        else:
            hook = blocks[layer].register_forward_pre_hook(
                lambda _, args, f=change: (f(args[0]), *args[1:])
            )
        hooks.append(hook)
    try:
        with torch.no_grad():
            return call(**_processed(run))
    finally:
        for hook in hooks:
            hook.remove()


def _check(run: Run, patch: rs.Patch, wanted: dict[int, int]) -> None:
    """A patch on both paths equals hooks that put the donor's layer at the run's.

    Args:
        wanted: the donor's layer by the run's.
    """
    assert isinstance(patch.donor, Run)
    states = _states(patch.donor)
    there = list((patch.donor_positions or patch.positions).positions)
    places = list(patch.positions.positions)
    edits = {layer: (places, states[source][there]) for layer, source in wanted.items()}
    logits = _hooked(run, edits, lambda **given: run.vlm.model(**given).logits[0, -1])
    options = {"max_new_tokens": 4, "do_sample": False}
    written = _hooked(run, edits, lambda **given: run.vlm.model.generate(**given, **options))
    assert (logits - run.logits).abs().max() > 1e-3
    for exact in ("incremental", "reference"):
        effects = run.counterfactuals([patch], exact=exact)
        assert effects.path == (exact,)
        assert (effects.logits[0] - logits).abs().max() <= 1e-5 * logits.abs().max()
        assert effects.generate(4)[0].token_ids.tolist() == written[0, run.n :].tolist()


@pytest.mark.parametrize(
    ("layers", "donor_layers", "wanted"),
    [
        (1, 3, {1: 3}),
        ([2], [0], {2: 0}),
        ([3, 1], [0, 4], {3: 0, 1: 4}),
        ([3, 1, 3], [2, 0, 2], {3: 2, 1: 0}),
        (range(5), reversed(range(5)), {0: 4, 1: 3, 2: 2, 3: 1, 4: 0}),
        ([3, 1], None, {3: 3, 1: 1}),
    ],
)
def test_the_donors_layers_stay_with_the_runs(run, donor, layers, donor_layers, wanted) -> None:
    here, there = run.image.at([5, 40]) | run.positions["last"], donor.image.at([7, 8, 30])
    _check(run, rs.Patch(here, layers, donor, there, donor_layers), wanted)


def test_the_runs_own_state_from_another_layer(run: Run) -> None:
    obj = run.image.covering((10, 20, 30, 40))
    _check(run, rs.Patch(obj, [1, 2], run, donor_layers=[3, 4]), {1: 3, 2: 4})


def test_a_donor_of_another_model(run: Run, deeper: Run) -> None:
    here, there = run.image.at([3, 9]), deeper.image.at([4, 2])
    _check(run, rs.Patch(here, [1, 4], deeper, there, [6, 5]), {1: 6, 4: 5})
    # The last layer of one model is not the last layer of the other.
    with pytest.raises(rs.InputError, match="layers of the donor from 0 to 6, got 7"):
        run.resolve([rs.Patch(here, [4], deeper, there, [7])])
    with pytest.raises(rs.InputError, match="layers from 0 to 4, got 5"):
        run.resolve([rs.Patch(here, [5], deeper, there, [1])])
    back = partial(rs.Patch, there, [5], run, here)
    with pytest.raises(rs.InputError, match="layers of the donor from 0 to 4, got 5"):
        deeper.resolve([back()])
    _check(deeper, back(donor_layers=[4]), {5: 4})


@pytest.mark.parametrize("kind", ["qwen2", "mistral, sliding window"])
def test_both_paths_agree_on_other_decoders(kind: str, square: Image.Image) -> None:
    vlm = decoder_vlm(kind)
    run, donor = (vlm.run(vlm.prompt(square, text)) for text in (TEXT, SHORTER))
    last = donor.positions["last"]
    patches = [
        rs.Patch(run.positions["last"], [layer], donor, last, [source])
        for layer in range(5)
        for source in range(5)
    ]
    fast, plain = (
        run.counterfactuals(patches, exact=exact).logits for exact in ("incremental", "reference")
    )
    assert (fast - plain).abs().max() <= 1e-5 * plain.abs().max()
    # At the last layer, nothing but the patched state is left of the run.
    lens = vlm.adapter.read_out(torch.stack([donor.hidden(layer)[-1] for layer in range(5)]))
    assert (fast[-5:] - lens).abs().max() <= 1e-5 * lens.abs().max()


def test_counts_that_differ_and_contradictions_are_refused(run: Run) -> None:
    obj = run.image.at([1, 2])
    for wrong in ([1], [1, 2, 3], [], 1):
        with pytest.raises(rs.InputError, match="one donor layer for each of 2 layers"):
            rs.Patch(obj, [1, 2], run, donor_layers=wrong)
    with pytest.raises(rs.InputError, match="one donor layer for layer 1, got 0 and 3"):
        rs.Patch(obj, [1, 1], run, donor_layers=[0, 3])
    with pytest.raises(rs.InputError, match="donor_layers"):
        rs.Patch(obj, [1], run, donor_layers=["2"])  # type: ignore[list-item]
    with pytest.raises(rs.InputError, match="layers of the donor from 0 to 4, got -1"):
        run.resolve([rs.Patch(obj, [1], run, donor_layers=[-1])])


def test_a_copy_with_other_layers_takes_the_same_layers_of_the_donor(run: Run, donor: Run) -> None:
    there = donor.image.at([1, 2])
    patch = rs.Patch(run.image.at([1, 2]), [1], donor, there)
    _check(run, replace(patch, layers=[2]), {2: 2})
