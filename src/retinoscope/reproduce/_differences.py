"""Every known difference between the released code and the corrected rules, and its effect.

The texts are in `differences.json`, with the effects on small models as measured by
`python -m benchmarks.differences`. Differences that the runs of a reproduction can show are
measured on them.
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
        effect: its effect on results.
        on_small_models: its measured effect on small models; "" if there is nothing to measure.
        measured: its measured effect in these runs; "" if they cannot show it.
    """

    what: str
    paper: str
    corrected: str
    effect: str
    on_small_models: str
    measured: str = ""


@cache
def known() -> tuple[Difference, ...]:
    """Returns all differences, unmeasured."""
    stored = json.loads(DIFFERENCES.read_text("utf-8"))
    return tuple(Difference(what, **texts) for what, texts in stored.items())


def differences(facts: Facts, runs: Sequence[StudyRun]) -> tuple[Difference, ...]:
    """Returns all differences, measured where these runs allow it."""
    places = {run.place: run for run in runs}
    return tuple(
        replace(difference, measured=MEASURES[difference.what](facts, places))
        if difference.what in MEASURES
        else difference
        for difference in known()
    )
