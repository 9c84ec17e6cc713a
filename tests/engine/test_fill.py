"""Fills, and the mean visual token over a data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

import retinoscope as rs
from retinoscope.data import Sample


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETINOSCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def samples(noise_image: Callable[..., Image.Image]) -> list[Sample]:
    return [Sample(str(seed), noise_image(40 + seed, 50, seed)) for seed in range(5)]


def test_mean_is_the_mean(tiny: rs.VLM, samples: list[Sample]) -> None:
    found = rs.fill.mean(tiny, samples, batch_size=2)
    runs = [tiny.run(tiny.prompt(sample.image, "a cat")) for sample in samples]
    wanted = torch.cat([run.image.embeddings for run in runs]).mean(0)
    torch.testing.assert_close(found.vector, wanted, atol=1e-5, rtol=1e-5)
    assert (found.n_images, found.n_tokens) == (5, 5 * 49)


def test_mean_is_cached_by_model_and_images(
    tiny: rs.VLM, samples: list[Sample], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rs.fill.mean(tiny, samples)
    assert len(list(cache.rglob("*.safetensors"))) == 1
    monkeypatch.setattr(tiny, "encode", lambda images: pytest.fail("encoded again"))
    assert torch.equal(rs.fill.mean(tiny, samples).vector, first.vector)
    monkeypatch.undo()
    monkeypatch.setenv("RETINOSCOPE_CACHE", str(cache))
    rs.fill.mean(tiny, samples[:4])
    assert len(list(cache.rglob("*.safetensors"))) == 2


def test_a_damaged_cache_is_taken_anew(tiny: rs.VLM, samples: list[Sample], cache: Path) -> None:
    first = rs.fill.mean(tiny, samples)
    (file,) = cache.rglob("*.safetensors")
    file.write_bytes(b"x")
    assert torch.equal(rs.fill.mean(tiny, samples).vector, first.vector)


def test_noise_depends_on_seed_and_position_only(tiny: rs.VLM, square: Image.Image) -> None:
    run = tiny.run(tiny.prompt(square, "a cat"))
    places = run.image.positions
    whole = rs.fill.noise(3).values(run, places)
    assert torch.equal(rs.fill.noise(3).values(run, places[5:7]), whole[5:7])
    assert not torch.equal(rs.fill.noise(4).values(run, places), whole)
    spread = run.image.embeddings.std()
    assert 0.5 < float(whole.std() / spread) < 2


def test_donors(tiny: rs.VLM, square: Image.Image, portrait: Image.Image) -> None:
    run = tiny.run(tiny.prompt(square, "Describe this image."))
    other = tiny.run(tiny.prompt(portrait, "Describe this image."))
    whole = run.counterfactuals([rs.Ablate(run.image.tokens, rs.fill.donor(other))])
    torch.testing.assert_close(whole.logits[0], other.logits)
    with pytest.raises(rs.InputError, match="visual tokens only"):
        run.counterfactuals([rs.Ablate(run.positions["last"], rs.fill.donor(other))])


def test_no_samples_and_another_model(tiny: rs.VLM, square: Image.Image) -> None:
    with pytest.raises(rs.InputError, match="got none"):
        rs.fill.mean(tiny, [])
    run = tiny.run(tiny.prompt(square, "a cat"))
    strange = rs.engine.fill.Mean(torch.zeros(7), 1, 1)
    with pytest.raises(rs.InputError, match="another model"):
        run.counterfactuals([rs.Ablate(run.image.at([0]), strange)])
