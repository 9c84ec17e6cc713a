"""The small study that a judge's tests run."""

from __future__ import annotations

import retinoscope as rs
from retinoscope.answers.judge import ChatJudge
from retinoscope.data import squares
from retinoscope.studies import InformationFlow


def judged_study(judge: ChatJudge) -> InformationFlow:
    return InformationFlow(
        rs.load("planted:via-query"),
        squares(2),
        edges=("image:query", "image:generated"),
        readings=("generated",),
        layers=("all",),
        tasks=("description",),
        controls=False,
        untrained=False,
        judge=judge,
    )
