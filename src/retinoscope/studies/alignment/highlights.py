"""Pictures for the top of the report: where observers and model looked."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Picture
from ..runs import StudyRun
from .figure import MAPS_SHOWN, gaze_figure, map_figures
from .names import WHO


def highlights(run: StudyRun) -> Sequence[Picture]:
    """Where the observers looked, beside the best agreeing maps of the model."""
    for scene in run.scenes():
        gaze = gaze_figure(scene, "looking")
        if gaze is None:
            continue
        rows = [
            row
            for row in run.summary
            if row["weights"] == "trained" and row["metric"] == "ncc" and row["own"] is not None
        ]
        rows.sort(key=lambda row: -float(row["own"] or 0))
        methods = list(dict.fromkeys(str(row["method"]) for row in rows))[:MAPS_SHOWN]
        return (
            Picture(
                title="Where they looked, and where the model did",
                text=(
                    f"Image {scene.sample}, {WHO[str(scene.facts.get('provenance'))]}: "
                    f"“{scene.facts.get('segment')}” in “{scene.facts.get('description')}”. "
                    f"Maps of {run.model}, the methods that agree best first; the darker, the more."
                ),
                figures=(gaze, *map_figures(scene, "looking", methods)),
            ),
        )
    return ()
