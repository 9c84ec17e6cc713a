"""Pictures of the audit for the top of the report."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Picture
from ..runs import StudyRun
from .pictures import tokens_figures


def highlights(run: StudyRun) -> Sequence[Picture]:
    """Returns one picture per kept scene, with the tokens of each interface."""
    return [
        Picture(
            title=f"The {scene.object_name} in each interface's tokens",
            text=(
                f"Image {scene.sample}: how much each token changes without the "
                f"{scene.object_name}, and how much of it is said to come from there, by its box "
                "or by where its query looked; the darkest token has the largest value. Framed: "
                "the tokens that the experiments take as the object's. Queries have no place and "
                "are drawn in their order."
            ),
            figures=tokens_figures(scene, f"tokens-{number}"),
        )
        for number, scene in enumerate(run.scenes())
        if scene.facts.get("interfaces")
    ]
