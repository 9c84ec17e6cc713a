"""Pictures of heat maps for the top of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from ...report.blocks import Picture
from ...report.rows import pick
from ..runs import StudyRun
from .figure import maps_figure
from .options import BASELINES


def highlights(run: StudyRun) -> Sequence[Picture]:
    """Returns each method's map at its layer of the leaderboard, best first."""
    pictures = []
    for number, scene in enumerate(run.scenes()):
        leaders = pick(
            run.extra("leaderboard"), measure="pointing", task=str(scene.facts.get("task"))
        )
        shown = [
            (str(row["method"]), cast("int | None", row["first_layer"]))
            for row in leaders
            if row["method"] not in BASELINES
        ]
        figure = maps_figure(scene, f"maps-{number}", shown)
        if figure is None:
            continue
        text = (
            f"Image {scene.sample} of {run.model}'s run, best method first, at the layers of the "
            f"leaderboard. Asked: “{scene.facts.get('question', '')}”"
        )
        pictures.append(Picture(f"Maps of {scene.facts.get('target', '')}", text, (figure,)))
    return pictures
