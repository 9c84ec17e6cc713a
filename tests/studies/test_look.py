"""Where words look, on models where that is known."""

from __future__ import annotations

import pytest

import retinoscope as rs
from retinoscope.data import squares
from retinoscope.errors import InputError
from retinoscope.pocket.planted import LOOK, SPEAK
from retinoscope.studies import WordAttention
from retinoscope.studies.look.study import MEAN


def _summary(name: str, folder, n: int = 8, **options):
    study = WordAttention(rs.load(f"planted:{name}"), squares(n, seed=2), **options)
    results = study.run(folder / "run")
    assert results.errors() == []
    return {
        (r["weights"], r["row"], r["layer"], r["head"]): r for r in results.summary().to_pylist()
    }


def test_the_planted_head_is_found_and_only_there(tmp_path) -> None:
    found = _summary("direct", tmp_path)
    head = found["trained", "word", SPEAK, LOOK]
    assert head["inside"] == pytest.approx(1)
    assert head["peak"] == 1
    assert head["to_image"] == pytest.approx(1)
    assert head["chance"] == pytest.approx(4 / 36)
    assert head["shuffled_inside"] < 0.4
    assert head["difference_low"] > 0.4
    assert head["difference_p"] < 0.05
    assert {
        key[2:] for key, r in found.items() if key[0] == "trained" and (r["inside"] or 0) > 0.9
    } == {(SPEAK, LOOK)}
    mean = found["trained", "word", SPEAK, MEAN]
    # Two of four heads read the image there: this one, and one that reads it evenly.
    assert mean["to_image"] == pytest.approx(0.5)
    assert mean["inside"] == pytest.approx((1 + 4 / 36) / 2)
    even = found["trained", "predicting", SPEAK, 1]
    assert even["inside"] == pytest.approx(4 / 36)
    assert even["peak"] == pytest.approx(4 / 36), "of equal tokens the share inside"
    untrained = found["untrained", "word", SPEAK, MEAN]
    assert untrained["difference_low"] < 0 < untrained["difference_high"]


def test_words_that_never_see_the_image_look_nowhere(tmp_path) -> None:
    found = _summary("via-query", tmp_path, n=3, untrained=False)
    assert {r["to_image"] for r in found.values()} == {0}
    assert {r["inside"] for r in found.values()} == {None}
    assert all(r["n_undefined"] == r["n"] for r in found.values())


def test_one_broadcast_map_is_at_chance(tmp_path) -> None:
    found = _summary("global-broadcast", tmp_path, n=4, untrained=False)
    head = found["trained", "word", SPEAK, LOOK]
    assert head["inside"] == pytest.approx(head["chance"], abs=1e-4)


def test_longest_texts_below_one_token_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="max_new_tokens"):
        _summary("direct", tmp_path, max_new_tokens=0)
