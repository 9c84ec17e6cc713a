"""Tables whose columns say how their cells are written."""

from __future__ import annotations

from retinoscope.report.blocks import TO, Interval, number_interval
from retinoscope.report.tables import (
    cell,
    count,
    numbers,
    plain_number,
    share,
    shares,
    table,
    text,
    whole_table,
)

ENDS = ("right", "right_low", "right_high")
ROWS = [
    {"weights": "trained", **dict(zip(ENDS, (0.5, 0.4, 0.6), strict=True)), "n": 3, "layer": None},
    {"weights": "untrained", **dict.fromkeys(ENDS), "n": 0, "layer": 1},
]


def test_each_column_writes_its_cells() -> None:
    made = table(
        "name",
        "caption",
        ROWS,
        (
            text("weights", "which", {"untrained": "random weights"}),
            shares("right"),
            numbers("right", "as a number"),
            plain_number("right", digits=1),
            share("right"),
            count("layer"),
            count("n"),
            cell("twice", lambda row: str(2 * row["n"]), hint="two times n"),
        ),
    )
    assert [column.label for column in made.columns][:3] == ["which", "right", "as a number"]
    assert [column.numeric for column in made.columns] == [False, *[True] * 7]
    assert made.columns[-1].hint == "two times n"
    first, second = made.rows
    assert first == (
        "trained",
        f"50% (40{TO}60)",
        f"0.50 (0.40{TO}0.60)",
        "0.5",
        "50%",
        "",
        "3",
        "6",
    )
    assert second[:5] == ("random weights", "", "", "", "")
    assert second[5:] == ("1", "0", "0")
    assert made.records == tuple(ROWS)


def test_rows_may_be_other_things_than_records() -> None:
    made = table("name", "", ["a", "b"], [cell("upper", str.upper, numeric=False)], ROWS, True)
    assert made.rows == (("A",), ("B",))
    assert made.records == tuple(ROWS)
    assert made.folded


def test_a_summary_is_shown_as_it_is() -> None:
    made = whole_table("name", "", ROWS)
    assert [column.label for column in made.columns][1] == "right"
    assert made.rows[0] == ("trained", "0.5", "0.4", "0.6", "3", "")
    assert not made.columns[0].numeric
    assert whole_table("name", "", []).rows == ()


def test_an_interval_below_zero_has_no_dash_between_its_ends() -> None:
    assert number_interval(Interval(0.45, 0.38, 0.52, 9, 9, 0.95, "")) == f"0.45 (0.38{TO}0.52)"
    assert number_interval(Interval(-0.001, -0.52, 0.38, 9, 9, 0.95, "")) == "0.00 (-0.52 to 0.38)"
