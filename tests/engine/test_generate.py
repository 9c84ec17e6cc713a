"""Generation, clean and under interventions."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
import torch
from PIL import Image
from transformers import GenerationConfig

import retinoscope as rs
from retinoscope.engine import Run

TEXT = "Describe this image."


@pytest.fixture(params=["tiny", "tiny_eager"])
def run(request: pytest.FixtureRequest, portrait: Image.Image) -> Run:
    vlm: rs.VLM = request.getfixturevalue(request.param)
    return vlm.run(vlm.prompt(portrait, TEXT))


def _by_transformers(run: Run, n: int) -> list[int]:
    inputs = run.vlm.processor(
        images=run.prompt.images[0], text=f"USER: <image>\n{TEXT} ASSISTANT:", return_tensors="pt"
    )
    done = run.vlm.model.generate(**inputs, do_sample=False, max_new_tokens=n)
    return done[0, inputs["input_ids"].shape[1] :].tolist()


def test_generation_equals_transformers(run: Run) -> None:
    done = run.generate(12)
    assert done.token_ids.tolist() == _by_transformers(run, 12)
    assert done.text == run.vlm.tokenizer.decode(done.token_ids, skip_special_tokens=True).strip()
    assert done.logits is not None
    assert torch.equal(done.logits[0], run.logits)
    assert done.logits.argmax(-1).tolist() == done.token_ids.tolist()
    # The run's own cache is not used up.
    assert run.generate(12).token_ids.tolist() == done.token_ids.tolist()


def test_generation_without_interventions_equals_the_clean_one(run: Run) -> None:
    obj = run.image.covering((0, 0, 30, 40))
    effects = run.counterfactuals([[], rs.Ablate(obj), []])
    done = effects.generate(8)
    clean = run.generate(8)
    assert done[0].token_ids.tolist() == clean.token_ids.tolist() == done[2].token_ids.tolist()
    assert done.texts[0] == clean.text


def _stepwise(run: Run, condition: object, n: int) -> list[int]:
    """One full forward pass per token over everything so far: no cache."""
    ids: list[int] = []
    grown = run
    for _ in range(n):
        logits = grown.counterfactuals([condition(grown)]).logits[0]  # type: ignore[operator]
        ids.append(int(logits.argmax()))
        if ids[-1] == 3:
            break
        grown = run.vlm.run(run.prompt, continuation=ids)
    return ids


def test_interventions_stay_active(run: Run) -> None:
    obj = run.image.covering((0, 0, 40, 60))
    places = [run.image.positions.index(position) for position in obj]
    end = run.n - 1

    def at(grown: Run, positions: range):
        return rs.tokens.TokenSet.of(grown.sequence, positions)

    cases = {
        "ablate": (rs.Ablate(obj), lambda g: rs.Ablate(g.image.at(places))),
        "patch": (
            rs.Patch(obj, [2], run, donor_positions=run.image.tokens & obj),
            lambda g: rs.Patch(g.image.at(places), [2], run, donor_positions=obj),
        ),
        "last": (
            rs.Knockout(obj, "last", [1, 2], [0]),
            lambda g: rs.Knockout(g.image.at(places), at(g, range(end, end + 1)), [1, 2], [0]),
        ),
        "last+generated": (
            rs.Knockout(obj, "last+generated"),
            lambda g: rs.Knockout(g.image.at(places), at(g, range(end, g.n))),
        ),
    }
    effects = run.counterfactuals([case[0] for case in cases.values()])
    logits = effects.generate(6)
    for (name, (_, grow)), done in zip(cases.items(), logits, strict=True):
        assert done.token_ids.tolist() == _stepwise(run, grow, 6), name


def test_generated_rows_alone(run: Run) -> None:
    obj = run.image.covering((0, 0, 40, 60))
    effects = run.counterfactuals([rs.Knockout(obj, "generated")])
    assert torch.allclose(effects.logits[0], run.logits, atol=1e-5)
    (done,) = effects.generate(3, keep_logits=True)
    clean = run.generate(3)
    assert done.logits is not None
    assert clean.logits is not None
    assert torch.allclose(done.logits[0], clean.logits[0], atol=1e-5)
    assert (done.logits[1] - clean.logits[1]).abs().max() > 1e-3


def test_logits_after_generation_are_those_before(run: Run) -> None:
    obj = run.image.covering((0, 0, 40, 60))
    conditions = [rs.Ablate(obj), rs.Knockout(obj, "last")]
    first, second = run.counterfactuals(conditions), run.counterfactuals(conditions)
    first.generate(2)
    assert torch.equal(first.logits, second.logits)


def test_a_run_over_what_was_written(run: Run) -> None:
    done = run.generate(5)
    again = done.run()
    assert again.positions["generated"].positions == tuple(
        range(run.n, run.n + len(done.token_ids))
    )
    assert len(run.positions["generated"]) == 0
    assert done.logits is not None
    assert torch.allclose(again.hidden(4)[: run.n], run.hidden(4), atol=1e-4)


def test_no_tokens_are_refused(run: Run) -> None:
    with pytest.raises(rs.InputError, match="max_new_tokens"):
        run.generate(0)


SETTINGS: list[Callable[[int, int], dict[str, object]]] = [
    lambda *_: {"repetition_penalty": 1.7},
    lambda *_: {"no_repeat_ngram_size": 2},
    lambda *_: {"encoder_repetition_penalty": 1.5},
    lambda first, other: {"suppress_tokens": [first, other]},
    lambda first, other: {"begin_suppress_tokens": [first, other]},
    lambda first, other: {"bad_words_ids": [[other], [first, first]]},
    lambda first, _: {"eos_token_id": [3, first], "min_new_tokens": 9},
    lambda first, _: {"eos_token_id": [3, first], "min_length": 70},
    lambda *_: {"forced_eos_token_id": 3},
    lambda first, _: {"sequence_bias": [[[first], -4.0], [[29], 3.0]]},
    lambda *_: {"exponential_decay_length_penalty": [2, 1.5]},
    lambda _, other: {"eos_token_id": [3, other]},
    lambda *_: {"do_sample": True},
]
"""Entries of generation_config that change what is written, and one that does not; made of the
first token that is written otherwise, and of the first one that differs from it. (Which they are
depends on how the library draws random weights.)"""


@pytest.fixture
def config(run: Run) -> Iterator[GenerationConfig]:
    """The model's own generation_config, put back afterwards."""
    before = run.vlm.model.generation_config
    run.vlm.model.generation_config = copy.deepcopy(before)
    yield run.vlm.model.generation_config
    run.vlm.model.generation_config = before


@pytest.mark.filterwarnings("ignore:Unfeasible length constraints:UserWarning")
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: "+".join(setting(0, 0)))
def test_generation_config_is_heeded(
    run: Run, config: GenerationConfig, setting: Callable[[int, int], dict[str, object]]
) -> None:
    plain = run.generate(12).token_ids.tolist()
    entries = setting(plain[0], next(token for token in plain if token != plain[0]))
    config.update(**entries)
    found = run.generate(12)
    assert found.token_ids.tolist() == _by_transformers(run, 12)
    assert (found.token_ids.tolist() == plain) == ("do_sample" in entries)
    assert found.logits is not None
    assert torch.allclose(found.logits[0], run.logits, atol=1e-6)


@pytest.mark.parametrize("exact", ["incremental", "reference"])
def test_a_penalty_holds_under_interventions(
    run: Run, config: GenerationConfig, exact: Literal["incremental", "reference"]
) -> None:
    """The textbook penalty, by hand, on the logits of each step."""
    config.repetition_penalty = 1.7
    obj = run.image.covering((0, 0, 30, 40))
    conditions = [rs.Ablate(obj), rs.Knockout(obj, "last+generated"), ()]
    effects = run.counterfactuals(conditions, exact=exact)
    done = effects.generate(8, keep_logits=True)
    for one in done:
        seen = set(run.inputs.input_ids.tolist())
        assert one.logits is not None
        for row, token in zip(one.logits, one.token_ids.tolist(), strict=True):
            some = torch.tensor(sorted(seen))
            scores = row.clone()
            scores[some] = torch.where(row[some] < 0, row[some] * 1.7, row[some] / 1.7)
            assert int(scores.argmax()) == token
            seen.add(token)
    assert len({tuple(one.token_ids.tolist()) for one in done}) > 1


def test_what_has_no_counterpart_is_refused(run: Run, config: GenerationConfig) -> None:
    for name, value in (("guidance_scale", 1.5), ("stop_strings", ["."]), ("max_time", 1.0)):
        setattr(config, name, value)
        with pytest.raises(rs.errors.CapabilityError, match=f"{name}.*= None"):
            run.generate(3)
        with pytest.raises(rs.errors.CapabilityError, match=name):
            run.counterfactuals([()]).generate(3)
        setattr(config, name, None)
    config.num_beams = 4
    with pytest.warns(UserWarning, match="4 beams"):
        found = run.generate(3)
    config.num_beams = 1
    assert found.token_ids.tolist() == _by_transformers(run, 3)
