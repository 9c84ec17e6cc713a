"""Lyrics' queries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText, LlamaConfig

from retinoscope.interfaces import (
    InterfaceConfig,
    InterfaceForConditionalGeneration,
    Lyrics,
    QFormer,
)
from retinoscope.recipes.interfaces._lyrics import LYRICS_ARMS

TOWER = {"image": 36, "patch": 4, "width": 16, "layers": 1, "heads": 2, "ff": 16}
SIZES = {"patch_queries": 2, "object_queries": 3, "heads": 2, "ff": 24}


def tiny(**settings: Any) -> Lyrics:
    torch.manual_seed(0)
    return Lyrics(16, TOWER, **{**SIZES, **settings}).eval()


def seen(interface: Lyrics, n: int = 2) -> dict[str, torch.Tensor]:
    pixels = torch.rand(n, 3, 36, 36, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        return interface.see(pixels)


@pytest.mark.parametrize("name", sorted(LYRICS_ARMS))
def test_arms_are_as_large_as_a_q_former(name: str) -> None:
    arm = LYRICS_ARMS[name]
    with torch.device("meta"):
        size = Lyrics(128, {}, **arm.settings).size
    assert size == pytest.approx(QFormer(128, {}).size, rel=0.03)
    assert all(other in LYRICS_ARMS or other == "qformer" for other in arm.against)


def test_shapes() -> None:
    interface = Lyrics(24, {})
    done = interface.encode(torch.zeros(2, 3, 144, 144))
    assert done.embeddings.shape == (2, 16, 24)
    assert done.mask is None
    given = interface.see(torch.zeros(2, 3, 144, 144))
    assert set(interface.needs) <= set(given)
    assert given["objects_mask"].shape == (2, 8)
    assert given["phrases"].shape == (2, 8, 5)
    assert not any(
        name.startswith(("tower.", "refiner.")) for name in interface.trained_parameters()
    )


def test_slots_without_an_object_change_nothing() -> None:
    interface = tiny()
    given = seen(interface)
    given["objects_mask"][:, 3:] = False
    before = interface(given).embeddings
    given["objects"][:, 3:] = 7.0
    torch.testing.assert_close(interface(given).embeddings, before)
    given["objects"][:, 2] = 7.0
    assert not torch.allclose(interface(given).embeddings, before)


def test_without_any_object_there_is_the_empty_slot() -> None:
    interface = tiny()
    given = seen(interface)
    given["objects_mask"][:] = False
    done = interface(given, origin=True)
    assert done.embeddings.isfinite().all()
    assert done.origin is not None
    assert not done.origin[:, 2:].any()


def test_the_groups_read_their_own_sources() -> None:
    """In the first layer; later ones mix them."""
    interface = tiny(layers=1)
    given = seen(interface)
    before = interface.queries(given)
    patches = {**given, "contrastive": given["contrastive"].flip(1)}
    changed = (interface.queries(patches) - before).abs().amax((0, 2)) > 1e-6
    torch.testing.assert_close(changed, torch.tensor([False] * 5))  # attention ignores order
    patches["contrastive"] = torch.zeros_like(given["contrastive"])
    changed = (interface.queries(patches) - before).abs().amax((0, 2)) > 1e-6
    assert changed.tolist() == [True, True, False, False, False]
    objects = {**given, "objects": torch.zeros_like(given["objects"])}
    changed = (interface.queries(objects) - before).abs().amax((0, 2)) > 1e-6
    assert changed.tolist() == [False, False, True, True, True]


def test_the_box_of_an_object_is_read() -> None:
    interface = tiny()
    given = seen(interface)
    assert given["objects_mask"].any(1).all()
    moved = given["objects"].clone()
    moved[:, :, 16:56] = moved[:, :, 16:56].roll(1, 2)
    with torch.no_grad():
        change = interface({**given, "objects": moved}).embeddings - interface(given).embeddings
    assert float(change.abs().amax()) > 0.1


def test_origin_is_where_queries_looked() -> None:
    interface = tiny()
    given = seen(interface)
    origin = interface(given, origin=True).origin
    assert origin is not None
    assert origin.shape == (2, 5, 81)
    assert (origin >= 0).all()
    assert (origin.sum(-1) <= 1 + 1e-5).all()
    covered = (given["objects_patches"] * given["objects_mask"][..., None]).sum(1) > 0
    for row in range(2):
        assert not origin[row, 2:, ~covered[row]].any()
        assert origin[row, :2].count_nonzero() == 2 * 81


def test_dense_origin_covers_patches() -> None:
    interface = tiny(refiner={"name": "regions", "read": "patches"})
    origin = interface(seen(interface), origin=True).origin
    assert origin is not None
    assert (origin > 0).all()


def test_a_folder_holds_the_refiner_with_its_donors(tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = {**SIZES, "tower": TOWER, "refiner": {"name": "regions", "false": 0.5}}
    text = LlamaConfig(
        vocab_size=9,
        hidden_size=16,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    model = InterfaceForConditionalGeneration(InterfaceConfig("lyrics", settings, text)).eval()
    interface = model.interface
    assert isinstance(interface, Lyrics)
    pixels = torch.rand(3, 3, 36, 36) * 2 - 1
    plain = interface.refiner(pixels, torch.randn(3, 82, 16)).objects
    interface.refiner.errors.fill([plain])
    model.save_pretrained(tmp_path)
    again = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    one, other = (part.interface.see(pixels) for part in (model, again))
    assert one["phrases"].shape == (3, 8, 5)
    for name, part in one.items():
        torch.testing.assert_close(part, other[name])


def test_a_text_is_read_as_asked() -> None:
    interface = tiny(n_words=20)
    given = seen(interface)
    ids = torch.randint(0, 20, (2, 6), generator=torch.Generator().manual_seed(0))
    present = torch.ones(2, 6, dtype=torch.bool)
    alone = interface.queries(given)
    texts = interface.texts(ids, present)
    queries, words = interface.both(given, ids, present, "apart")
    torch.testing.assert_close((queries, words), (alone, texts))
    for reading in ("behind", "causal"):
        queries, words = interface.both(given, ids, present, reading)
        torch.testing.assert_close(queries, alone)
        assert not torch.allclose(words, texts)
    later = ids.clone()
    later[:, 5] = 20
    _, changed = interface.both(given, later, present, "behind")
    assert not torch.allclose(changed[:, 0], interface.both(given, ids, present, "behind")[1][:, 0])
    queries, _ = interface.both(given, ids, present, "together")
    assert not torch.allclose(queries, alone)


def test_a_text_alone_needs_a_text_side() -> None:
    with pytest.raises(ValueError, match="text side"):
        tiny().texts(torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 3, dtype=torch.bool))
