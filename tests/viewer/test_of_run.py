"""Documents of a run hold the Python API's own numbers."""

from __future__ import annotations

import numpy as np
import pytest

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.models import Layout
from retinoscope.tokens import Positions
from retinoscope.viewer._of_run import (
    attention_of,
    frames_of,
    objects_of,
    prompt_facts,
    visual_of,
)


@pytest.fixture(scope="module")
def run(pocket: rs.VLM, scenes: rs.data.Scenes) -> Run:
    return pocket.run(pocket.prompt(scenes[0].image, "What color is the car?"))


@pytest.mark.parametrize("query", [-1, 150])
def test_attention_is_the_runs_and_adds_up_to_one(run: Run, query: int) -> None:
    document = attention_of(run, query)
    place = range(run.n)[query]
    assert (document.query, document.token) == (place, run.tokens[place])
    for layer in (0, run.adapter.n_layers - 1):
        row = run.attention(layer, place)[:, 0].numpy()
        assert np.array_equal(document.weights[layer], row[:, list(run.image.positions)])
        assert np.array_equal(document.rest["first"][layer], row[:, 0])
    whole = document.weights.sum(-1) + document.rest["first"] + document.rest["text"]
    np.testing.assert_allclose(whole, 1, atol=1e-5)


def test_objects_have_the_tokens_that_cover_them(run: Run, scenes: rs.data.Scenes) -> None:
    sample = scenes[0]
    found = objects_of(sample, run.image.layout)
    assert [one.name for one in found] == [one.name for one in sample.objects]
    for document, one in zip(found, sample.objects, strict=True):
        positions = run.image.at(document.tokens).positions
        assert positions == run.image.covering(one.mask).positions
        assert document.tokens
        mask = rs.data.decode_segmentation(document.mask, *one.mask.shape)
        assert np.array_equal(mask, one.mask)
        x, y, width, height = document.box
        assert (x, y, x + width, y + height) == one.box


def test_every_token_of_the_prompt_has_its_kind(run: Run) -> None:
    facts = prompt_facts(run.prompt.text, run.tokens, run.inputs)
    assert len(facts.kinds) == len(facts.tokens) == run.n
    for kind in ("image", "question"):
        positions = [place for place, found in enumerate(facts.kinds) if found == kind]
        assert tuple(positions) == run.positions[kind].positions
    longer = run.generate(3).run()
    kinds = prompt_facts("", longer.tokens, longer.inputs).kinds
    assert [k for k in kinds if k == "generated"] == ["generated"] * (longer.n - run.n)


def _tiled() -> Layout:
    """A class token, a 2 x 2 thumbnail, and a 1 x 2 tile whose last token is only padding."""
    nan = [np.nan] * 4
    return Layout(
        size=(20, 10),
        boxes=np.array(
            [nan, *([x, y, x + 10, y + 5] for y in (0, 5) for x in (0, 10)), [0, 0, 20, 10], nan],
            dtype=float,
        ),
        rows=np.array([-1, 0, 0, 1, 1, 0, 0]),
        columns=np.array([-1, 0, 1, 0, 1, 0, 1]),
        tiles=np.array([0, 0, 0, 0, 0, 1, 1]),
        grid=None,
    )


def test_layouts_with_tiles_and_unplaced_tokens() -> None:
    layout = _tiled()
    visual = visual_of(Positions(9, ((tuple(range(1, 8)), layout),)))
    assert visual is not None
    assert [(one.token, "padding" in one.label) for one in visual.unplaced] == [
        (0, False),
        (6, True),
    ]
    assert np.isnan(visual.boxes[[0, 6]]).all()
    assert np.array_equal(visual.boxes[1:6], layout.boxes[1:6])
    frames = frames_of(layout)
    assert [(one.first, one.count, one.grid) for one in frames] == [(0, 5, [2, 2]), (5, 2, [1, 2])]
    assert (visual.grid, visual.rows, visual.cols[6]) == (None, [-1, 0, 0, 1, 1, 0, 0], 1)


def test_a_decoder_without_visual_tokens_has_no_layout() -> None:
    assert visual_of(Positions(5)) is None
