"""Names used in the information-flow section."""

from __future__ import annotations

from collections.abc import Iterable

from ...report.blocks import Record

READINGS = ("query", "generated")
READING_NAMES = {"query": "read as question", "generated": "read as generated"}
VIA_QUERY, DIRECT = "image:query", "image:generated"
WHOLE = f"{VIA_QUERY},{DIRECT}"


def edge_names(edges: str, is_control: bool = False) -> str:
    """Turns "image:query,image:last" into "image → query, image → last"."""
    text = edges.replace(":", " → ").replace(",", ", ")
    return f"as many random edges as {text}" if is_control else text


def edges_in(rows: Iterable[Record]) -> list[str]:
    """Returns the blocked edges, in the study's order."""
    return list(dict.fromkeys(str(row["edges"]) for row in rows))
