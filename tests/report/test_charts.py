"""Charts: what is declared is what is drawn."""

from __future__ import annotations

import re

import pytest

from retinoscope.report.blocks import Interval
from retinoscope.report.charts import (
    Axis,
    Level,
    Look,
    Panel,
    Series,
    heat_map,
    look_of,
    small_multiples,
    spread,
)
from retinoscope.report.rows import interval


def estimate(value: float) -> Interval:
    found = interval({"x": value, "x_low": value - 0.1, "x_high": value + 0.1}, "x")
    assert found is not None
    return found


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def panel(title: str, **more) -> Panel:
    points = [(0.0, estimate(0.2)), (1.0, estimate(0.7))]
    return Panel([Series("method", points, Look("#0b62a4"))], title, **more)


def test_the_same_chart_has_the_same_bytes() -> None:
    first, second = (
        small_multiples("x", [panel("one")], Axis("layer"), Axis("share")) for _ in range(2)
    )
    assert first == second
    assert first != small_multiples("y", [panel("one")], Axis("layer"), Axis("share"))


def test_panels_have_titles_one_legend_and_percent() -> None:
    level = Level(0.5, "chance")
    svg = small_multiples(
        "x",
        [panel("one", levels=[level], note="small print"), panel("two", levels=[level])],
        Axis("layer", ticks={0.0: "first", 1.0: "last"}),
        Axis("right", (0, 1), (0, 1), share=True),
    )
    found = texts(svg)
    for once in ("one", "two", "small print", "method", "chance", "layer", "right", "100%"):
        assert found.count(once) == 1, once
    assert found.count("first") == 2


def test_a_gap_leaves_its_place_empty() -> None:
    panels = [panel("one"), None, panel("two")]
    svg = small_multiples("x", panels, Axis(), Axis("share"), columns=2)
    assert {"one", "two"} <= set(texts(svg))
    # Only panels at the left edge name their axis.
    assert texts(svg).count("share") == 2


def test_sideways_the_first_place_is_at_the_top() -> None:
    points = [(0.0, estimate(0.2)), (1.0, estimate(0.7))]
    svg = small_multiples(
        "x",
        [Panel([Series("method", points, Look("#0b62a4", ""), bars=True)])],
        Axis("share"),
        Axis(ticks={0.0: "upper", 1.0: "lower"}),
        sideways=True,
    )
    heights = {
        text: float(y)
        for y, text in re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>(upper|lower)</text>', svg)
    } or {
        text: float(y)
        for y, text in re.findall(
            r"<text[^>]*translate\([\d.]+ ([\d.]+)\)[^>]*>(upper|lower)</text>", svg
        )
    }
    assert heights["upper"] < heights["lower"]


def test_a_heat_map_says_its_values_and_leaves_undefined_cells_empty() -> None:
    svg = heat_map("x", [[0.25, None], [1.0, 0.0]], ["a", "b"], ["c", "d"])
    found = texts(svg)
    assert [one for one in found if "." in one] == ["0.25", "1.00", "0.00"]
    many = heat_map("x", [[0.25] * 20], ["a"], [str(k) for k in range(20)], label="share")
    assert "0.25" not in texts(many)
    assert "share" in texts(many)


def test_series_differ_by_more_than_colour() -> None:
    looks = [look_of(number) for number in range(12)]
    assert len({(look.dash, look.mark) for look in looks}) == 12


@pytest.mark.parametrize("of", [1, 2, 5])
def test_series_are_spread_around_their_place(of: int) -> None:
    assert sum(spread(number, of) for number in range(of)) == pytest.approx(0)


def test_names_may_have_dollar_signs() -> None:
    svg = small_multiples("x", [panel("a$x_{$b")], Axis("$"), Axis("$$"))
    assert "a$x_{$b" in texts(svg)
    assert "$a_{$" in texts(heat_map("x", [[0.5]], ["$a_{$"], ["$$"]))
