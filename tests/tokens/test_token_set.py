"""Algebra of token sets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import retinoscope as rs
from retinoscope.models import Layout
from retinoscope.tokens import Positions, TokenSet, VisualTokens

ROWS, COLUMNS, FIRST, N = 5, 6, 3, 40


def _sequence() -> Positions:
    rows, columns = (axis.ravel() for axis in np.mgrid[:ROWS, :COLUMNS])
    n = ROWS * COLUMNS
    boxes = np.stack([columns, rows, columns + 1, rows + 1], axis=1).astype(float)
    layout = Layout((COLUMNS, ROWS), boxes, rows, columns, np.zeros(n, int), (ROWS, COLUMNS))
    return Positions(N, ((tuple(range(FIRST, FIRST + n)), layout),))


RUN = _sequence()
VISUAL = RUN.images[0][0]
indices = st.sets(st.sampled_from(VISUAL))


def _set(positions: set[int]) -> TokenSet:
    return TokenSet.of(RUN, positions, VISUAL)


@given(indices, indices, indices)
def test_operations_are_those_of_sets(a: set[int], b: set[int], c: set[int]) -> None:
    x, y, z = _set(a), _set(b), _set(c)
    assert set(x | y) == a | b
    assert set(x & y) == a & b
    assert set(x - y) == a - b
    assert set(x ^ y) == a ^ b
    assert ~(x | y) == ~x & ~y
    assert ~~x == x
    assert x - y == x & ~y
    assert x & (y | z) == (x & y) | (x & z)
    assert len(x) + len(~x) == len(VISUAL)
    assert (x <= y) == (a <= b)
    assert (x == y) == (a == b)
    assert hash(x | y) == hash(y | x)


@given(indices, st.integers(0, 3), st.integers(0, 3))
def test_growth(a: set[int], i: int, j: int) -> None:
    x = _set(a)
    grown = x.grow(i)
    assert x <= grown
    assert x.grow(0) == x
    assert grown.grow(j) == x.grow(i + j)
    cells = {divmod(p - FIRST, COLUMNS) for p in a}
    wanted = {
        p
        for p in VISUAL
        for row, column in [divmod(p - FIRST, COLUMNS)]
        if any(max(abs(row - r), abs(column - c)) <= i for r, c in cells)
    }
    assert set(grown) == wanted
    assert ~grown <= ~x


@given(indices, indices)
def test_growth_of_a_union(a: set[int], b: set[int]) -> None:
    assert (_set(a) | _set(b)).grow(1) == _set(a).grow(1) | _set(b).grow(1)


def test_growth_stays_in_a_tile() -> None:
    rows, columns = (axis.ravel() for axis in np.mgrid[:2, :2])
    layout = Layout(
        (4, 2),
        np.zeros((9, 4)),
        np.concatenate([rows, rows, [-1]]),
        np.concatenate([columns, columns, [-1]]),
        np.array([0] * 4 + [1] * 4 + [1]),
        None,
    )
    sequence = Positions(9, ((tuple(range(9)), layout),))
    assert TokenSet.of(sequence, [1]).grow(1).positions == (0, 1, 2, 3)
    assert TokenSet.of(sequence, [8]).grow(2).positions == (8,)


def test_universes() -> None:
    text = TokenSet.of(RUN, [0, 1])
    image = _set({FIRST})
    assert set(~text) == set(range(2, N))
    assert set(~image) == set(VISUAL[1:])
    assert set(~(image | text)) == set(range(N)) - {0, 1, FIRST}


def test_refusals() -> None:
    other = TokenSet.of(_sequence(), [FIRST])
    here = _set({FIRST})
    for operation in ("__or__", "__and__", "__sub__", "__le__"):
        with pytest.raises(rs.InputError, match="different runs"):
            getattr(here, operation)(other)
    assert here != other
    with pytest.raises(rs.InputError, match="got 99"):
        TokenSet.of(RUN, [99])
    with pytest.raises(rs.InputError, match="rings"):
        here.grow(-1)
    with pytest.raises(rs.InputError, match="position 0, which is text"):
        TokenSet.of(RUN, [0, FIRST]).grow(1)
    with pytest.raises(rs.InputError, match="expected a token set"):
        here | {3}  # type: ignore[operator]


def test_it_says_what_it_holds() -> None:
    shown = "TokenSet(4 of 30 visual tokens; indices 0-2, 6; positions 3-5, 9)"
    assert repr(_set({3, 4, 5, 9})) == shown
    assert repr(TokenSet.of(RUN, [1, 2])) == "TokenSet(2 of 40 positions; positions 1-2)"
    assert _set({9, 4}).positions == (4, 9)
    assert 9 in _set({9})


def test_indices_and_positions_are_never_taken_for_each_other() -> None:
    image = VisualTokens(RUN, 0, torch.zeros(len(VISUAL), 2))
    obj = _set({4, 9})
    assert obj.indices == (1, 6)
    assert image.at(obj.indices) == obj
    assert image.at(np.array([1, 6])) == obj
    for positions in (obj, list(obj), obj.positions, image.positions[:2]):
        with pytest.raises(rs.InputError, match="indices"):
            image.at(positions)
    with pytest.raises(rs.InputError, match="positions"):
        TokenSet.of(RUN, obj.indices)
    with pytest.raises(rs.InputError, match="positions"):
        assert obj.indices[0] in obj
    for wrong in ([1.9], [True], "12", [np.bool_(True)], [None]):
        with pytest.raises(rs.InputError, match="whole numbers"):
            image.at(wrong)  # type: ignore[arg-type]


def test_what_has_no_index_says_so() -> None:
    layout = RUN.images[0][1]
    two = Positions(70, ((tuple(range(3, 33)), layout), (tuple(range(35, 65)), layout)))
    both = TokenSet.of(two, [4, 36, 37], {*range(3, 33), *range(35, 65)})
    assert "indices in images[0] 1; indices in images[1] 1-2; positions 4, 36-37" in repr(both)
    for mixed in (both, TokenSet.of(two, [0, 4]), TokenSet.of(two, [0])):
        with pytest.raises(rs.InputError, match="one image"):
            _ = mixed.indices
    assert (both & TokenSet.of(two, range(35, 65))).indices == (1, 2)
    assert (both - both).indices == ()
    assert two.columns([0, 36]) == {"image": [None, 1], "index": [None, 1], "position": [0, 36]}
