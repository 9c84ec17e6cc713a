"""The lens at its best layer: chosen on other images, at both covers, against each control."""

from __future__ import annotations

import pytest

from retinoscope.stats import half_of
from retinoscope.studies.lens.peak import lens_difference
from tests.studies.tabled import one, tabled


def rows(sample, group, cover, hits, n_tokens=4, weights="trained"):
    base = {"sample": sample, "error": None, "item": 0, "group": group, "cover": cover}
    base |= {"lens": "logit", "weights": weights, "n_tokens": n_tokens}
    return [base | {"layer": k, "strict": n, "lenient": n} for k, n in enumerate(hits)]


def test_an_image_counts_at_the_layer_of_the_other_half() -> None:
    """The images of one half have their peak at layer 1, those of the other at layer 2."""
    table = []
    for name, half in half_of(["a", "b", "c", "d"]).items():
        hits = [0, 4, 1] if half == 0 else [0, 2, 3]
        table += rows(name, "object", 0.0, hits) + rows(name, "background", None, [0, 0, 0], 9)
    row = one(tabled("lens", table, "peak"), control_group="background")
    # Read at the other half's layer they have 1 and 2 of 4; looked at, 4 and 3 of 4.
    assert row["share"] == pytest.approx((1 + 2 + 1 + 2) / 16)
    assert row["layers"] == "1, 2"
    assert row["difference"] == pytest.approx(row["share"] - row["control_share"])
    assert (row["n_objects"], row["n_images"], row["last_layer"]) == (4, 4, 2)


def test_both_covers_stand_beside_each_other_and_are_compared() -> None:
    table = []
    for name in "abcdefgh":
        table += rows(name, "object", 0.0, [0, 4]) + rows(name, "object", 0.5, [0, 1])
        table += rows(name, "shuffled", 0.0, [0, 0]) + rows(name, "shuffled", 0.5, [0, 1])
        table += rows(name, "object", 0.0, [0, 0], weights="untrained")
    found = tabled("lens", table, "peak")
    any_overlap = one(found, cover=0.0, control_group="shuffled")
    half = one(found, cover=0.5, control_group="shuffled")
    assert (any_overlap["share"], any_overlap["control_share"]) == (1.0, 0.0)
    assert (half["share"], half["control_share"], half["difference"]) == (0.25, 0.25, 0.0)
    assert any_overlap["difference_p"] < 0.05 < half["difference_p"]
    between = one(found, cover=0.5, control_cover=0.0, control_weights="trained")
    assert (between["control_group"], between["difference"]) == ("object", -0.75)
    assert one(found, cover=0.0, control_weights="untrained")["difference"] == 1.0


def test_objects_without_a_token_at_one_cover_are_compared_where_they_have_both() -> None:
    table = rows("a", "object", 0.0, [0, 4]) + rows("a", "object", 0.5, [0, 4])
    table += rows("b", "object", 0.0, [0, 0])
    found = tabled("lens", table, "peak")
    assert one(found, cover=0.5)["n_objects"] == 1
    assert one(found, cover=0.0)["n_objects"] == 2
    assert one(found, cover=0.0)["control_group"] is None, "no control was run"


def test_two_models_are_compared_over_the_same_objects() -> None:
    ours = rows("a", "object", 0.0, [0, 4]) + rows("b", "object", 0.0, [0, 4])
    theirs = rows("a", "object", 0.0, [0, 2]) + rows("c", "object", 0.0, [0, 4])
    first, second = (tabled("lens", table, "objects") for table in (ours, theirs))
    test = lens_difference(first, second, 0.0)
    assert test is not None
    assert (test.difference, test.n_images) == (0.5, 1)
    assert lens_difference(first, second, 0.5) is None


def test_a_control_of_other_images_is_no_control() -> None:
    table = rows("a", "object", 0.0, [0, 4]) + rows("b", "object", 0.0, [0, 4])
    table += rows("c", "background", None, [0, 0])
    assert one(tabled("lens", table, "peak"), cover=0.0)["control_group"] is None
