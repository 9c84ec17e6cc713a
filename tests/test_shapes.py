"""The check of array annotations finds what it is there to find."""

from __future__ import annotations

import sys
from types import FunctionType

import numpy as np
import pytest
from jaxtyping import Float

from retinoscope.errors import InputError
from retinoscope.stats.maps import Reference

from .shapes import CHECKED, checked


def _doubled(
    values: Float[np.ndarray, "row column"], weights: Float[np.ndarray, " row"]
) -> Float[np.ndarray, "column row"]:
    if values.ndim != 2:
        raise InputError("expected two axes")
    return 2 * values


def test_one_name_is_one_size_in_arguments_and_result() -> None:
    call = checked(_doubled)
    assert call(np.ones((2, 2)), np.ones(2)).shape == (2, 2)
    with pytest.raises(AssertionError, match=r"_doubled.*\(2, 3\)"):
        call(np.ones((2, 3)), np.ones(2))
    with pytest.raises(AssertionError, match=r"weights.*\(3,\)"):
        call(np.ones((2, 2)), weights=np.ones(3))


def test_a_refusal_comes_before_the_check() -> None:
    with pytest.raises(InputError):
        checked(_doubled)(np.ones(2), np.ones(2))


@pytest.mark.parametrize("room", [room.removeprefix("retinoscope.") for room in CHECKED])
def test_the_rooms_are_checked(room: str) -> None:
    __import__(f"retinoscope.{room}")
    checks = {
        name
        for name, module in sys.modules.items()
        if name.startswith(f"retinoscope.{room}.")
        for value in vars(module).values()
        if isinstance(value, FunctionType) and hasattr(value, "array_hints")
    }
    assert checks


def test_a_dataclass_is_checked() -> None:
    with pytest.raises(AssertionError, match="densit"):
        Reference(density=np.ones(3))
