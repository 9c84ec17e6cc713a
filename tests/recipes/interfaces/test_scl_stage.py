"""The losses of semantic completion learning."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from retinoscope.interfaces import (
    SemanticCompletion,
    TowersShape,
    interface_tokenizer,
    to_pixels,
    untrained_towers,
)
from retinoscope.recipes import _completion
from retinoscope.recipes._captions import HIDDEN_WORD, Captions, drawn_words, hard_negatives
from retinoscope.recipes._completion import completion
from retinoscope.recipes.interfaces._arm import Ground, SceneBatch
from retinoscope.recipes.interfaces._decoder import build_decoder
from retinoscope.recipes.interfaces._scl import SCL_ARMS, SclStage
from retinoscope.recipes.interfaces._stages import first_stage, untrained
from retinoscope.recipes.interfaces._world import OPTIONS
from retinoscope.recipes.pocket import Sizes, Stage
from retinoscope.recipes.pocket._bank import draw_bank

TOWER = {"image": 40, "patch": 8, "width": 16, "layers": 1, "heads": 2, "ff": 16}
N_WORDS, BATCH, PATCHES = 20, 6, 25


def interface() -> SemanticCompletion:
    torch.manual_seed(0)
    made = SemanticCompletion(12, TOWER, heads=2, ff=24, n_words=N_WORDS)
    made.tower.requires_grad_(False)
    return made.train()


def batch_of(made: SemanticCompletion, ids_of_padding: int = 0) -> SceneBatch:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (BATCH, 40, 40, 3), generator=generator, dtype=torch.uint8)
    present = torch.arange(12) < torch.tensor([12, 8, 10, 12, 7, 12])[:, None]
    ids = torch.randint(5, N_WORDS, (BATCH, 12), generator=generator)
    captions = Captions(ids.masked_fill(~present, ids_of_padding), present)
    with torch.no_grad():
        seen = made.see(to_pixels(images.numpy()))
    return SceneBatch(images, seen, captions)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("share", [0.15, 0.4, 1.0])
def test_words_are_hidden_by_number(share: float) -> None:
    captions = batch_of(interface()).captions
    hidden = drawn_words(captions, share, seeded())
    lengths = captions.present.sum(1)
    assert hidden.sum(1).tolist() == [max(1, round(share * int(n - 2))) for n in lengths]
    places = torch.arange(12)
    assert not hidden[(places == 0) | (places >= lengths[:, None] - 1)].any()
    read = captions.without(hidden)
    assert (read.ids == HIDDEN_WORD).equal(hidden)
    assert torch.equal(read.ids[~hidden], captions.ids[~hidden])


def test_several_negatives_are_different_and_never_the_pair_itself() -> None:
    scores = torch.full((4, 4), -400.0)
    scores.fill_diagonal_(900.0)
    for image, text in ((0, 2), (1, 3), (2, 0), (3, 1)):
        scores[image, text] = 400.0
    images, texts = hard_negatives(scores, seeded(), each=2)
    assert images[:4].tolist() == texts[:4].tolist() == [2, 3, 0, 1]
    for drawn in (images, texts):
        for own in range(4):
            assert len({own, int(drawn[own]), int(drawn[4 + own])}) == 3


def test_nothing_flows_through_what_is_to_be_met() -> None:
    made, wanted = (torch.randn(5, 8, requires_grad=True) for _ in range(2))
    loss = _completion._met(made, wanted)
    loss.backward()
    assert wanted.grad is None
    assert made.grad is not None
    scores = F.cosine_similarity(made[:, None], wanted[None], dim=-1).detach() / 0.03
    both = [F.cross_entropy(way, torch.arange(5)) for way in (scores, scores.T)]
    torch.testing.assert_close(loss.detach(), both[0] + both[1])


def test_each_masked_token_meets_the_whole_one_beside_the_masked_other(monkeypatch) -> None:
    made, met = interface(), []
    batch = batch_of(made)
    monkeypatch.setattr(_completion, "_met", lambda *pair: met.append(pair) or pair[0].sum())
    streams, captions = made.streams, batch.captions
    image, part = batch.seen["contrastive"], torch.randn(BATCH, 6, 16)
    words = streams.words(captions.ids, captions.present)
    completion(streams, image, part, captions, words, seeded())
    read = captions.without(drawn_words(captions, 0.4, seeded()))
    covered = streams.words(read.ids, read.present)
    masked_image = streams(part, words, captions.present)
    masked_text = streams(image, covered, captions.present)
    wanted = [
        (masked_image.image, masked_text.image),
        (masked_text.text, masked_image.text),
    ]
    for pair, states in zip(met, wanted, strict=True):
        for token, state in zip(pair, states, strict=True):
            torch.testing.assert_close(token, state[:, 0])


def losses_of(arm: str, padding: int = 0) -> tuple[SemanticCompletion, dict[str, torch.Tensor]]:
    made = interface()
    first = SCL_ARMS[arm].first
    assert first is not None
    stage = first(made, N_WORDS)
    return made, stage.losses(made, batch_of(made, padding), seeded())


def test_padding_changes_no_loss_of_the_stage() -> None:
    (_, plain), (_, padded) = losses_of("scl"), losses_of("scl", padding=9)
    assert set(plain) == {"contrast", "matching", "words", "completion"}
    for name, loss in plain.items():
        torch.testing.assert_close(loss, padded[name])


def test_every_weight_of_the_fusion_learns_and_the_tower_does_not() -> None:
    made, losses = losses_of("scl")
    torch.stack([*losses.values()]).sum().backward()
    without = {name for name, weight in made.trained_parameters().items() if weight.grad is None}
    assert without == {"language_projection.weight", "language_projection.bias"}
    assert all(weight.grad is None for weight in made.tower.parameters())


def test_a_fifth_of_the_image_is_shown_for_completion_and_only_then(monkeypatch) -> None:
    made, shown = interface(), []
    batch = batch_of(made)
    see = made.see_patches
    monkeypatch.setattr(made, "see_patches", lambda *given: shown.append(given) or see(*given))
    SclStage(made, N_WORDS, completes=False).losses(made, batch, seeded())
    assert shown == []
    SclStage(made, N_WORDS).losses(made, batch, seeded())
    ((pixels, kept),) = shown
    torch.testing.assert_close(pixels, to_pixels(batch.images.numpy()))
    assert kept.shape == (BATCH, round(0.2 * PATCHES))


def _passes(arm: str, monkeypatch) -> int:
    made, pairs = interface(), []
    batch = batch_of(made)
    first = SCL_ARMS[arm].first
    assert first is not None
    stage = first(made, N_WORDS)
    made.streams.register_forward_hook(lambda _, shown, __: pairs.append(len(shown[0])))
    stage.losses(made, batch, seeded())
    assert isinstance(stage, SclStage)
    assert sum(pairs) == stage.passes * BATCH
    return stage.passes


def test_arms_are_equal_but_for_what_they_say(monkeypatch) -> None:
    assert {arm.interface for arm in SCL_ARMS.values()} == {"scl"}
    assert len({tuple(arm.settings.items()) for arm in SCL_ARMS.values()}) == 1
    passes = {name: _passes(name, monkeypatch) for name in SCL_ARMS}
    assert passes == {"scl": 6, "scl-paper": 6, "scl-none": 4, "scl-passes": 6}
    sizes = set()
    for arm in SCL_ARMS.values():
        assert arm.first is not None
        sizes.add(sum(weight.numel() for weight in arm.first(interface(), N_WORDS).parameters()))
        assert set(arm.against) <= {*SCL_ARMS, "qformer"}
    assert len(sizes) == 1
    assert set(losses_of("scl-none")[1]) == {"contrast", "matching", "words"}


def test_matching_needs_both_streams() -> None:
    made = interface()
    stage, batch = SclStage(made, N_WORDS), batch_of(made)
    streams, captions = made.streams, batch.captions

    def logits(image: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        words = streams.words(ids, captions.present)
        return stage.pairs.match_logits(streams(image, words, captions.present))

    with torch.no_grad():
        image = batch.seen["contrastive"]
        plain = logits(image, captions.ids)
        assert not torch.allclose(logits(image.roll(1, 0), captions.ids), plain, atol=1e-4)
        assert not torch.allclose(logits(image, captions.ids.flip(1)), plain, atol=1e-4)


@pytest.mark.parametrize("name", ["contrast", "matching", "words", "completion"])
def test_each_loss_can_be_learned(name: str) -> None:
    made = interface()
    stage, batch, generator = SclStage(made, N_WORDS), batch_of(made), seeded()
    optimizer = torch.optim.Adam([*made.trained_parameters().values(), *stage.parameters()], 3e-3)
    reached: list[float] = []
    for _ in range(100):
        loss = stage.losses(made, batch, generator)[name]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        reached.append(float(loss.detach()))
    assert np.mean(reached[-8:]) < 0.9 * np.mean(reached[:8])


def test_an_arm_reads_captions_and_leaves_their_side_behind(tmp_path) -> None:
    shape = TowersShape(image=144, patch=48, width=16, layers=1, heads=2, ff=16, text_layers=1)
    sizes = Sizes(text_width=16, text_layers=1, text_heads=2, text_ff=16)
    bank = draw_bank(tmp_path, 6, 5, shape.patch, lambda *_: None, OPTIONS)
    towers, decoder = untrained_towers(shape), build_decoder(sizes, interface_tokenizer())
    ground = Ground(towers, decoder, bank, tmp_path, lambda *_: None)
    arm = SCL_ARMS["scl"]
    start = untrained(arm, ground, 0, n_words=len(interface_tokenizer()))
    words = start.get_submodule("streams.text").state_dict()
    for name, weight in towers.text.state_dict().items():
        assert torch.equal(words[name][: len(weight)], weight), "starts from the text tower"
    stage = Stage(steps=2, batch=4, lr=1e-3, warmup=1)
    read, objective = first_stage("scl", arm, ground, stage, 0)
    assert isinstance(objective, SclStage)
    again, _ = first_stage("scl", arm, ground, stage, 0)
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, read.state_dict()[name]), "a later call opens what was trained"
    assert not torch.equal(read.get_submodule("streams.text").words.weight, words["words.weight"])
    alone, weights = untrained(arm, ground, 0).eval(), read.weights_without_text()
    alone.load_state_dict({name: weights[name] for name in alone.state_dict()})
    with torch.no_grad():
        seen = alone.see(to_pixels(bank.images[:2]))
        torch.testing.assert_close(alone(seen).embeddings, read(seen).embeddings)
