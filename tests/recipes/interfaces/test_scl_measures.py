"""What two streams complete, match and look at, with the controls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from retinoscope.data.scenes import VARIED, scenes
from retinoscope.interfaces import SemanticCompletion
from retinoscope.recipes._captions import Captions, drawn_words
from retinoscope.recipes._completion import _met
from retinoscope.recipes.interfaces._completion import (
    ScenePool,
    _part,
    _rank,
    attention_inside,
    completions,
    draw_pool,
    retrieval,
)
from retinoscope.recipes.interfaces._scl import SclStage
from retinoscope.recipes.interfaces._world import OPTIONS

TOWER = {"image": 144, "patch": 36, "width": 16, "layers": 1, "heads": 2, "ff": 16}
N = 10


@pytest.fixture(scope="module")
def trained() -> tuple[SemanticCompletion, SclStage, ScenePool]:
    """Trained to complete the very scenes of the pool from the partner alone."""
    torch.manual_seed(1)
    made = SemanticCompletion(12, TOWER, heads=2, ff=24, n_words=120)
    pool = draw_pool(made, N, seed=4)
    streams, captions = made.streams, pool.captions
    optimizer = torch.optim.Adam(streams.parameters(), 5e-3)
    generator = torch.Generator().manual_seed(0)
    part, hidden = _part(made, pool, 1.0, generator), drawn_words(captions, 1.0, generator)
    for _ in range(90):
        words, covered = (
            streams.words(read.ids, read.present) for read in (captions, captions.without(hidden))
        )
        whole = streams(pool.tokens, words, captions.present)
        image = streams(part, words, captions.present).image
        text = streams(pool.tokens, covered, captions.present).text
        loss = _met(image[:, 0], whole.image[:, 0]) + _met(text[:, 0], whole.text[:, 0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return made.eval(), SclStage(made, 120).eval(), pool


def test_a_pool_is_what_was_drawn() -> None:
    made = SemanticCompletion(12, TOWER, heads=2, ff=24)
    pool = draw_pool(made, 3, seed=4)
    varied = {name: getattr(VARIED, name) for name in ("signs", "small", "repeats", "grounds")}
    assert OPTIONS == VARIED
    for number, sample in enumerate(scenes(3, 4, **varied)):
        np.testing.assert_array_equal(pool.images[number], np.asarray(sample.image))
        objects = np.logical_or.reduce([thing.mask for thing in sample.objects])
        np.testing.assert_allclose(pool.cover[number, 5], objects[36:72, 36:72].mean(), atol=1e-6)
        assert (
            int(pool.captions.present[number].sum())
            == len(sample.captions[0].replace(",", " ,").replace(".", " .").split()) + 2
        )
    assert pool.tokens.shape == (3, 17, 16)


def test_with_all_of_its_own_hidden_only_the_partner_tells(trained) -> None:
    made, _, pool = trained
    rows = completions(made, pool, ratios=(0.6, 1.0))
    assert len(rows) == 2 * 2 * 2 * N
    right = {
        key: frame["right"].mean()
        for key, frame in rows.partition_by("modality", "ratio", "partner", as_dict=True).items()
    }
    for modality in ("image", "text"):
        assert right[modality, 1.0, "same"] > 0.6
        assert right[modality, 1.0, "another"] < 0.3
    assert_frame_equal(rows, completions(made, pool, ratios=(0.6, 1.0)))


def test_an_image_that_is_hidden_is_like_any_other(trained) -> None:
    made, _, pool = trained
    for ratio, n_tokens, same in ((1.0, 1, True), (0.6, 7, False)):
        part = _part(made, pool, ratio, torch.Generator().manual_seed(0))
        assert part.shape == (N, n_tokens, 16)
        assert torch.equal(part[0], part[1]) == same


def test_ranks_by_the_fusion_are_among_the_nearest(trained) -> None:
    made, stage, pool = trained
    rows = retrieval(made, stage, pool, candidates=3)
    assert rows.shape == (2 * N, 6)
    near, far = rows.filter(pl.col("contrast_rank") < 3), rows.filter(pl.col("contrast_rank") >= 3)
    assert near["rank"].is_between(0, 2).all()
    assert far["rank"].is_null().all()
    assert not far["right"].any()
    assert rows["right"].equals(rows["rank"].eq(0).fill_null(False))
    few = retrieval(made, stage, pool, candidates=1)
    assert few["right"].equals(few["contrast_right"])


def test_scenes_with_one_caption_answer_for_one_another(trained) -> None:
    made, stage, pool = trained
    ids, present = (part.clone() for part in (pool.captions.ids, pool.captions.present))
    ids[1], present[1] = ids[0], present[0]
    same = replace(pool, captions=Captions(ids, present))
    rows = retrieval(made, stage, same, candidates=N).filter(pl.col("query") == "text")
    assert rows["right"][0] == rows["right"][1]
    scores = torch.tensor([[1.0, 3.0, 2.0]])
    assert _rank(scores, torch.tensor([[True, False, False]])).tolist() == [2]
    assert _rank(scores, torch.tensor([[True, True, False]])).tolist() == [0]


def test_attention_inside_is_a_share_of_the_patches(trained) -> None:
    made, _, pool = trained
    rows = attention_inside(made, pool)
    assert rows.columns == ["scene", "inside", "chance", "inside_another", "chance_another"]
    np.testing.assert_allclose(rows["chance"], pool.cover.mean(1))
    np.testing.assert_allclose(rows["chance_another"], pool.cover.roll(1, 0).mean(1))
    assert rows["inside"].is_between(0, 1).all()
    everywhere = attention_inside(made, replace(pool, cover=torch.ones_like(pool.cover)))
    np.testing.assert_allclose(everywhere["inside"], 1, rtol=1e-5)
    words = made.streams.words(pool.captions.ids, pool.captions.present)
    with torch.no_grad():
        looks = made.streams.looks(pool.tokens, words, pool.captions.present)[..., 1:]
    looks = looks / looks.sum(-1, keepdim=True)
    first = torch.zeros_like(pool.cover)
    first[:, 3] = 1
    corner = attention_inside(made, replace(pool, cover=first))
    np.testing.assert_allclose(corner["inside"], looks[..., 3].amax(1), rtol=1e-4)
