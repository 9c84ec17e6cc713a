"""Attribution patching against exact ablations, finite differences, and a model that is linear."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from torch import Tensor, nn

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.saliency import AttributionPatching, attribution_patching

TEXT = "Is there a cat in this image?"


@pytest.fixture(scope="module")
def run(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> Run:
    return tiny.run(tiny.prompt(noise_image(50, 70), TEXT))


@pytest.fixture(scope="module")
def fill(run: Run) -> rs.fill.Mean:
    return rs.fill.Mean(run.image.embeddings.mean(0), 1, 49)


@pytest.fixture(scope="module")
def found(run: Run, fill: rs.fill.Mean) -> AttributionPatching:
    return attribution_patching(run, "yes", fill, versus="no", sample=12)


def logit_by_hand(run: Run, embeddings: Tensor, ids: list[int]) -> float:
    """Difference of two logits at other visual embeddings, by the model's own forward pass."""
    embeds = run.embeddings.clone()
    embeds[list(run.image.positions)] = embeddings
    with torch.no_grad():
        last = run.vlm.model(inputs_embeds=embeds[None]).logits[0, -1]
    return float(last[ids[0]] - last[ids[1]])


def test_estimates_are_finite_differences(build: Any, square: Image.Image) -> None:
    """Each is the slope along the straight line from the token to its fill."""
    vlm = rs.load(model=build.model().double(), processor=build.processor())
    run = vlm.run(vlm.prompt(square, TEXT))
    found = attribution_patching(run, "yes", rs.fill.noise(3), versus="no", sample=3)
    ids = [vlm.tokenizer.convert_tokens_to_ids(word) for word in ("▁yes", "▁no")]
    assert (found.target, found.versus) == tuple(ids)
    here = run.image.embeddings
    there = rs.fill.noise(3).values(run, run.image.positions)
    for token in (0, 7, 24, 48):
        change = {}
        for step in (-0.02, -0.01, 0.01, 0.02):
            moved = here.clone()
            moved[token] += step * (there[token] - here[token])
            change[step] = logit_by_hand(run, moved, ids)
        # Central differences of the fourth order: the norms compute in float32 in any model.
        one, two = (change[step] - change[-step] for step in (0.01, 0.02))
        slope = (8 * one - two) / 0.12
        assert float(found.estimates[token]) == pytest.approx(slope, rel=5e-3, abs=2e-4)


def test_exact_effects_are_ablations_one_by_one(run: Run, found: AttributionPatching) -> None:
    ids = [run.vlm.tokenizer.convert_tokens_to_ids(word) for word in ("▁yes", "▁no")]
    here = run.image.embeddings
    clean = logit_by_hand(run, here, ids)
    assert len(found.exact) == len(found.sampled) == 12
    for token, effect in zip(found.sampled.tolist(), found.exact.tolist(), strict=True):
        ablated = here.clone()
        ablated[token] = here.mean(0)
        wanted = logit_by_hand(run, ablated, ids) - clean
        assert effect == pytest.approx(wanted, abs=1e-4)
    assert found.path == "incremental"


def test_a_linear_model_is_estimated_exactly(build: Any, square: Image.Image) -> None:
    """Uniform attention over linear values, no norms, no MLP: nothing is left to go wrong."""
    model = build.model()
    decoder = model.model.language_model
    for layer in decoder.layers:
        layer.input_layernorm = layer.post_attention_layernorm = nn.Identity()
        nn.init.zeros_(layer.self_attn.q_proj.weight)
        nn.init.zeros_(layer.mlp.down_proj.weight)
    decoder.norm = nn.Identity()
    vlm = rs.load(model=model, processor=build.processor())
    run = vlm.run(vlm.prompt(square, TEXT))
    found = attribution_patching(run, "cat", rs.fill.zero(), sample=49)
    assert found.sampled.tolist() == list(range(49))
    assert found.exact.abs().max() > 1e-3
    scale = float(run.logits.abs().max())
    torch.testing.assert_close(found.estimates, found.exact, atol=1e-5 * scale, rtol=1e-3)
    assert found.rank_correlation.value > 0.99
    everything = run.counterfactuals([rs.Ablate(run.image.tokens)]).logits[0] - run.logits
    total = float(found.estimates.sum())
    assert total == pytest.approx(float(everything[found.target]), rel=1e-3, abs=1e-4 * scale)


def test_a_difference_is_the_difference_of_two(run: Run, fill: rs.fill.Mean) -> None:
    both, one, other = (
        attribution_patching(run, target, fill, versus=versus, sample=5, seed=2)
        for target, versus in (("yes", "no"), ("yes", None), ("no", None))
    )
    torch.testing.assert_close(both.estimates, one.estimates - other.estimates)
    torch.testing.assert_close(both.exact, one.exact - other.exact, atol=1e-5, rtol=1e-4)
    assert one.versus is None


def test_the_sample_is_uniform_and_seeded(run: Run, fill: rs.fill.Mean) -> None:
    first, same, second = (
        attribution_patching(run, "yes", fill, sample=6, seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(first.sampled, same.sampled)
    assert not torch.equal(first.sampled, second.sampled)
    assert first.rank_correlation == same.rank_correlation
    # The same tokens whatever is estimated: the sample does not look at the estimates.
    assert torch.equal(
        attribution_patching(run, "no", rs.fill.zero(), sample=6).sampled, first.sampled
    )
    assert first.sampled.unique().tolist() == first.sampled.tolist()
    whole = attribution_patching(run, "yes", fill, sample=1000)
    assert whole.sampled.tolist() == list(range(49))


def test_several_images(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> None:
    images = [noise_image(50, 70), noise_image(56, 56, seed=1)]
    run = tiny.run(tiny.prompt(images, TEXT))
    found = attribution_patching(run, "yes", rs.fill.noise(0), sample=98)
    assert found.estimates.shape == found.exact.shape == (98,)
    one = run.counterfactuals([rs.Ablate(run.images[1].at([3]), rs.fill.noise(0))])
    wanted = one.logits[0, found.target] - run.logits[found.target]
    assert float(found.exact[49 + 3]) == pytest.approx(float(wanted), abs=1e-5)
    frame = found.to_frame()
    assert frame["image"].to_pylist() == [0] * 49 + [1] * 49
    assert found.plot(image=1) is not None


def test_the_table_has_all_of_it(found: AttributionPatching, tmp_path: Path) -> None:
    table = parquet.read_table(found.save(tmp_path / "tokens.parquet"))
    columns = table.to_pydict()
    assert columns["position"] == list(found.run.image.positions)
    assert columns["estimate"] == pytest.approx(found.estimates.tolist())
    assert columns["row"][:8] == [0] * 7 + [1]
    assert columns["column"][:8] == [*range(7), 0]
    exact = {i: value for i, value in enumerate(columns["exact"]) if value is not None}
    assert list(exact) == found.sampled.tolist()
    assert list(exact.values()) == pytest.approx(found.exact.tolist())
    facts = json.loads(table.schema.metadata[b"retinoscope"])
    assert facts["rank_correlation"]["value"] == found.rank_correlation.value
    assert facts["target"] == found.target
    with pytest.raises(rs.InputError, match=r"\.parquet"):
        found.save(tmp_path / "tokens.csv")
    with pytest.raises(rs.InputError, match="cannot be written"):
        found.save(tmp_path / "nowhere" / "tokens.parquet")


def test_the_picture_lies_over_the_image(found: AttributionPatching, tmp_path: Path) -> None:
    figure = found.plot()
    axes, bar = figure.axes
    assert f"{found.rank_correlation.value:.2f}" in axes.get_title()
    assert "'yes' minus 'no'" in bar.get_ylabel()
    (tiles,) = axes.collections
    np.testing.assert_allclose(tiles.get_array(), found.estimates.numpy())
    low, high = tiles.get_clim()
    assert -low == high == float(found.estimates.abs().max())
    corners = tiles.get_paths()[8].get_extents()
    np.testing.assert_allclose(
        [*corners.min, *corners.max], found.run.image.boxes[8], rtol=1e-6, atol=1e-6
    )
    figure.savefig(tmp_path / "tokens.svg")
    assert (tmp_path / "tokens.svg").stat().st_size > 1000
    with pytest.raises(rs.InputError, match="images from 0 to 0, got 1"):
        found.plot(image=1)


def test_refusals(run: Run, tiny: rs.VLM, fill: rs.fill.Mean) -> None:
    with pytest.raises(rs.InputError, match="expected a fill"):
        attribution_patching(run, "yes", "zero")  # type: ignore[arg-type]
    with pytest.raises(rs.InputError, match=r"a sample of tokens from 3 up, got 2"):
        attribution_patching(run, "yes", fill, sample=2)
    with pytest.raises(rs.InputError, match="tokenizer knows"):
        attribution_patching(run, "zebra", fill)
    with pytest.raises(rs.InputError, match="two different tokens"):
        attribution_patching(run, "yes", fill, versus=" yes")
    with pytest.raises(rs.InputError, match="with an image"):
        attribution_patching(tiny.run(tiny.prompt(None, TEXT)), "yes", fill)


def test_on_the_pocket_model() -> None:
    """On a trained model the estimates order the tokens somewhat as the exact effects do."""
    vlm = rs.load("pocket")
    samples = rs.data.scenes(4, seed=1)
    mean = rs.fill.mean(vlm, samples, cache=False)
    text = f"Is there a {samples[0].objects[0].name} in this image?"
    run = vlm.run(vlm.prompt(samples[0].image, text))
    found = attribution_patching(run, "yes", mean, versus="no", sample=40)
    reference = run.counterfactuals(
        [rs.Ablate(run.image.at([int(i)]), mean) for i in found.sampled[:6]], exact="reference"
    ).logits
    change = reference - run.logits
    wanted = change[:, found.target] - change[:, found.versus]
    torch.testing.assert_close(found.exact[:6], wanted, atol=1e-3, rtol=1e-3)
    assert found.rank_correlation.low > 0
    assert found.rank_correlation.p < 0.05
