"""The page says what the results say."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from benchmarks.page import ORDER, PAGE, page_of, read_results


def test_the_page_is_made_from_the_committed_results() -> None:
    assert PAGE.read_text("utf-8") == page_of(read_results())


def test_a_floor_that_is_not_met_is_marked() -> None:
    results: dict[str, Any] = copy.deepcopy(read_results())
    if "knockouts" not in results:
        pytest.skip("knockouts are not measured yet")
    measure = results["knockouts"]["cases"][0]["measures"][0]
    measure |= {"value": 1.25, "met": False}
    page = page_of(results)
    assert "| at least 15 | 1.25 | **not met** |" in page
    assert "All targets are met." not in page


def test_a_peer_that_failed_is_on_the_page() -> None:
    results: dict[str, Any] = copy.deepcopy(read_results())
    if "peers" not in results:
        pytest.skip("peers are not measured yet")
    results["peers"]["errors"] = {"nnsight": "ImportError: no"}
    assert "nnsight could not be measured: `ImportError: no`." in page_of(results)


def test_no_results_make_a_page_too() -> None:
    assert f"Not measured yet: {', '.join(ORDER)}." in page_of({})
