"""Attention rows on demand."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

import retinoscope as rs


@pytest.mark.parametrize("name", ["tiny", "tiny_eager"])
def test_rows_equal_the_models_own_weights(
    name: str, request: pytest.FixtureRequest, tiny_eager: rs.VLM, portrait: Image.Image
) -> None:
    vlm: rs.VLM = request.getfixturevalue(name)
    run = vlm.run(vlm.prompt(portrait, "Describe this image."))
    with torch.no_grad():
        whole = tiny_eager.model(
            inputs_embeds=run.embeddings[None], output_attentions=True
        ).attentions
    rows = [3, 17, run.n - 1]
    for layer in range(vlm.n_layers):
        found = run.attention(layer, rows)
        assert found.shape == (4, 3, run.n)
        torch.testing.assert_close(found, whole[layer][0][:, rows], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["tiny", "tiny_eager"])
def test_a_knocked_out_edge_reads_exactly_zero(
    name: str, request: pytest.FixtureRequest, square: Image.Image
) -> None:
    vlm: rs.VLM = request.getfixturevalue(name)
    run = vlm.run(vlm.prompt(square, "Describe this image."))
    obj = run.image.covering((8, 8, 30, 30))
    keys = list(obj.positions)
    cut = rs.Knockout(obj, "last", layers=[1, 3], heads=[0, 2])
    for layer in range(4):
        row = run.attention(layer, "last", under=cut)[:, 0]
        hit = row[[0, 2]][:, keys]
        assert (hit == 0).all() if layer in (1, 3) else (hit > 0).all()
        assert (row[[1, 3]][:, keys] > 0).all()
        torch.testing.assert_close(row.sum(-1), torch.ones(4))
    assert torch.equal(run.attention(0, "last", under=cut), run.attention(0, "last"))


def test_a_layer_or_row_that_is_not_there_is_refused(tiny: rs.VLM, square: Image.Image) -> None:
    run = tiny.run(tiny.prompt(square, "Describe this image."))
    with pytest.raises(rs.InputError, match="blocks from 0 to 3"):
        run.attention(4)
    with pytest.raises(rs.InputError, match="positions from 0"):
        run.attention(0, [run.n])
