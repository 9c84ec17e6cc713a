"""Numbers that are known from a paper, each with its source; others are not known.

Those of Neo et al. 2024, "Towards Interpreting Visual Information Processing in VLMs" (arXiv
2410.07149), are in each study's paper.py; those of CLIPpy, by objective, in the summaries of
`group` and `spurious`. The model and data of Neo et al.
(LLaVA-1.5-7B on COCO) differ from the pocket model and drawn scenes: a number next to a result is
for orientation, never a target. "replication" marks a number that a public replication on
LFM2.5-VL-3B quotes from the paper's tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MODEL = "LLaVA-1.5-7B"
DATA = "COCO"
SOURCES = {
    "R": "a public replication on LFM2.5-VL-3B that quotes the paper by section and table",
    "P": "a public summary of the paper",
}
"""Tag -> where numbers come from: none of the tables could be read in the paper itself."""


@dataclass(frozen=True)
class PaperNumber:
    """`value` in the unit of the study's summary (shares 0..1, relative accuracy, layer).

    `row` are columns of the summary's record to which it belongs; `tag` is a key of `SOURCES`.
    """

    row: Mapping[str, object]
    value: float
    source: str
    tag: str


def find(numbers: Iterable[PaperNumber], row: Mapping[str, object]) -> PaperNumber | None:
    """Returns the number of a record with (at least) these columns; None if it is not known."""
    return next((number for number in numbers if number.row.items() <= row.items()), None)


def known(
    numbers: Iterable[PaperNumber], *names: str
) -> Callable[[Mapping[str, Any]], tuple[float, str] | None]:
    """Returns a function that finds a record's number and its source by these columns."""

    def of(record: Mapping[str, Any]) -> tuple[float, str] | None:
        number = find(numbers, {name: record[name] for name in names})
        return None if number is None else (number.value, number.source)

    return of
