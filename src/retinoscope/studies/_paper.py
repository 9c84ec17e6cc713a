"""Numbers that are known from the paper, each with its source. What is not here is not known.

The paper: Neo et al. 2024, "Towards Interpreting Visual Information Processing in VLMs"
(arXiv 2410.07149). Its model and data (LLaVA-1.5-7B on COCO) are others than the pocket model and
drawn scenes: a number stands beside a result for orientation, never as a target. "replication"
marks a number that a public replication on LFM2.5-VL-3B quotes from the paper's tables.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..arguments import checked

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

    `tag` says who tells it; see `SOURCES`.
    """

    study: str
    keys: tuple[str, ...]
    value: float
    source: str
    tag: str


_TABLE_1 = "Table 1, quoted by a replication"
_ABLATION = {
    ("generative", "object"): (0.3333, _TABLE_1),
    ("polling", "object"): (0.1538, _TABLE_1),
    ("question", "object"): (0.3333, _TABLE_1),
    ("generative", "object+1"): (0.7179, _TABLE_1),
    ("polling", "object+1"): (0.5128, _TABLE_1),
    ("question", "object+1"): (0.8667, _TABLE_1),
    ("generative", "random-40"): (0.024, _TABLE_1),
    ("polling", "random-40"): (0.0, _TABLE_1),
    ("question", "random-40"): (0.0, _TABLE_1),
}
_TABLE_2 = "Table 2, quoted by a replication"
_KNOCKOUT = {("object+1", "last", "mid-late"): 0.82, ("object+1", "last", "all"): 0.67} | {
    (source, "last-row", window): 1.0
    for source in ("rest", "visual")
    for window in ("early", "early-mid", "mid", "mid-late", "late", "all")
}
_LENS = {
    ("best-layer", "share"): (0.237, "section 4.1"),
    ("best-layer", "layer"): (25.7, "section 4.1; of 33 entries, 0- or 1-based is not stated"),
}

NUMBERS: tuple[PaperNumber, ...] = (
    *(PaperNumber("ablation", keys, *known, "R") for keys, known in _ABLATION.items()),
    *(PaperNumber("knockout", keys, value, _TABLE_2, "R") for keys, value in _KNOCKOUT.items()),
    *(PaperNumber("lens", keys, *known, "R, P") for keys, known in _LENS.items()),
)
"""ablation: (task, condition), share of initially correct answers that became incorrect.
knockout: (source, target, window), relative accuracy; the paper's source towards the last row
is "visual"; "rest" lacks the object's tokens. lens: ("best-layer", "share" | "layer"), mean over
images."""

TOKENS_OBJECT_1 = 33.4
"""Mean number of visual tokens (of 576) of an object with one ring around it."""


@checked
def paper_number(study: str, *keys: str) -> PaperNumber | None:
    """The paper's number for one row of a summary, or None where it is not known."""
    return next((n for n in NUMBERS if n.study == study and n.keys == keys), None)
