"""X-Former: which tower's features reach the queries, and through what."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from retinoscope import InputError
from retinoscope.interfaces import InterfaceTokens, QFormer, TowerShape, XFormer, build_interface
from retinoscope.recipes.interfaces import ARMS

TOWER = {"image": 24, "patch": 8, "width": 16, "layers": 3, "heads": 2, "ff": 24}
SIZES = {"queries": 3, "heads": 2, "ff": 24}


def former(**settings: Any) -> XFormer:
    torch.manual_seed(0)
    made = XFormer(16, TOWER, **{**SIZES, **settings}).eval()
    for name in made.frozen:
        for parameter in made.get_submodule(name).embeddings.parameters():
            torch.nn.init.normal_(parameter, std=0.1)  # The library starts them near zero.
    for block in ("local_block", "query_block"):
        if hasattr(made, block):  # They start by passing everything on.
            torch.nn.init.normal_(getattr(made, block).attention.out_proj.weight, std=0.25)
    return made


def images(n: int = 2) -> torch.Tensor:
    return torch.randn(n, 3, 24, 24, generator=torch.Generator().manual_seed(1))


def tokens(interface: XFormer, seen: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        return interface(seen).embeddings


@pytest.mark.parametrize("arm", [name for name in ARMS if name.startswith("x-former")])
def test_arms_are_as_large_as_the_q_former(arm: str) -> None:
    baseline = QFormer(128, {}).size
    settings = ARMS[arm].settings
    size = build_interface("x-former", {"tower": {}, **settings}, 128).size
    assert size == pytest.approx(baseline, rel=0.03)


@pytest.mark.parametrize(
    ("settings", "needs", "frozen"),
    [
        ({}, ("contrastive", "mae"), ("tower", "mae")),
        ({"fusion": "concat"}, ("contrastive", "mae"), ("tower", "mae")),
        ({"second": "contrastive"}, ("contrastive", "contrastive-earlier"), ("tower",)),
    ],
)
def test_each_fusion_reads_what_it_needs(
    settings: dict[str, str], needs: tuple[str, ...], frozen: tuple[str, ...]
) -> None:
    interface = former(**settings)
    assert (interface.needs, interface.frozen) == (needs, frozen)
    with torch.no_grad():
        seen = interface.see(images())
    assert set(seen) == set(needs)
    whole = tokens(interface, seen)
    for name in needs:
        other = tokens(interface, {**seen, name: torch.randn(2, 10, 16)})
        assert not torch.allclose(whole, other, atol=1e-3)


def test_fusions_give_different_tokens() -> None:
    seen = {"contrastive": torch.randn(2, 10, 16), "mae": torch.randn(2, 10, 16)}
    made = [tokens(former(fusion=fusion), seen) for fusion in ("dual", "concat")]
    assert not torch.allclose(made[0], made[1], atol=1e-3)


def test_the_local_features_are_in_reading_order() -> None:
    interface = former()
    pixels = images(1)
    for patch in range(9):
        changed = pixels.clone()
        row, column = divmod(patch, 3)
        changed[..., 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 4.0
        with torch.no_grad():
            moved = interface.see(changed)["mae"] - interface.see(pixels)["mae"]
        assert int(moved[0, 1:].norm(dim=-1).argmax()) == patch


def test_an_earlier_layer_is_that_of_the_tower() -> None:
    interface = former(second="contrastive")
    with torch.no_grad():
        seen = interface.see(images())
        states = interface.tower(pixel_values=images(), output_hidden_states=True).hidden_states
    assert torch.equal(seen["contrastive-earlier"], states[2])


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_without_a_residual_the_local_features_do_not_pass(norm: str) -> None:
    alike = torch.randn(1, 1, 16).expand(1, 3, 16)
    seen = [{"mae": torch.randn(1, 10, 16)} for _ in range(2)]
    for residual in (False, True):
        interface = former(residual=residual, norm=norm)
        with torch.no_grad():
            first, second = (interface.refined(alike, each) for each in seen)
        # Equal queries leave nothing to choose between.
        assert torch.allclose(first, second, atol=1e-5) is not residual


def test_a_block_with_a_residual_starts_by_passing_on_what_it_has() -> None:
    torch.manual_seed(0)
    interface = XFormer(16, TOWER, **SIZES)
    seen = interface.see(images())
    queries = interface.first_queries(seen)
    torch.testing.assert_close(interface.refined(queries, seen), interface.local_norm(seen["mae"]))


@pytest.mark.parametrize("fusion", ["dual", "concat"])
def test_origin_is_attention_and_changes_nothing(fusion: str) -> None:
    interface = former(fusion=fusion)
    with torch.no_grad():
        looked: InterfaceTokens = interface.encode(images(), origin=True)
        assert torch.equal(looked.embeddings, interface.encode(images()).embeddings)
    assert looked.origin is not None
    assert looked.origin.shape == (2, 3, 9)
    shares = looked.origin.sum(-1)
    assert (looked.origin >= 0).all()
    assert (shares > 0.5).all()
    assert (shares < 1).all()


def test_texts_do_not_change_queries_that_do_not_see_them() -> None:
    interface = former(n_words=20)
    seen = interface.see(images())
    ids, present = torch.randint(1, 20, (2, 5)), torch.ones(2, 5, dtype=torch.bool)
    with torch.no_grad():
        alone = interface.queries(seen)
        beside = {
            reading: interface.both(seen, ids, present, reading)[0]
            for reading in ("causal", "together")
        }
    torch.testing.assert_close(beside["causal"], alone)
    assert not torch.allclose(beside["together"], alone, atol=1e-3)


@pytest.mark.parametrize("settings", [{"fusion": "sum"}, {"second": "clip"}, {"norm": "none"}])
def test_unknown_settings_are_refused(settings: dict[str, str]) -> None:
    (name,) = settings
    with pytest.raises(InputError, match=f"expected {name} of "):
        former(**settings)


def test_towers_have_one_shape() -> None:
    interface = former()
    assert interface.shape == TowerShape(**TOWER)
    assert interface.mae.config.to_dict() == interface.tower.config.to_dict()
