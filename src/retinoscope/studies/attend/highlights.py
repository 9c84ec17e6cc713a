"""Pictures of heat maps for the top of the report."""

from __future__ import annotations

from collections.abc import Sequence

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
        shown: list[tuple[str, int | None]] = []
        for row in leaders:
            layer = str(row["layers"] or "").split(",")[0]
            if row["method"] not in BASELINES:
                shown.append((str(row["method"]), int(layer) if layer else None))
        figure = maps_figure(scene, f"maps-{number}", shown)
        if figure is None:
            continue
        text = (
            f"Image {scene.sample} of {run.model}'s run, best method first, at the layers of the "
            f"leaderboard. Asked: “{scene.facts.get('question', '')}”"
        )
        pictures.append(Picture(f"Maps of {scene.facts.get('target', '')}", text, (figure,)))
    return pictures
