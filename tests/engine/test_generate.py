"""Generation, clean and under interventions."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

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
