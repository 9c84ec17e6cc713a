import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinoscope.errors import InputError
from retinoscope.studies import paper_windows, sliding_windows, windows_for


def test_on_32_layers_the_windows_are_the_papers():
    assert {w.name: (w.first, w.last) for w in paper_windows(32)} == {
        "early": (0, 9),
        "early-mid": (5, 14),
        "mid": (11, 20),
        "mid-late": (15, 24),
        "late": (21, 31),
        "all": (0, 31),
    }


def test_on_8_layers_they_keep_their_place():
    windows = {w.name: tuple(w.layers) for w in paper_windows(8)}
    assert windows == {
        "early": (0, 1, 2),
        "early-mid": (1, 2, 3),
        "mid": (3, 4),
        "mid-late": (4, 5),
        "late": (5, 6, 7),
        "all": tuple(range(8)),
    }


@given(st.integers(1, 200))
def test_windows_lie_within_any_depth_and_keep_their_order(depth):
    windows = paper_windows(depth)
    for window in windows:
        assert 0 <= window.first <= window.last < depth
        assert len(window.layers) >= 1
    firsts = [w.first for w in windows[:-1]]
    assert firsts == sorted(firsts)
    assert (windows[-1].first, windows[-1].last) == (0, depth - 1)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 5))
def test_sliding_windows_have_one_width_and_reach_the_first_layer(depth, width, step):
    if width > depth:
        with pytest.raises(InputError, match="sliding window"):
            sliding_windows(depth, width, step)
        return
    windows = sliding_windows(depth, width, step)
    assert all(len(w.layers) == width and w.last < depth for w in windows)
    assert [w.first for w in windows] == list(range(0, depth - width + 1, step))
    assert windows[0].columns == {
        "window": "sliding",
        "first_layer": 0,
        "last_layer": width - 1,
        "width": width,
    }


def test_named_windows_come_first_and_unknown_names_are_refused():
    names = [w.label for w in windows_for(8, ("late",), slide=7)]
    assert names == ["late", "layers 0 to 6", "layers 1 to 7"]
    with pytest.raises(InputError, match="unknown window 'middle'"):
        windows_for(8, ("middle",))
    with pytest.raises(InputError, match="no window"):
        windows_for(8, ())
    with pytest.raises(InputError, match="step"):
        sliding_windows(8, 2, 0)
