import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinoscope.errors import InputError
from retinoscope.store import (
    canonical_json,
    fingerprint_array,
    fingerprint_bytes,
    fingerprint_json,
    sample_key,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_the_order_of_keys_does_not_matter(value):
    turned = dict(reversed(list(value.items())))
    assert fingerprint_json(value) == fingerprint_json(turned)


@given(JSON, JSON)
def test_fingerprints_agree_exactly_when_the_canonical_texts_do(first, second):
    same = canonical_json(first) == canonical_json(second)
    assert (fingerprint_json(first) == fingerprint_json(second)) is same


def test_fingerprints_stay_the_same_between_versions():
    assert fingerprint_bytes(b"abc") == "ce91dc5eec0139adf091900d225971d6"
    assert sample_key(sample="a", schema=1) == sample_key(schema=1, sample="a")
    assert canonical_json({"b": (1, np.int64(2)), "a": {3}}) == '{"a":[3],"b":[1,2]}'


def test_where_chunks_are_cut_matters():
    assert fingerprint_bytes(b"ab", b"c") != fingerprint_bytes(b"a", b"bc")


def test_an_array_is_known_by_dtype_shape_and_values_not_by_layout():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    same = np.asfortranarray(array)
    assert fingerprint_array(array) == fingerprint_array(same)
    assert fingerprint_array(array) == fingerprint_array(array.astype(">f4"))
    assert fingerprint_array(array) != fingerprint_array(array.reshape(3, 2))
    assert fingerprint_array(array) != fingerprint_array(array.astype(np.float64))
    assert fingerprint_array(array) != fingerprint_array(array + 1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1: 2}, b"bytes"])
def test_what_json_cannot_say_is_refused_with_its_place(value):
    with pytest.raises(InputError, match=r"value\.seeds\[0\]"):
        fingerprint_json({"seeds": [value]})


def test_a_key_needs_a_part_and_an_array_needs_bytes():
    with pytest.raises(InputError, match="at least one part"):
        sample_key()
    with pytest.raises(InputError, match="Python objects"):
        fingerprint_array(np.array([object()]))
