"""The pages of the API reference, made from the packages that there are."""

from __future__ import annotations

import retinoscope
from scripts.api_reference import pages


def test_every_package_of_the_library_has_a_page() -> None:
    found = pages()
    assert {f"api/{room}.md" for room in retinoscope._ROOMS} <= set(found)
    assert "(stats.md)" in found["api/index.md"]


def test_public_parts_are_on_the_page_of_their_package_and_private_ones_are_not() -> None:
    blocks = {line for text in pages().values() for line in text.splitlines() if ":::" in line}
    assert {
        "::: retinoscope.engine",
        "::: retinoscope.engine.fill",
        "::: retinoscope.stats.maps",
    } <= blocks
    assert "::: retinoscope.errors" in blocks
    assert not any("._" in line for line in blocks)
