"""Differences to the released code: each is measured, and the docs say what was found."""

from __future__ import annotations

from pathlib import Path

from retinoscope.reproduce import differences_of

ROOT = Path(__file__).parents[2]
NOTHING_TO_MEASURE = {"Annotations: crowds", "Resuming"}


def test_every_difference_was_measured_on_small_models():
    found = {one.what for one in differences_of(None) if not one.on_small_models}
    assert found == NOTHING_TO_MEASURE


def test_the_page_has_what_was_measured():
    page = (ROOT / "docs" / "reproduce.md").read_text("utf-8")
    for one in differences_of(None):
        assert f"| {one.what} | {one.on_small_models or one.effect} |" in page
