"""Every method on the models whose mechanism is known."""

from __future__ import annotations

import pytest

from retinoscope.errors import InputError
from retinoscope.studies import CHECKS, check_planted
from retinoscope.studies._planted_check import PAIRS

ROUTES = ("via-query", "direct")
INPUTS_ONLY = {"ablation", "attribution-patching", "integrated-gradients"}
"""What replaces or differentiates the decoder's input says nothing of the path behind it."""


@pytest.mark.parametrize("method", CHECKS)
def test_a_method_tells_the_planted_models_apart(method: str) -> None:
    found = check_planted(method, 12)
    missed = {pair for pair, by in found.told.items() if by is None}
    assert missed == ({ROUTES} if method in INPUTS_ONLY else set()), str(found)
    assert set(found.told) == set(PAIRS)
    assert str(found).count("tell") == len(PAIRS)
    blind, placed = found.measured["blind"], found.measured["position-only"]
    assert blind == pytest.approx(placed, abs=1e-3)


def test_a_method_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="knockout"):
        check_planted("tea-leaves")
    with pytest.raises(InputError, match="at least 1"):
        check_planted("flow", 0)
