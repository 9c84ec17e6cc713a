"""Objects named by their colours, for studies that ask for names."""

from __future__ import annotations

from dataclasses import replace

import pytest

import retinoscope as rs
from retinoscope.data.scenes import COLORS
from retinoscope.errors import InputError


def test_names_are_colors_and_all_else_is_as_it_was() -> None:
    plain = rs.data.scenes(3, seed=4)
    colored = rs.data.by_color(plain)
    assert len(colored) == 3
    assert colored.classes == COLORS
    for one, other in zip(plain, colored, strict=True):
        assert [obj.name for obj in other.objects] == [obj.color for obj in one.objects]
        for old, new in zip(one.objects, other.objects, strict=True):
            assert (old.box, len(old.parts)) == (new.box, len(new.parts))
            assert (old.mask == new.mask).all()
        assert (one.captions, one.questions) == (other.captions, other.questions)
    assert [s.id for s in colored[1:]] == [s.id for s in plain[1:]]


def test_a_source_is_opened_again_as_it_was() -> None:
    colored = rs.sources.open_source("color:scenes:4", seed=5)
    told = rs.sources.source_of(colored)
    assert told == {"spec": "color:scenes:4", "seed": 5}
    again = rs.sources.reopen_source(told)
    assert again[2].objects[0].name == colored[2].objects[0].name
    assert again.fingerprint == colored.fingerprint
    assert again.fingerprint != rs.data.scenes(4, seed=5).fingerprint
    # A list has no fingerprint of its own; that of its text would be another in each process.
    assert rs.data.by_color(list(rs.data.scenes(1))).fingerprint is None


def test_an_object_without_a_color_is_refused_in_one_line() -> None:
    sample = rs.data.scenes(1)[0]
    bare = replace(sample, objects=(replace(sample.objects[0], color=None),))
    with pytest.raises(InputError, match=r"expected objects with colours, got none for object 0"):
        rs.data.by_color([bare])[0]
    assert rs.data.by_color([sample]).classes == ()


def test_a_spec_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="expected data as"):
        rs.sources.open_source("color:")
    with pytest.raises(InputError, match="expected data as"):
        rs.sources.open_source("color:nothing")
