"""The first stage of X-Former: what reconstruction sees, trains and measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from retinoscope import InputError
from retinoscope.encoders.small_tower import drawn_patches
from retinoscope.interfaces import (
    Towers,
    TowersShape,
    XFormer,
    hidden_error,
    patch_pixels,
    to_pixels,
    tower_tokens,
    untrained_towers,
)
from retinoscope.recipes.interfaces import SeenBank, XFormerStage
from retinoscope.recipes.interfaces._arm import SceneBatch
from retinoscope.recipes.interfaces._matching import Captions
from retinoscope.recipes.interfaces._reconstruction import (
    MaskedScenes,
    Reconstruction,
    masked_scenes,
    scene_errors,
)
from retinoscope.recipes.interfaces._reconstruction_trial import (
    ReconstructionTrial,
    gap_table,
    try_reconstruction,
)
from retinoscope.recipes.interfaces._stages import place_towers
from retinoscope.recipes.pocket import Stage
from retinoscope.recipes.pocket._bank import Bank

SHAPE = TowersShape(24, 8, 16, layers=2, heads=2, ff=24, text_layers=1, text_ff=24, text_tokens=8)
TOWER = {"image": 24, "patch": 8, "width": 16, "layers": 2, "heads": 2, "ff": 24}
N_WORDS = 20


def towers() -> Towers:
    torch.manual_seed(0)
    made = untrained_towers(SHAPE)
    for tower in (made.contrastive, made.mae):
        for parameter in tower.embeddings.parameters():  # The library starts them near zero.
            torch.nn.init.normal_(parameter, std=0.1)
    for module in made.modules.values():
        module.eval().requires_grad_(False)
    return made


def former(frozen: Towers, **settings: Any) -> XFormer:
    torch.manual_seed(0)
    sizes = {"queries": 3, "heads": 2, "ff": 24, "block_ff": 24, "n_words": N_WORDS + 1}
    made = XFormer(16, TOWER, **{**sizes, **settings})
    place_towers(made, frozen)
    for name in made.frozen:
        made.get_submodule(name).requires_grad_(False)
    return made


def drawn(n: int) -> np.ndarray:
    """Images of nine patches, each of a colour of its own: none can be told from the others."""
    colors = np.random.default_rng(0).integers(0, 255, (n, 3, 3, 3), dtype=np.uint8)
    return colors.repeat(8, 1).repeat(8, 2)


def learn_to_paint(made: Towers, images: np.ndarray) -> None:
    """Trains the masked autoencoder on a few images: a random one cannot be steered."""
    pixels, generator = to_pixels(images), torch.Generator().manual_seed(0)
    parameters = [*made.mae.parameters(), *made.mae_decoder.parameters()]
    optimizer = torch.optim.Adam([p.requires_grad_() for p in parameters], 5e-3)
    wanted = patch_pixels(pixels, 8)
    for _ in range(100):
        kept = drawn_patches(len(images), 9, 0.5, generator)
        painted = made.mae_decoder(tower_tokens(made.mae, pixels, kept), kept)
        optimizer.zero_grad()
        hidden_error(painted, wanted, kept).backward()
        optimizer.step()
    for parameter in parameters:
        parameter.requires_grad_(False)


def case(hidden: float = 0.5, **settings: Any) -> tuple[XFormer, Reconstruction, MaskedScenes]:
    frozen = towers()
    interface = former(frozen, **settings)
    reconstruction = Reconstruction(16, hidden, "all")
    reconstruction.take(interface, frozen)
    pixels = to_pixels(drawn(4))
    with torch.no_grad():
        seen = interface.see(pixels)
    scenes = masked_scenes(interface, seen, pixels, hidden, torch.Generator().manual_seed(0))
    return interface, reconstruction, scenes


def test_towers_are_placed() -> None:
    frozen = towers()
    interface = former(frozen)
    for placed, tower in ((interface.tower, frozen.contrastive), (interface.mae, frozen.mae)):
        for own, given in zip(placed.parameters(), tower.parameters(), strict=True):
            assert torch.equal(own, given)


def test_gradients_reach_the_queries_and_nothing_that_is_frozen() -> None:
    interface, reconstruction, scenes = case()
    trained = [*interface.trained_parameters().values(), *reconstruction.toward.parameters()]
    optimizer = torch.optim.SGD(trained, 1.0)
    # Blocks start by passing everything on, so the first step reaches the block alone.
    for _ in range(2):
        optimizer.zero_grad()
        reconstruction.loss(interface, scenes).backward()
        optimizer.step()
    reached = {
        name for name, p in interface.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert "query_tokens" in reached
    assert any(name.startswith("qformer") for name in reached)
    assert any(name.startswith("local_block") for name in reached)
    assert not any(name.startswith(("tower", "mae", "query_block")) for name in reached)
    assert reconstruction.mae_decoder is not None
    assert all(p.grad is None for p in reconstruction.mae_decoder.parameters())


def test_it_starts_as_the_masked_autoencoder_alone() -> None:
    interface, reconstruction, scenes = case()
    with torch.no_grad():
        painted = reconstruction.painted(interface, scenes, interface.first_queries(scenes.seen))
        torch.testing.assert_close(painted, reconstruction.alone(scenes), atol=1e-3, rtol=1e-3)


def test_hidden_patches_are_not_seen() -> None:
    interface, reconstruction, scenes = case()
    pixels = to_pixels(drawn(4))
    hidden = scenes.hidden.view(4, 1, 3, 3).repeat_interleave(8, 2).repeat_interleave(8, 3)
    changed = torch.where(hidden > 0, -pixels, pixels)
    generator = torch.Generator().manual_seed(0)
    other = masked_scenes(interface, scenes.seen, changed, 0.5, generator)
    assert torch.equal(other.kept, scenes.kept)
    assert torch.equal(other.seen["mae"], scenes.seen["mae"])
    assert not torch.equal(other.pixels, scenes.pixels)
    with torch.no_grad():
        painted = reconstruction.alone(scenes)
    errors = scene_errors(painted, scenes)
    torch.testing.assert_close(errors.mean(), hidden_error(painted, scenes.pixels, scenes.kept))


@pytest.mark.parametrize("hidden", [0.0, 1.0])
def test_nothing_or_everything_hidden_is_refused(hidden: float) -> None:
    with pytest.raises(InputError, match="share of hidden patches above 0 and below 1"):
        Reconstruction(16, hidden, "all")


def test_a_share_that_hides_no_patch_is_refused() -> None:
    with pytest.raises(InputError, match="at least one of 9 patches hidden"):
        case(hidden=0.01)


@pytest.mark.parametrize("weighting", ["all", "contrastive", "mae"])
def test_hidden_patches_count_once_on_average(weighting: Any) -> None:
    _, reconstruction, scenes = case()
    reconstruction.weighting = weighting
    weights = reconstruction.weights(scenes)
    torch.testing.assert_close(weights.sum(), scenes.hidden.sum())
    assert not weights[scenes.hidden == 0].any()
    spread = float(weights[scenes.hidden > 0].std())
    assert spread == 0 if weighting == "all" else spread > 0.1


def test_the_stage_has_the_losses_of_matching_and_reconstruction() -> None:
    frozen = towers()
    interface = former(frozen)
    stage = XFormerStage(interface, N_WORDS, hidden=0.5)
    stage.take(interface, frozen)
    images = drawn(6)
    seen = interface.see(to_pixels(images))
    ids = torch.randint(1, N_WORDS, (6, 5))
    captions = Captions(ids, torch.ones_like(ids, dtype=torch.bool))
    batch = SceneBatch(torch.from_numpy(images), seen, captions)
    first, again = (
        stage.losses(interface, batch, torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert set(first) == {"contrast", "matching", "captioning", "reconstruction"}
    assert all(torch.equal(first[name], again[name]) for name in first)
    whole = stage.heads(interface, seen, batch.captions, torch.Generator().manual_seed(3))
    assert set(whole) == set(first) - {"reconstruction"}


@pytest.mark.parametrize("settings", [{"fusion": "concat"}, {"second": "contrastive"}])
def test_reconstruction_needs_both_blocks_and_the_autoencoder(settings: dict[str, str]) -> None:
    with pytest.raises(InputError, match="expected an X-Former with dual fusion"):
        XFormerStage(former(towers(), **settings), N_WORDS)


def test_the_gap_finds_what_the_queries_carry(tmp_path: Path) -> None:
    frozen, images = towers(), drawn(12)
    learn_to_paint(frozen, images)
    bank = Bank(images, np.zeros((12, 3, 3), np.uint8), np.zeros((12, 3, 3), np.uint8), [])
    with torch.no_grad():
        contrastive = former(frozen).see(to_pixels(images))["contrastive"].numpy()
    seen = SeenBank({"contrastive": contrastive})
    frames = []
    for steps in (1, 120):
        rows = try_reconstruction(
            frozen,
            ReconstructionTrial(hidden=0.5),
            seen,
            bank,
            (seen, bank),
            stage=Stage(steps=steps, batch=12, lr=5e-3, warmup=1),
            work=tmp_path / str(steps),
            report=lambda *_: None,
        )
        frames.append(rows)
        assert rows.columns == [
            *("scene", "own", "other", "alone"),
            *("hidden", "residual", "norm", "weighting", "seed"),
        ]
    untrained, trained = (gap_table(rows) for rows in frames)
    assert abs(untrained["other - own"].item()) < 0.01
    assert trained["other - own low"].item() > 0.05
    assert trained["alone - own low"].item() > 0.05
    # The training set itself: this shows that the measurement works, not that queries generalise.
    both = pl.concat([frames[1], frames[1].with_columns(seed=pl.lit(1))])
    assert gap_table(both).equals(trained)
