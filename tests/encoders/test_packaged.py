"""The packaged comparison: what is there, and what a reader may count on."""

from __future__ import annotations

import numpy as np
import pytest

import retinoscope as rs
from benchmarks import encoder_words
from retinoscope import encoders
from retinoscope.encoders._small import WEIGHTS
from retinoscope.encoders.comparison import OBJECTIVES
from retinoscope.errors import InputError
from retinoscope.studies.probe.objectives import ALL, encoders_named

NAMES = {
    *("random", "distillation", "mae", "captioning", "supervised"),
    *("contrastive-class", "contrastive-average", "contrastive-max"),
}


def test_all_objectives_are_there_and_small() -> None:
    assert {name.removeprefix("small:") for name in encoders.small_names()} == NAMES
    files = list(WEIGHTS.iterdir())
    assert sum(path.stat().st_size for path in files) < 20_000_000
    image = rs.data.scenes(1)[0].image
    loaded = [encoders.load(name) for name in encoders.small_names()]
    assert len({enc.fingerprint for enc in loaded}) == len(loaded)
    assert len({enc.n_parameters for enc in loaded}) == 1, "equal capacity"
    assert {enc.training for enc in loaded} == {None}, "one each, not one of several runs"
    for enc in loaded:
        features = enc.features(image)
        assert features.grid == (9, 9)
        assert features["vision.6"].shape == (81, 128)
        assert np.isfinite(features["vision.6"]).all()
    assert encoders.load("small:contrastive").layers == loaded[0].layers


def test_an_objective_that_is_not_packaged_names_its_training() -> None:
    more = sorted(set(OBJECTIVES) - NAMES)
    assert "completion" in more
    for name in more:
        with pytest.raises(InputError, match=f"train encoders --objective {name} --work"):
            encoders.load(f"small:{name}")
    with pytest.raises(InputError, match=r"got 'unheard-of'$"):
        encoders.load("small:unheard-of")
    assert "small:completion" not in encoders_named(ALL)


def test_only_the_maximum_says_where_a_colour_is() -> None:
    """Ranasinghe et al. 2022, on scenes: equal for the image, far apart for its places."""
    samples = list(rs.data.scenes(12, seed=6))
    found = {
        way: encoder_words.measured(f"small:contrastive-{way}", samples)
        for way in ("class", "average", "max")
    }
    assert all(np.nanmean(one["colour, image"]) > 0.97 for one in found.values())
    place = {way: one["colour, place"].mean() for way, one in found.items()}
    assert place["max"] > 0.9
    assert place["max"] - max(place["average"], place["class"]) > 0.3


def test_the_table_of_words(capsys) -> None:
    found = encoder_words.main([str(WEIGHTS), "--scenes", "3"])
    assert set(found) == {f"contrastive-{way}" for way in ("class", "average", "max")}
    assert all(len(values) == 3 for one in found.values() for values in one.values())
    assert "| contrastive-max | 1 |" in capsys.readouterr().out


def test_shares_of_an_object_add_up() -> None:
    sample = rs.data.scenes(1)[0]
    boxes = encoders.load("small:mae").features(sample.image, ["vision.0"]).boxes
    for thing in sample.objects:
        assert encoder_words.covered(thing.mask, boxes).sum() == pytest.approx(1)
