"""Every method on the models whose mechanism is known."""

from __future__ import annotations

from functools import cache

import pytest

from retinoscope.engine import load
from retinoscope.errors import InputError
from retinoscope.saliency import METHODS
from retinoscope.studies import CHECKS, _planted_check, check_planted
from retinoscope.studies._planted_check import PAIRS

ROUTES = ("via-query", "direct")
HOLDS = ("one-hot-patch", "global-broadcast")
SEES = [("via-query", "blind"), ("direct", "blind"), ("one-hot-patch", "blind")]
SHARED = ("global-broadcast", "blind")
MISSED = {
    "ablation": {ROUTES},
    "probe": {ROUTES},
    "group": {ROUTES},
    # Attention does not know what is read: alike for all patches, seen or blind.
    "attention": {HOLDS, *SEES[1:], SHARED},
    "rollout": {ROUTES, HOLDS, *SEES, SHARED},
    # Its rows are those of the whole path.
    "chefer": {ROUTES},
    # The norms take an embedding's size away: no slope along it. SmoothGrad has slopes, of noise.
    "gradient-input": {ROUTES, HOLDS, *SEES, SHARED},
    "smooth-grad": {ROUTES, HOLDS, *SEES, SHARED},
    # What a token has in common with all others of its image is no change from their mean.
    "grad-cam": {ROUTES, SHARED},
    "integrated-gradients": {ROUTES},
    # One token of many alike can be hidden without any loss; so can all that the question read.
    "knockout-effect": {SEES[0], SHARED},
    # What replaces or differentiates the decoder's input says nothing of the path behind it.
    "ablation-effect": {ROUTES},
    "attribution-patching": {ROUTES},
    "lens-probability": {ROUTES},
    "rise": {ROUTES},
    "occlusion": {ROUTES},
}
"""What a method cannot tell apart, by its nature; "flow", "knockout" and "lens" tell all."""
IMAGES = 3
READS_PLACES = {"probe", "group"}
"""These see where a visual token lies, which the others do not."""
NOISY = {"smooth-grad"}
"""Two models alike have other maps: slopes of noise."""


_found = cache(check_planted)


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every method is tried on the same models."""
    monkeypatch.setattr(_planted_check, "load", _load)


_load = cache(load)


@pytest.mark.parametrize("method", CHECKS)
def test_a_method_tells_the_planted_models_apart(method: str) -> None:
    found = _found(method, IMAGES if method in (*METHODS, "flow") else 12)
    missed = {pair for pair, by in found.distinguished.items() if by is None}
    assert missed == MISSED.get(method, set()), str(found)
    assert set(found.distinguished) == set(PAIRS)
    assert str(found).count("tell") == len(PAIRS)
    if method not in NOISY:
        blind, placed = found.measured["blind"], found.measured["position-only"]
        assert (blind == pytest.approx(placed, abs=1e-3)) == (method not in READS_PLACES)


def test_probes_place_the_planted_encoders_on_both_axes() -> None:
    found = _found("probe", 12).measured
    there, name, dense, inside, relation = found["one-hot-patch"]
    one, every, place, blind = (
        {key: float(value or 0.0) for key, value in found[model].items()}
        for model in ("one-hot-patch", "global-broadcast", "position-only", "blind")
    )
    # What each patch shows: all there is to know but places.
    assert min(one[key] for key in (there, name, dense, inside)) >= 0.95
    # Everything that is in the image at each patch: what, and not where.
    assert every[there] >= 0.95
    assert every[name] < 0.6
    assert max(every[key] for key in (dense, inside)) < 0.05
    # Places only: names as the most frequent one, objects somewhat, as they lie in the middle.
    assert max(abs(place[key]) for key in (there, name, dense)) < 0.15
    assert place[inside] > 0.02
    assert place[relation] >= 0.9 > 0.4 > max(one[relation], every[relation])
    assert max(abs(value) for value in blind.values()) < 1e-6


def test_grouping_places_the_planted_encoders_on_both_axes() -> None:
    found = check_planted("group", 6).measured
    named, labels, swapped, kmeans, components, bound, constant = found["one-hot-patch"]
    one, every, place, blind = (
        {key: float(value or 0.0) for key, value in found[model].items()}
        for model in ("one-hot-patch", "global-broadcast", "position-only", "blind")
    )
    # What each patch shows: as much as the grid allows, with text that matches.
    assert one[labels] == pytest.approx(one[bound]) == 1
    assert one[kmeans] >= 0.95
    assert one[components] > 0.8
    assert one[named] == 1
    assert one[swapped] < 0.15
    # Everything that is in the image at each patch: its classes, and no place for them.
    assert every[named] == 1
    assert every[labels] == pytest.approx(every[constant])
    assert every[kmeans] == every[components] < 0.15
    # Places only: blobs, and nothing of classes.
    assert 0.15 < place[kmeans] < 0.5
    for nothing in (place, blind):
        assert nothing[labels] == pytest.approx(nothing[constant])
        assert nothing[named] < 0.5


def test_a_method_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="knockout"):
        check_planted("tea-leaves")
    with pytest.raises(InputError, match="images from 1 up"):
        check_planted("flow", 0)


def test_lenses_tell_lying_on_words_from_causing_them() -> None:
    found = _found("lens", 12).measured
    kinds = ("logit lens", "embedding lens", "tuned lens", "Jacobian lens", "contextual lens")

    def share(model: str, kind: str, group: str = "object") -> float:
        name = f"{kind}: {group} tokens that name the object at their best layer"
        return float(found[model][name] or 0.0)

    for kind in ("logit lens", "tuned lens", "Jacobian lens", "patchscope"):
        assert share("one-hot-patch", kind) == share("on-words", kind) == 1
        assert share("idle-words", kind) < 0.2
    for kind in ("embedding lens", "contextual lens"):
        assert share("on-words", kind) == share("idle-words", kind) == 1
        assert share("one-hot-patch", kind) < 0.2
    for kind in (*kinds, "patchscope"):
        # What every token holds, or none, shows no object.
        for model in ("global-broadcast", "blind"):
            assert share(model, kind) == pytest.approx(share(model, kind, "background"), abs=0.03)
        assert share("on-words", kind, "background") < 0.2
