"""An intervention that would change nothing, or cannot be carried out, is refused beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.saliency import Target, resolve
from retinoscope.saliency._common import places_of
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
    torch.testing.assert_close(logits[0], logits[1])
    _refused(run, [rs.Patch(a, [1], run)] * 2, "two patches")
    cut = rs.Knockout(a, "last", layers=1)
    twice, once = run.counterfactuals([[cut, cut], cut]).logits
    torch.testing.assert_close(twice, once)


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
    assert run.image.at(3) == obj
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


WRONG: dict[str, tuple[str, Callable[[Run], object]]] = {
    # One where several are meant, or what is no list at all.
    "prompts": ("list.*'abc'", lambda run: run.vlm.run_many(None, "abc")),
    "prompts, one": ("list.*Prompt", lambda run: run.vlm.run_many(None, _any(run.prompt))),
    "prompts, mapping": ("list.*dict", lambda run: run.vlm.run_many(None, _any({"a": 1}))),
    "prompts, number": ("text.*3", lambda run: run.vlm.run_many(None, [_any(3)])),
    "images": ("list.*Image", lambda run: run.vlm.encode(_any(run.prompt.images[0]))),
    "images, path": ("list.*'a.png'", lambda run: run.vlm.encode("a.png")),
    "images, array": (
        r"list.*\(8, 8, 3\)",
        lambda run: run.vlm.encode_whole(_any(np.zeros((8, 8, 3), np.uint8))),
    ),
    "conditions": ("list.*Ablate", lambda run: run.counterfactuals(_any(_ablate(run)))),
    "conditions, none": ("list.*None", lambda run: run.counterfactuals(_any(None))),
    "conditions, text": ("list.*'ab'", lambda run: run.counterfactuals(_any("ab"))),
    "conditions, set": ("list.*set", lambda run: run.counterfactuals(_any({_ablate(run)}))),
    "conditions, many": (
        "list.*Ablate",
        lambda run: run.vlm.run_many(None, ["a cat"]).counterfactuals(_any(_ablate(run))),
    ),
    "conditions, made": (
        "list.*Ablate",
        lambda run: run.vlm.run_many(None, ["a cat"]).counterfactuals(lambda _: _any(_ablate(run))),
    ),
    "runs": ("runs.*3", lambda run: run.vlm.run_many(None, ["a cat"]).only([3])),
    "samples": ("list.*Image", lambda run: rs.fill.mean(run.vlm, _any(run.prompt.images[0]))),
    "samples, text": ("list.*'scenes:3'", lambda run: rs.fill.mean(run.vlm, "scenes:3")),
    "samples, array": (
        r"samples in a list.*\(8, 8\)",
        lambda run: rs.fill.mean(run.vlm, _any(np.zeros((8, 8), np.uint8))),
    ),
    # Token ids that the vocabulary does not have.
    "ids, float": ("token ids.*1.5", lambda run: _follow(run, [1.5])),
    "ids, above": ("token ids.*1000000000", lambda run: _follow(run, [10**9])),
    "ids, below": ("token ids.*-1", lambda run: _follow(run, [-1])),
    "ids, text": ("token ids.*'ab'", lambda run: _follow(run, "ab")),
    "ids, position": ("token ids.*position", lambda run: _follow(run, run.image.positions)),
    "lens, ids": ("token ids.*1000000000", lambda run: run.lens().words([10**9])),
    "lens, float": ("token ids.*1.5", lambda run: run.lens().words(_any([1.5]))),
    "lens, word": ("token ids.*'cat'", lambda run: run.lens().words(_any("cat"))),
    "lens, position": ("position", lambda run: run.lens().prob(run.image.positions)),
    "lens, mapping": ("dict", lambda run: run.lens().prob(_any({3: 1}))),
    "target": ("token id.*True", lambda run: resolve(run, True)),
    "target, position": ("token id.*position", lambda run: resolve(run, run.image.positions[0])),
    "target, ids": ("token ids.*'12'", lambda run: Target.tokens(_any("12"))),
    "target, id": ("token id.*1.5", lambda run: Target.token(_any(1.5))),
    "target, word": ("word.*3", lambda run: Target.word(_any(3))),
    "target, span": (
        "segment.*1.5",
        lambda run: resolve(_wrote(run), Target.segment((0, _any(1.5)))),
    ),
    "target, ends": ("segment.*1", lambda run: resolve(_wrote(run), Target.segment(_any((1,))))),
    # Another thing altogether.
    "text": ("text.*3", lambda run: run.vlm.prompt(None, _any(3))),
    "text, none": ("text.*None", lambda run: run.vlm.prompt(None, _any(None))),
    "text, bytes": ("text.*bytes", lambda run: run.vlm.prompt(None, _any(b"hi"))),
    "text, image": ("text.*Image", lambda run: run.vlm.prompt("a cat", _any(run.prompt.images[0]))),
    "prefill": ("prefill.*3", lambda run: run.vlm.prompt(None, "a cat", _any(3))),
    "prefill, list": ("prefill.*list", lambda run: run.vlm.prompt(None, "a cat", _any(["It"]))),
    "prompt": ("prompt.*'hi'", lambda run: run.vlm.run(_any("hi"))),
    "prompt, image": ("vlm.prompt", lambda run: run.vlm.run(_any(run.prompt.images[0]))),
    "prompt, none": ("vlm.prompt", lambda run: run.vlm.run(_any(None))),
    "donor": ("a run as donor.*Image", lambda run: rs.fill.donor(_any(run.prompt.images[0]))),
    "donor, none": ("a run as donor.*None", lambda run: rs.fill.donor(_any(None))),
    "model": ("retinoscope.load.*'pocket'", lambda run: rs.fill.mean(_any("pocket"), ["a.png"])),
    "run": ("a run.*Prompt", lambda run: rs.tokens.registers(_any(run.prompt))),
    "run, set": ("a run.*TokenSet", lambda run: rs.tokens.random(_any(run.image.tokens), 3, 0)),
    "run, method": ("a run.*'a'", lambda run: resolve(_any("a"), " cat")),
    "sigmas": ("sigmas.*nan", lambda run: rs.tokens.registers(run, float("nan"))),
    "sigmas, text": ("sigmas.*'2'", lambda run: rs.tokens.registers(run, _any("2"))),
    "scores": ("scores.*list", lambda run: rs.tokens.top(run, _any([1, 2]), 1)),
    "cover": ("min_cover.*'0.5'", lambda run: run.image.covering((0, 0, 9, 9), _any("0.5"))),
    "cover, true": ("min_cover.*True", lambda run: run.image.covering((0, 0, 9, 9), True)),
    "baseline": (
        "baseline.*3",
        lambda run: rs.tokens.by_gradient(run, " cat", 3, baseline=_any(3)),
    ),
    "file": ("path.*3", lambda run: run.lens().save(_any(3))),
    # Numbers that count something else.
    "rows": ("rows.*position", lambda run: run.image.rows(run.image.positions)),
    "row": ("rows.*index", lambda run: run.image.row(run.image.tokens.indices[0])),
    "layer": ("layers.*index", lambda run: run.hidden(run.image.tokens.indices[0])),
    "block": ("blocks.*position", lambda run: run.attention(run.image.positions[0])),
    "layers": (
        "layers.*position",
        lambda run: rs.Knockout(run.image.tokens, "last", run.image.positions),
    ),
    "heads": (
        "heads.*index",
        lambda run: rs.Knockout(run.image.tokens, "last", heads=run.image.tokens.indices),
    ),
    "rings": ("rings.*index", lambda run: run.image.at(1).grow(run.image.tokens.indices[1])),
    "image": ("images.*index", lambda run: places_of(resolve(run, 3), run.image.tokens.indices[0])),
    "image, text": ("images.*'0'", lambda run: places_of(resolve(run, 3), _any("0"))),
    "index": ("indices.*None", lambda run: run.image.at(_any(None))),
    "index, position": ("indices.*position", lambda run: run.image.at(run.image.positions[0])),
}


def _any(value: object) -> Any:
    return value


def _ablate(run: Run) -> rs.Ablate:
    return rs.Ablate(run.image.at([0]))


def _follow(run: Run, ids: Any) -> Run:
    return run.vlm.run(run.prompt, continuation=ids)


def _wrote(run: Run) -> Run:
    return _follow(run, [5, 6, 7])


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_such_thing_is_said_in_one_line(run: Run, what: str) -> None:
    named, call = WRONG[what]
    with pytest.raises(rs.InputError, match=named) as error:
        call(run)
    assert "\n" not in str(error.value)


def test_token_ids_of_any_kind_follow_a_prompt(run: Run) -> None:
    several = [_follow(run, ids).logits for ids in ([5, 6], torch.tensor([5, 6]), np.array([5, 6]))]
    assert torch.equal(several[0], several[1])
    assert torch.equal(several[0], several[2])
    assert torch.equal(_follow(run, []).logits, run.logits)


def test_flash_attention_takes_no_knockouts(tiny: rs.VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny.model.config.text_config
    monkeypatch.setattr(config, "_attn_implementation_internal", "flash_attention_2")
    found = tiny.adapter.capabilities()
    assert not found.supports("knockout")
    with pytest.raises(rs.CapabilityError, match="sdpa"):
        found.require("knockout")
