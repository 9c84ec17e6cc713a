"""The patchscope against hooks on the model, its identities, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.errors import UnknownWordsWarning
from retinoscope.lens import Patchscope
from retinoscope.tokens import TokenSet
from tests.conftest import make_model, make_processor

TARGET = "Is there a car in this image?"
_GREEDY: dict[str, Any] = {"max_new_tokens": 4, "do_sample": False}


@pytest.fixture
def run(tiny: rs.VLM, square: Image.Image) -> Run:
    return tiny.run(tiny.prompt(square, "Describe this image."))


@pytest.fixture
def target(tiny: rs.VLM) -> Run:
    return tiny.run(tiny.prompt(None, TARGET, prefill="It is a"))


def _given(run: Run) -> dict[str, Tensor]:
    """The prompt through the Hugging Face processor alone."""
    shown = "<image>\n" if run.images else ""
    end = f" {run.prompt.prefill}" if run.prompt.prefill else ""
    text = f"USER: {shown}{run.prompt.text} ASSISTANT:{end}"
    images = list(run.prompt.images) or None
    return dict(run.vlm.processor(images=images, text=text, return_tensors="pt"))


@torch.no_grad()
def _states(run: Run) -> list[Tensor]:
    """The input of every block and the output of the last one, read by hooks."""
    blocks = run.vlm.model.model.language_model.layers
    seen: list[Tensor] = []
    hooks = [
        block.register_forward_pre_hook(lambda _, args: seen.append(args[0][0])) for block in blocks
    ]
    hooks.append(blocks[-1].register_forward_hook(lambda _, __, output: seen.append(output[0])))
    try:
        run.vlm.model(**_given(run))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


@torch.no_grad()
def _hooked(
    target: Run, place: int, layer: int, state: Tensor, call: Callable[..., Tensor]
) -> Tensor:
    """What `call` of the target prompt returns with one state overwritten."""
    blocks = target.vlm.model.model.language_model.layers

    def overwritten(states: Tensor) -> Tensor:
        # While generating, the steps after the prompt hold a single position.
        if states.shape[1] > 1:
            states = states.clone()
            states[0, place] = state
        return states

    if layer < len(blocks):
        hook = blocks[layer].register_forward_pre_hook(
            lambda _, args: (overwritten(args[0]), *args[1:])
        )
    else:
        hook = blocks[-1].register_forward_hook(lambda _, __, output: overwritten(output))
    try:
        return call(**_given(target))
    finally:
        hook.remove()


@pytest.mark.parametrize("layer", [None, 0, 2])
def test_equals_hooks_on_the_model(run: Run, target: Run, layer: int | None) -> None:
    model, tokenizer, states = target.vlm.model, target.vlm.tokenizer, _states(run)
    place, positions = target.tokens.index(" car"), run.image.at([3, 17, 40])
    scope = Patchscope(target, "car", layer)
    lens = run.lens(top_k=4, positions=positions, kind=scope)
    texts = scope.generate(run, positions, max_new_tokens=4)
    assert lens.kind == "patchscope"
    assert (lens.layers, lens.positions) == (tuple(range(5)), positions.positions)
    dog, word = lens.prob(" dog"), tokenizer(" dog", add_special_tokens=False).input_ids[0]
    for row, column in [(row, column) for row in lens.layers for column in range(3)]:
        at, state = row if layer is None else layer, states[row][positions.positions[column]]
        logits = _hooked(target, place, at, state, lambda **given: model(**given).logits[0, -1])
        probs = logits.softmax(-1)
        torch.testing.assert_close(lens.probs[row, column], probs.topk(4).values)
        torch.testing.assert_close(probs[lens.ids[row, column]], lens.probs[row, column])
        torch.testing.assert_close(dog[row, column], probs[word])
        written = _hooked(target, place, at, state, partial(model.generate, **_GREEDY))
        new = written[0, target.n :]
        assert texts[row][column] == tokenizer.decode(new, skip_special_tokens=True).strip()
    assert (lens.probs[:, 0] != lens.probs[:, 1]).any()


def test_the_placeholders_own_state_gives_the_targets_own_distribution(target: Run) -> None:
    place = target.tokens.index(" car")
    lens = target.lens(positions=[place], kind=Patchscope(target, "car"))
    own = target.logits.softmax(-1).topk(5)
    assert lens.ids[:, 0].tolist() == [own.indices.tolist()] * 5
    torch.testing.assert_close(lens.probs[:, 0], own.values.expand(5, -1))
    texts = Patchscope(target, "car").generate(target, [place], [0, 2], 5)
    assert texts == ((target.generate(5).text,),) * 2


def test_the_last_layer_of_a_placeholder_at_the_end_gives_the_logit_lens(run: Run) -> None:
    end = run.vlm.run(run.vlm.prompt(None, "a cat and a dog", raw=True))
    assert end.tokens[-1] == " dog"
    scope = Patchscope(end, " Dog ", layer=4)
    lens, logit = run.lens(kind=scope), run.lens()
    assert torch.equal(lens.ids, logit.ids)
    torch.testing.assert_close(lens.probs, logit.probs)
    assert torch.equal(lens.rank([" cat", " red"]), logit.rank([" cat", " red"]))
    # Elsewhere the prompt that the state is put into has its say.
    other = run.lens(kind=Patchscope(end, "cat", layer=4))
    assert torch.allclose(other.probs, end.logits.softmax(-1).topk(5).values.expand(5, run.n, -1))


def test_the_last_occurrence_of_the_placeholder_is_replaced(run: Run) -> None:
    twice = run.vlm.run(run.vlm.prompt(None, "a cat and a cat is", raw=True))
    place = len(twice.tokens) - 2
    assert twice.tokens[place] == " cat"
    lens = run.lens(positions=[9], layers=2, kind=Patchscope(twice, "cat"))
    here = TokenSet.of(twice.sequence, [place])
    patch = rs.Patch(here, 2, run, TokenSet.of(run.sequence, [9]))
    logits = twice.counterfactuals([patch], exact="reference").logits[0]
    torch.testing.assert_close(lens.probs[0, 0], logits.softmax(-1).topk(5).values)


def test_little_memory_gives_the_same(run: Run, target: Run) -> None:
    whole = run.lens(kind=Patchscope(target, "car"))
    bounded = run.lens(kind=Patchscope(target, "car", memory="60KB"))
    torch.testing.assert_close(bounded.probs, whole.probs)
    assert torch.equal(bounded.ids, whole.ids)


@pytest.mark.parametrize("name", ["pocket", "pocket-none"])
def test_the_default_prompt_suits_the_embedded_models(name: str) -> None:
    vlm = rs.load(name)
    run = vlm.run(vlm.prompt(rs.data.scenes(1, seed=5)[0].image, "Describe this image."))
    target = vlm.run(vlm.prompt(None, "What is this thing?", prefill="It is a"))
    positions: Sequence[int] = run.image.at([0, 70]).positions
    named = run.lens(top_k=1, positions=positions, kind="patchscope", layers=[1, 5])
    given = run.lens(top_k=1, positions=positions, kind=Patchscope(target), layers=[1, 5])
    assert torch.equal(named.ids, given.ids)
    assert torch.equal(named.probs, given.probs)
    texts = Patchscope().generate(run, run.image.at([0, 70]), [5, 1], 6)
    for words, row in zip(texts, reversed(named.tokens), strict=True):
        for text, word in zip(words, row, strict=True):
            assert text.split()[0] == word[0].strip()


def test_what_cannot_be_done_is_refused(run: Run, target: Run) -> None:
    with pytest.raises(rs.InputError, match=r"'table' as one token .* ASSISTANT: \|  It \|  is"):
        run.lens(kind=Patchscope(target, "table"))
    # The tiny tokenizer does not know the word of the default prompt.
    with (
        pytest.warns(UnknownWordsWarning, match="thing"),
        pytest.raises(rs.InputError, match="'thing' as one token"),
    ):
        run.lens(kind="patchscope")
    vlm = rs.load(model=make_model(seed=1), processor=make_processor())
    with pytest.raises(rs.InputError, match="another model"):
        run.lens(kind=Patchscope(vlm.run(vlm.prompt(None, TARGET)), "car"))
    with pytest.raises(rs.InputError, match="layers from 0 to 4, got 5"):
        run.lens(kind=Patchscope(target, "car", layer=5))
    for wrong in (-1, 1.5, True):
        with pytest.raises(rs.InputError, match="layer"):
            Patchscope(target, "car", layer=wrong)  # type: ignore[arg-type]
    with pytest.raises(rs.InputError, match="placeholder"):
        Patchscope(target, " ")
    with pytest.raises(rs.InputError, match="a run as target"):
        Patchscope(TARGET)  # type: ignore[arg-type]
    scope = Patchscope(target, "car")
    with pytest.raises(rs.InputError, match="another run"):
        scope.generate(run, target.positions["last"])
    with pytest.raises(rs.InputError, match="layers from 0 to 4, got 7"):
        scope.generate(run, [0], 7)
    with pytest.raises(rs.InputError, match="positions from 0"):
        scope.generate(run, [run.n])
    with pytest.raises(rs.CapabilityError, match="probability"):
        run.lens(kind=scope, positions=[0]).similarity(" cat")


def test_a_target_from_before_the_model_changed_is_refused(square: Image.Image) -> None:
    vlm = rs.load(model=make_model(seed=2), processor=make_processor())
    target = vlm.run(vlm.prompt(None, TARGET))
    with torch.no_grad():
        vlm.model.lm_head.weight.mul_(1.5)
    run = vlm.run(vlm.prompt(square, "Describe this image."))
    with pytest.raises(rs.InputError, match="weights"):
        run.lens(kind=Patchscope(target, "car"))
