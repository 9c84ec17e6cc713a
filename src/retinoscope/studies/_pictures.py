"""Which pictures a report shows, and the words beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from ..report.blocks import Picture, ShownAnswer
from ..report.rows import pick
from ..report.scene_picture import Scene, grid_figure, scene_of, tokens_figure, words_figure
from .alignment.figure import MAPS_SHOWN, gaze_figure, map_figures
from .alignment.names import WHO
from .attend.figure import BASELINES, maps_figure
from .group.picture import group_figures
from .runs import StudyRun, of_study
from .token_sets import OBJECT, RING_1

LAYERS_SHOWN = 4
GROUPED = 2
"""Images of each model that are shown with labels and groups."""
FEW = 3
"""Of more models one image each is shown."""


def pictures_of(runs: Sequence[StudyRun]) -> tuple[Picture, ...]:
    """Of the first run that has them: one image with its tokens, one with its words, and images
    with labels and groups, or with heat maps."""
    found = [_tokens(run) for run in of_study(runs, "ablation")[:1]]
    found += [_words(run) for run in of_study(runs, "lens")[:1]]
    found += [picture for run in of_study(runs, "group")[:1] for picture in _groups(run)]
    found += [_looking(run) for run in of_study(runs, "alignment")[:1]]
    found += [one for run in of_study(runs, "attend")[:1] for one in _maps(run)]
    return tuple(picture for picture in found if picture)


def _scenes(run: StudyRun) -> list[Scene]:
    scenes = [scene_of(facts, run.path) for facts in run.results.examples()]
    return [scene for scene in scenes if scene]


_EDITS = {
    OBJECT.label: "without the object's tokens",
    RING_1.label: "without them and one ring",
    RING_1.control.label: "without as many random tokens",
}


def _tokens(run: StudyRun) -> Picture | None:
    scenes = [scene for scene in _scenes(run) if scene.sets.get("object")]
    # A caption shows best what is lost and what stays.
    scenes.sort(key=lambda scene: scene.facts.get("task") != "generative")
    if not scenes:
        return None
    scene = scenes[0]
    figures = [grid_figure(scene, "example")]
    if tokens := tokens_figure(scene, "example"):
        figures.append(tokens)
    after = scene.facts.get("after")
    after = cast("dict[str, str]", after) if isinstance(after, dict) else {}
    answers = [ShownAnswer("before", str(scene.facts.get("before") or ""))]
    answers += [ShownAnswer(_EDITS[name], str(after[name])) for name in _EDITS if name in after]
    return Picture(
        title="What the model is given",
        text=(
            f"Image {scene.sample} of {run.model}'s run, and the visual tokens of one object. "
            f"Asked: “{scene.facts.get('question', '')}”"
        ),
        figures=tuple(figures),
        answers=tuple(answers),
    )


def _groups(run: StudyRun) -> list[Picture]:
    scenes = [scene for scene in _scenes(run) if isinstance(scene.facts.get("groups"), dict)]
    models = list(dict.fromkeys(str(scene.facts.get("model", "")) for scene in scenes))
    # Of encoders that are compared by seed, one seed each.
    models = [
        name
        for name in models
        if "/" not in name.removeprefix("small:")
        or not name.startswith("small:")
        or name.endswith("/0")
    ]
    many = len(models) > FEW
    made = []
    for model in models:
        mine = [scene for scene in scenes if scene.facts.get("model") == model]
        mine = mine[: 1 if many else GROUPED]
        made += [
            Picture(
                title=f"What {model} puts where",
                text=(
                    f"Image {scene.sample}: the truth, the labels that its locations get, and the "
                    "groups that its features fall into (their colours mean nothing)."
                ),
                figures=group_figures(scene, f"group-{model}-{number}"),
            )
            for number, scene in enumerate(mine)
        ]
    return made


def _words(run: StudyRun) -> Picture | None:
    scenes = [scene for scene in _scenes(run) if isinstance(scene.facts.get("words"), dict)]
    if not scenes:
        return None
    scene = scenes[0]
    words = cast("dict[str, list[str]]", scene.facts["words"])
    layers = sorted(words, key=int)
    if len(layers) > LAYERS_SHOWN:
        last = len(layers) - 1
        keep = {round(k * last / (LAYERS_SHOWN - 1)) for k in range(LAYERS_SHOWN)}
        layers = [layer for k, layer in enumerate(layers) if k in keep]
    return Picture(
        title="What each token says",
        text=(
            f"Image {scene.sample}: the most probable word of every visual token of {run.model}, "
            "at a few layers. Tokens of objects are tinted; a word in bold is the name of the "
            f"object that its token shows ({', '.join(scene.sets)})."
        ),
        figures=tuple(words_figure(scene, "words", int(layer), words[layer]) for layer in layers),
    )


def _looking(run: StudyRun) -> Picture | None:
    """Where the observers looked, beside the model's maps that agree best."""
    for scene in _scenes(run):
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
        return Picture(
            title="Where they looked, and where the model did",
            text=(
                f"Image {scene.sample}, {WHO[str(scene.facts.get('provenance'))]}: "
                f"“{scene.facts.get('segment')}” in “{scene.facts.get('description')}”. Maps of "
                f"{run.model}, the methods that agree best first; the darker, the more."
            ),
            figures=(gaze, *map_figures(scene, "looking", methods)),
        )
    return None


def _maps(run: StudyRun) -> list[Picture]:
    """Each method's map at its layer of the leaderboard, best first."""
    found = []
    for number, scene in enumerate(_scenes(run)):
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
        found.append(Picture(f"Maps of {scene.facts.get('target', '')}", text, (figure,)))
    return found
