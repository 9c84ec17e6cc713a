"""The tables of the page on words in images are those of the committed results."""

from __future__ import annotations

from retinoscope.recipes.comparison import read_comparison
from scripts.reading import PAGE, RESULTS, TABLES, UNIT
from scripts.result_pages import page


def test_the_tables_are_those_of_the_results() -> None:
    text = PAGE.read_text("utf-8")
    assert page(text, read_comparison(RESULTS, UNIT), TABLES) == text
    for name in TABLES:
        assert f"<!-- table: {name} -->" in text, name
