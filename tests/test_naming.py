"""`slugify`: names that any file system and any link takes."""

from __future__ import annotations

import pytest

from retinoscope.naming import slugify


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("small:clip max", "small-clip-max"),
        ("../../etc/passwd", "etc-passwd"),
        (".hidden-", "hidden"),
        ("a - b", "a---b"),
        ("Zoë ü", "Zo"),
        ("???", ""),
    ],
)
def test_a_slug_is_part_of_a_path(name: str, slug: str) -> None:
    assert slugify(name) == slug


def test_what_is_kept_and_stripped_can_be_chosen() -> None:
    assert slugify("a - b+c", keep="_.+") == "a-b+c"
    assert slugify("_a?", keep="_-", strip="") == "_a-"
