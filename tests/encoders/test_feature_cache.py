"""Cached features are the encoder's, are computed once, and survive an interruption."""

from __future__ import annotations

import numpy as np
import pytest
from towers import vit

import retinoscope as rs
from retinoscope import encoders
from retinoscope.encoders import _cache
from retinoscope.errors import InputError


class Counting:
    """Counts the images whose features are computed."""

    def __init__(self, enc: encoders.Encoder, monkeypatch) -> None:
        self.enc, self.n, self.stop_at = enc, 0, None
        own = enc.features

        def features(image, layers=None):
            if self.n == self.stop_at:
                raise KeyboardInterrupt
            self.n += 1
            return own(image, layers)

        monkeypatch.setattr(enc, "features", features)


@pytest.fixture
def counting(monkeypatch) -> Counting:
    monkeypatch.setattr(_cache, "_IMAGES_PER_FILE", 3)
    return Counting(encoders.load(vit()), monkeypatch)


def test_each_image_and_layer_is_computed_once(counting, tmp_path) -> None:
    samples = rs.data.scenes(7)
    done = []
    kept = encoders.cached_features(
        counting.enc, samples, ["vision.1"], tmp_path, progress=lambda *at: done.append(at)
    )
    assert done == [(k, 7) for k in range(1, 8)]
    assert counting.n == 7
    encoders.cached_features(counting.enc, samples, ["vision.1"], tmp_path)
    assert counting.n == 7
    encoders.cached_features(counting.enc, samples[2:4], ["vision.1", "vision.2"], tmp_path)
    assert counting.n == 9
    plain = counting.enc.features(samples[5].image)
    assert len(kept) == 7
    np.testing.assert_array_equal(kept[5]["vision.1"], plain["vision.1"])
    np.testing.assert_array_equal(kept[5].boxes, plain.boxes)
    np.testing.assert_array_equal(kept.layer("vision.1")[5], plain["vision.1"])
    assert (kept[5].grid, kept[5].size) == (plain.grid, plain.size)
    np.testing.assert_array_equal(kept[4:][1]["vision.1"], plain["vision.1"])


def test_features_that_do_not_fit_the_precision_are_refused(monkeypatch, tmp_path) -> None:
    enc = encoders.load(vit())
    own = enc.features

    def large(image, layers=None):
        found = own(image, layers)
        found.layers["vision.1"][0, 0] = 1e6
        return found

    monkeypatch.setattr(enc, "features", large)
    with pytest.raises(InputError, match=r"float16 can hold, got 1000000: .* float32"):
        encoders.cached_features(
            enc, rs.data.scenes(1), ["vision.1"], tmp_path, precision="float16"
        )
    kept = encoders.cached_features(enc, rs.data.scenes(1), ["vision.1"], tmp_path)
    assert kept[0]["vision.1"][0, 0] == 1e6


def test_an_interrupted_call_goes_on(counting, tmp_path) -> None:
    counting.stop_at = 5
    with pytest.raises(KeyboardInterrupt):
        encoders.cached_features(counting.enc, rs.data.scenes(7), ["vision.1"], tmp_path)
    counting.stop_at = None
    encoders.cached_features(counting.enc, rs.data.scenes(7), ["vision.1"], tmp_path)
    # Two images of the second file were lost.
    assert counting.n == 5 + 4


def test_half_precision_is_kept_apart(counting, tmp_path) -> None:
    samples = rs.data.scenes(2)
    half = encoders.cached_features(
        counting.enc, samples, ["vision.3"], tmp_path, precision="float16"
    )
    full = encoders.cached_features(counting.enc, samples, ["vision.3"], tmp_path)
    assert counting.n == 4
    assert half[0]["vision.3"].dtype == np.float32
    exact = full[0]["vision.3"]
    np.testing.assert_array_equal(half[0]["vision.3"], exact.astype(np.float16).astype(np.float32))


def test_what_cannot_be_cached_is_refused(counting, tmp_path) -> None:
    with pytest.raises(InputError, match="at least one image"):
        encoders.cached_features(counting.enc, [], ["vision.0"], tmp_path)
    with pytest.raises(InputError, match="layers"):
        encoders.cached_features(counting.enc, rs.data.scenes(1), ["vision.8"], tmp_path)
    encoders.cached_features(counting.enc, rs.data.scenes(1), ["vision.0"], tmp_path)
    (file,) = tmp_path.glob("*/vision.0/*.safetensors")
    file.write_bytes(b"broken")
    with pytest.raises(InputError, match="remove it"):
        encoders.cached_features(counting.enc, rs.data.scenes(1), ["vision.0"], tmp_path)
