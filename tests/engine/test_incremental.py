"""The incremental path equals the reference path, whatever is asked of it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.tokens import TokenSet
from tests.conftest import make_processor
from tests.engine.decoders import KINDS, decoder_model, decoder_vlm

QUICK = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def _image(seed: int) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((56, 56), Image.Resampling.BICUBIC)


def _run(vlm: rs.VLM, rng: np.random.Generator) -> Run:
    """A prompt of one or two images and a few words."""
    text = " ".join(rng.choice(["Is", "there", "a", "car?", "What", "color", "dog"], 4))
    images = [_image(int(seed)) for seed in rng.integers(0, 9, rng.integers(1, 3))]
    return vlm.run(vlm.prompt(images, text))


def _some(run: Run, rng: np.random.Generator, most: int) -> TokenSet:
    chosen = rng.choice(run.n, rng.integers(1, most + 1), replace=False)
    return TokenSet.of(run.sequence, chosen.tolist())


def _layers(vlm: rs.VLM, rng: np.random.Generator, count: int) -> list[int] | None:
    if rng.random() < 0.3:
        return None
    return sorted(rng.choice(count, rng.integers(1, count + 1), replace=False).tolist())


def _knockout(run: Run, rng: np.random.Generator) -> rs.Knockout:
    kinds = ["last", "generated", "last+generated", _some(run, rng, 12)]
    return rs.Knockout(
        _some(run, rng, 20),
        kinds[rng.integers(len(kinds))],
        layers=_layers(run.vlm, rng, run.vlm.n_layers),
        heads=[int(rng.integers(run.vlm.n_heads))] if rng.random() < 0.3 else None,
    )


def _ablate(run: Run, rng: np.random.Generator) -> rs.Ablate:
    fills = [rs.fill.zero(), rs.fill.noise(int(rng.integers(9)))]
    return rs.Ablate(_some(run, rng, 15), fills[rng.integers(2)])


def _patch(run: Run, donor: Run, rng: np.random.Generator) -> rs.Patch:
    here = _some(run, rng, 6)
    there = rng.choice(donor.n, len(here), replace=False).tolist()
    layers = sorted(rng.choice(run.vlm.n_layers + 1, rng.integers(1, 3), replace=False).tolist())
    return rs.Patch(here, layers, donor, TokenSet.of(donor.sequence, there))


def _condition(run: Run, donor: Run, rng: np.random.Generator) -> list[rs.engine.Intervention]:
    makers = [_knockout, _knockout, _ablate, lambda run, rng: _patch(run, donor, rng)]
    chosen = rng.choice(len(makers), rng.integers(1, 4))
    together = [makers[number](run, rng) for number in chosen]
    # Two ablations of one token contradict each other.
    ablations = [one for one in together if isinstance(one, rs.Ablate)]
    return [one for one in together if not isinstance(one, rs.Ablate) or one is ablations[0]]


def _valid(run: Run, conditions: list) -> list:
    kept = []
    for condition in conditions:
        try:
            run.resolve([condition])
        # An edge that a causal decoder has not, say.
        except rs.InputError:
            continue
        kept.append(condition)
    return kept


def _close(found: Tensor, wanted: Tensor, tolerance: float = 1e-4) -> None:
    assert (found - wanted).abs().max() <= tolerance * wanted.abs().max()
    assert torch.equal(found.argmax(-1), wanted.argmax(-1))


@pytest.mark.parametrize("kind", KINDS)
@QUICK
@given(seed=st.integers(0, 2**32 - 1), batch_size=st.sampled_from([None, 1, 3]))
def test_random_compositions(kind: str, seed: int, batch_size: int | None) -> None:
    vlm, rng = decoder_vlm(kind), np.random.default_rng(seed)
    assert vlm.capabilities.supports("incremental"), str(vlm.capabilities)
    run, donor = _run(vlm, rng), _run(vlm, rng)
    conditions = _valid(run, [_condition(run, donor, rng) for _ in range(rng.integers(1, 9))])
    assume(conditions)
    fast = run.counterfactuals(conditions, batch_size=batch_size)
    plain = run.counterfactuals(conditions, exact="reference", batch_size=4)
    assert set(fast.path) == {"incremental"}
    _close(fast.logits, plain.logits)
    with torch.no_grad():
        for effects in (fast, plain):
            _close(vlm.adapter.read_out(effects.last_hidden), plain.logits)
    ours = fast.generate(5, keep_logits=True)
    theirs = plain.generate(5, keep_logits=True)
    assert ours.texts == theirs.texts
    for one, other in zip(ours, theirs, strict=True):
        assert one.logits is not None
        assert other.logits is not None
        _close(one.logits, other.logits)


@pytest.mark.parametrize("kind", KINDS)
@QUICK
@given(seed=st.integers(0, 2**32 - 1))
def test_prompts_on_one_image_form_a_tree(kind: str, seed: int) -> None:
    vlm, rng = decoder_vlm(kind), np.random.default_rng(seed)
    image = _image(seed % 7)
    texts = ["What is the color", "What is the dog", "Is there a car? yes yes"]
    runs = vlm.run_many(image, texts)
    alone = [vlm.run(vlm.prompt(image, text)) for text in texts]
    assert runs.shared >= 49
    donor = _run(vlm, rng)
    first = runs[0]
    conditions = [_condition(first, donor, rng) for _ in range(6)]
    conditions = [c for c in _valid(first, conditions) if _within(c, runs.shared)]
    assume(conditions)
    for run, one, effects in zip(runs, alone, runs.counterfactuals(conditions), strict=True):
        _close(run.logits, one.logits)
        plain = run.counterfactuals(effects.conditions, exact="reference")
        _close(effects.logits, plain.logits)
        with torch.no_grad():
            _close(vlm.adapter.read_out(effects.last_hidden), plain.logits)
        assert effects.generate(4).texts == plain.generate(4).texts


def _within(condition: list, shared: int) -> bool:
    sets = [
        tokens
        for one in condition
        for tokens in (
            getattr(one, "tokens", None),
            getattr(one, "source", None),
            getattr(one, "target", None),
            getattr(one, "positions", None),
        )
        if isinstance(tokens, TokenSet)
    ]
    return all(tokens.positions[-1] < shared for tokens in sets)


@pytest.mark.parametrize("kind", KINDS)
def test_what_changes_nothing_returns_the_clean_logits_bit_for_bit(kind: str) -> None:
    vlm = decoder_vlm(kind)
    run = vlm.run(vlm.prompt(_image(0), "What color"))
    own = TokenSet.of(run.sequence, [5, 9, run.n - 1])
    seen = run.positions["image"]
    conditions = [[], rs.Patch(own, range(5), run), rs.Ablate(seen, rs.fill.donor(run))]
    effects = run.counterfactuals(conditions)
    for row in effects.logits:
        assert torch.equal(row, run.logits)
    assert effects.token_layers == 0
    assert set(effects.generate(4).texts) == {run.generate(4).text}


@pytest.mark.parametrize("kind", KINDS)
@QUICK
@given(seed=st.integers(0, 2**32 - 1))
def test_an_edit_never_changes_an_earlier_position(kind: str, seed: int) -> None:
    from retinoscope.engine._edited import edited_pass

    vlm, rng = decoder_vlm(kind), np.random.default_rng(seed)
    run = _run(vlm, rng)
    start = int(rng.integers(1, run.n))
    tokens = TokenSet.of(run.sequence, range(start, run.n))
    (resolved,) = run.resolve([rs.Ablate(tokens, rs.fill.noise(1))])
    clean, edited = run._clean, edited_pass(run._clean, resolved)
    for layer in range(vlm.n_layers + 1):
        assert torch.allclose(edited.states(layer)[:start], clean.states(layer)[:start], atol=1e-5)
    effects = run.counterfactuals([rs.Ablate(tokens, rs.fill.noise(1))])
    recomputed = effects._recomputations[0].rows
    assert all(rows is not None and rows.first >= start - 15 for rows in recomputed)


def test_a_knockout_of_the_last_position_computes_one_row_a_block() -> None:
    vlm = decoder_vlm("llama, grouped heads")
    run = vlm.run(vlm.prompt(_image(0), "What color"))
    source = run.positions["image"]
    effects = run.counterfactuals(
        [rs.Knockout(source, "last", layers=[layer]) for layer in range(4)]
    )
    _ = effects.logits
    assert effects.token_layers == 4 + 3 + 2 + 1


def test_a_shared_image_is_computed_once() -> None:
    vlm = decoder_vlm("llama, grouped heads")
    runs = vlm.run_many(_image(0), ["What color", "Is there a car?", "What dog"])
    tokens = TokenSet.of(runs[0].sequence, [16])
    together = runs.counterfactuals([rs.Ablate(tokens, rs.fill.zero())])
    alone = [run.counterfactuals([rs.Ablate(_on(run, tokens), rs.fill.zero())]) for run in runs]
    for one in (*together, *alone):
        _ = one.logits
    # The prefix's rows from position 16 on are in none of the three, but once beside them.
    prefix = (runs.shared - 16) * vlm.n_layers
    apart = sum(one.token_layers for one in alone)
    assert sum(one.token_layers for one in together) <= apart - 3 * prefix


def _on(run: Run, tokens: TokenSet) -> TokenSet:
    return TokenSet.of(run.sequence, tokens.positions)


def test_token_sets_outside_the_shared_part_are_refused() -> None:
    vlm = decoder_vlm("llama, grouped heads")
    runs = vlm.run_many(_image(0), ["What color", "Is there a car?"])
    last = runs[0].positions["last"]
    with pytest.raises(rs.InputError, match="that the prompts share"):
        runs.counterfactuals([rs.Ablate(last, rs.fill.zero())])
    by_run = runs.counterfactuals(lambda run: [rs.Ablate(run.positions["last"], rs.fill.zero())])
    assert len(by_run) == 2


def test_bfloat16_is_as_near_to_float32_as_the_plain_forward_pass() -> None:
    # The plain pass rounds otherwise with every shape of batch, so that it has no one right value:
    # what the same weights give in float32 is the measure for both.
    kind = "llama, grouped heads"
    vlm = decoder_vlm(kind, torch.bfloat16)
    model = copy.deepcopy(decoder_model(kind, torch.bfloat16)).float()
    exact = rs.load(model=model, processor=make_processor())
    conditions = {}
    runs = {one: one.run(one.prompt(_image(0), "What color is the car?")) for one in (vlm, exact)}
    for one, run in runs.items():
        rng = np.random.default_rng(0)
        conditions[one] = _valid(run, [_knockout(run, rng) for _ in range(30)])
    wanted = runs[exact].counterfactuals(conditions[exact], exact="reference").logits
    plain = [
        runs[vlm].counterfactuals(conditions[vlm], exact="reference", batch_size=size).logits
        for size in (1, 3, 30)
    ]
    noise = max(float((one - wanted).abs().max()) for one in plain)
    found = runs[vlm].counterfactuals(conditions[vlm]).logits
    assert (found - wanted).abs().max() <= 1.5 * noise


def test_memory_is_bounded_by_batches() -> None:
    vlm = decoder_vlm("llama, grouped heads")
    run = vlm.run(vlm.prompt(_image(0), "What color"))
    rng = np.random.default_rng(1)
    conditions = _valid(run, [_ablate(run, rng) for _ in range(6)])
    one = run.counterfactuals(conditions, memory="1KB")
    _close(one.logits, run.counterfactuals(conditions).logits)
    with pytest.raises(rs.InputError, match="'4GB'"):
        run.counterfactuals(conditions, memory="plenty")


def test_a_batch_that_runs_out_of_memory_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    from retinoscope.engine._incremental import Incremental

    vlm = decoder_vlm("llama, grouped heads")
    run = vlm.run(vlm.prompt(_image(0), "What color"))
    rng = np.random.default_rng(2)
    conditions = _valid(run, [_ablate(run, rng) for _ in range(7)])
    wanted = run.counterfactuals(conditions).logits
    sizes: list[int] = []
    plain = Incremental.logits

    def small(self: Incremental, *, keep: bool) -> Tensor:
        sizes.append(len(self.conditions))
        if len(self.conditions) > 2:
            raise torch.OutOfMemoryError("no room")
        return plain(self, keep=keep)

    monkeypatch.setattr(Incremental, "logits", small)
    _close(run.counterfactuals(conditions).logits, wanted)
    assert sizes[0] == 7
    assert max(sizes[2:]) <= 3
