"""Pictures of an ablation for the top of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from ...report.blocks import Picture, ShownAnswer
from ...report.scene_picture import grid_figure, tokens_figure
from ..runs import StudyRun
from ..token_sets import OBJECT, RING_1

_EDITS = {
    OBJECT.label: "without the object's tokens",
    RING_1.label: "without them and one ring",
    RING_1.control.label: "without as many random tokens",
}


def highlights(run: StudyRun) -> Sequence[Picture]:
    """Returns one image, the tokens of one object, and the answers without them."""
    scenes = [scene for scene in run.scenes() if scene.sets.get("object")]
    # Captions show best what is lost and what remains.
    scenes.sort(key=lambda scene: scene.facts.get("task") != "generative")
    if not scenes:
        return ()
    scene = scenes[0]
    figures = [grid_figure(scene, "example")]
    if tokens := tokens_figure(scene, "example"):
        figures.append(tokens)
    after = scene.facts.get("after")
    after = cast("dict[str, str]", after) if isinstance(after, dict) else {}
    answers = [ShownAnswer("before", str(scene.facts.get("before") or ""))]
    answers += [ShownAnswer(_EDITS[name], str(after[name])) for name in _EDITS if name in after]
    return (
        Picture(
            title="What the model is given",
            text=(
                f"Image {scene.sample} of {run.model}'s run, and the visual tokens of one object. "
                f"Asked: “{scene.facts.get('question', '')}”"
            ),
            figures=tuple(figures),
            answers=tuple(answers),
        ),
    )
