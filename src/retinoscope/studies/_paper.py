"""Numbers that are known from the paper, each with its source. What is not here is not known.

The paper: Neo et al. 2024, "Towards Interpreting Visual Information Processing in VLMs"
(arXiv 2410.07149). Its model and data (LLaVA-1.5-7B on COCO) are others than the pocket model and
drawn scenes: a number stands beside a result for orientation, never as a target. "replication"
marks a number that a public replication on LFM2.5-VL-3B quotes from the paper's tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .token_sets import OBJECT, RING_1, NamedSet

MODEL = "LLaVA-1.5-7B"
DATA = "COCO"


SOURCES = {
    "R": "a public replication on LFM2.5-VL-3B that quotes the paper by section and table",
    "P": "a public summary of the paper",
}
"""Where numbers come from: none of the tables could be read in the paper itself."""


@dataclass(frozen=True)
class PaperNumber:
    """`value` in the unit of the study's summary (shares 0..1, relative accuracy, layer).

    `row` are columns of that summary's record, `tag` says who tells it; see `SOURCES`.
    """

    study: str
    row: Mapping[str, object]
    value: float
    source: str
    tag: str


def _row(tokens: NamedSet) -> dict[str, object]:
    return {name: value for name, value in tokens.columns.items() if value is not None}


_TABLE_1 = "Table 1, quoted by a replication"
_LOST = {
    OBJECT: {"generative": 0.3333, "polling": 0.1538, "question": 0.3333},
    RING_1: {"generative": 0.7179, "polling": 0.5128, "question": 0.8667},
    NamedSet("random", n_drawn=40): {"generative": 0.024, "polling": 0.0, "question": 0.0},
}
_ABLATION = [
    ({"task": task, **_row(tokens)}, share)
    for tokens, shares in _LOST.items()
    for task, share in shares.items()
]
_TABLE_2 = "Table 2, quoted by a replication"
_WINDOWS = ("early", "early-mid", "mid", "mid-late", "late", "all")
_KNOCKOUT = [
    *(
        ({**_row(RING_1), "target": "last", "window": window}, share)
        for window, share in {"mid-late": 0.82, "all": 0.67}.items()
    ),
    *(
        ({**_row(NamedSet(source)), "target": "last-row", "window": window}, 1.0)
        for source in ("rest", "visual")
        for window in _WINDOWS
    ),
]
_LENS = {
    "share": (0.237, "section 4.1"),
    "layer": (25.7, "section 4.1; of 33 entries, 0- or 1-based is not stated"),
}

NUMBERS: tuple[PaperNumber, ...] = (
    *(PaperNumber("ablation", row, value, _TABLE_1, "R") for row, value in _ABLATION),
    *(PaperNumber("knockout", row, value, _TABLE_2, "R") for row, value in _KNOCKOUT),
    *(PaperNumber("lens", {"of": name}, *known, "R, P") for name, known in _LENS.items()),
)
"""ablation: share of initially correct answers that became incorrect. knockout: relative accuracy;
the paper's source towards the last row is "visual"; "rest" lacks the object's tokens. lens: mean
over images of the best layer's "share", and that "layer"."""

TOKENS_OBJECT_1 = 33.4
"""Mean number of visual tokens (of 576) of an object with one ring around it."""


def paper_number(study: str, **row: object) -> PaperNumber | None:
    """The paper's number for one record of a summary, or None where it is not known.

    Args:
        row: columns of the record, all that the number is of and maybe others.
    """
    return next((n for n in NUMBERS if n.study == study and n.row.items() <= row.items()), None)


def paper_row(study: str, *names: str) -> Callable[[Mapping[str, Any]], tuple[float, str] | None]:
    """What finds the paper's number for a record, and its source, by these of its columns."""

    def known(record: Mapping[str, Any]) -> tuple[float, str] | None:
        found = paper_number(study, **{name: record[name] for name in names})
        return None if found is None else (found.value, found.source)

    return known
