"""Documents as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from retinoscope.viewer._documents import Has, WordDocument
from retinoscope.viewer._json import packed, plain, text_of, unpacked


@given(npst.arrays(np.float32, npst.array_shapes(min_dims=0, max_dims=3, min_side=0)))
def test_arrays_survive_the_way_with_their_nans(array: np.ndarray) -> None:
    read = unpacked(json.loads(text_of(array)))
    assert read.dtype == np.float32
    assert read.shape == array.shape
    assert read.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("given_type", "written"),
    [("f8", "f4"), ("i8", "i4"), ("i4", "i4"), ("?", "u1"), ("u1", "u1"), (">f4", "f4")],
)
def test_the_page_knows_three_kinds_of_numbers(given_type: str, written: str) -> None:
    array = np.array([0, 1, 1], dtype=given_type)
    told = packed(array)
    assert told["dtype"] == written
    assert unpacked(told).tolist() == [0, 1, 1]


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_no_number_that_json_lacks(value: float) -> None:
    read = json.loads(text_of({"x": value}))["x"]
    assert read == value if np.isfinite(value) else read is None


def test_dataclasses_become_mappings() -> None:
    assert plain(Has(True, False)) == {"lens": True, "attention": False}
    word = WordDocument("a", np.zeros((1, 2), np.float32), np.ones((1, 2), np.int32))
    assert set(json.loads(text_of(word))) == {"word", "values", "rank"}


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", "\u2028\u2029", "'\"\\\n"])
def test_texts_cannot_end_a_script_file(text: str) -> None:
    written = text_of({"name": text})
    assert written.isascii()
    assert "\n" not in written
    assert json.loads(written)["name"] == text


def test_strange_things_are_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        plain({"x": {1}})
