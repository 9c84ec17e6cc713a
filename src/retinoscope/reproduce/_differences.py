"""Every known difference between the released code and the corrected rules, and what it does.

The texts are in `differences.json`, with what each one does on small models, as
`python -m benchmarks.differences` found it. What the runs of a reproduction can tell is measured.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from ..studies.runs import StudyRun
from ._measured import MEASURES, Facts

DIFFERENCES = Path(__file__).parent / "differences.json"


@dataclass(frozen=True)
class Difference:
    """One difference.

    Attributes:
        what: its name.
        paper, corrected: the two rules.
        effect: what it does.
        on_small_models: what it does there; "" where there is nothing to measure.
        measured: what it did in these runs, "" where they cannot tell.
    """

    what: str
    paper: str
    corrected: str
    effect: str
    on_small_models: str
    measured: str = ""


@cache
def known() -> tuple[Difference, ...]:
    """All of them, unmeasured."""
    stored = json.loads(DIFFERENCES.read_text("utf-8"))
    return tuple(Difference(what, **texts) for what, texts in stored.items())


def differences(facts: Facts, runs: Sequence[StudyRun]) -> tuple[Difference, ...]:
    """All of them, measured where these runs allow it."""
    places = {run.place: run for run in runs}
    return tuple(
        replace(one, measured=MEASURES[one.what](facts, places)) if one.what in MEASURES else one
        for one in known()
    )
