"""The words of the information-flow section, and the order of its rows."""

from __future__ import annotations

from collections.abc import Iterable

from ...report.blocks import Record

CONTROL = "random="
READINGS = ("query", "generated")
READING_NAMES = {"query": "read as question", "generated": "read as generated"}
DIRECT, VIA_QUERY = "image:generated", "image:query"
WHOLE = f"{VIA_QUERY},{DIRECT}"


def edge_names(edges: str) -> str:
    """ "image:query,image:last" -> "image → query, image → last"."""
    if edges.startswith(CONTROL):
        return f"as many random edges as {edge_names(edges.removeprefix(CONTROL))}"
    return ", ".join(edge.replace(":", " → ") for edge in edges.split(","))


def in_order(row: Record) -> tuple[object, ...]:
    """Single edges first, each before its control; the model before its untrained copy."""
    edges = str(row["edges"])
    name = edges.removeprefix(CONTROL)
    return (
        str(row["weights"]),
        str(row["reading"]),
        (name.count(","), name, edges != name),
    )


def edges_in(rows: Iterable[Record]) -> list[str]:
    """The edges that were blocked, without controls, single ones first."""
    names = {str(row["edges"]).removeprefix(CONTROL) for row in rows}
    return sorted(names, key=lambda name: (name.count(","), name))
