"""`retinoscope demo`: the three experiments on the packaged models or on smol, then the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ._common import check_seeds, quiet, samples_of, say_findings
from ._progress import Progress
from ._say import say

if TYPE_CHECKING:
    from ..data import Sample
    from ..engine import VLM
    from ..studies import Study
    from ..studies.lens.options import LensKind


@dataclass(frozen=True)
class Share:
    """One model's share of the scenes in each study; the contrast models get fewer."""

    ablation: float
    lens: float
    knockout: float


@dataclass(frozen=True)
class Effort:
    """The effort per scene; see the arguments of the studies."""

    scenes: int
    sizes: tuple[int, ...]
    max_objects: int
    max_questions: int
    gradient_steps: int
    slide: int
    lenses: tuple[LensKind, ...]
    fit_prompts: int = 0
    near: int = 0


MAIN = "pocket"
PLAN = {
    MAIN: Share(ablation=1.0, lens=1.0, knockout=1.0),
    "pocket-sentences": Share(ablation=0.25, lens=1.0, knockout=1.0),
    "pocket-none": Share(ablation=0.25, lens=1.0, knockout=1.0),
}
# Sized so that the whole demo stays under seven minutes on one core.
EFFORT = Effort(
    scenes=64,
    sizes=(10, 40, 100),
    max_objects=2,
    max_questions=2,
    gradient_steps=8,
    slide=2,
    lenses=("logit", "embedding", "jacobian"),
    fit_prompts=4,
)
ADAPTED = Share(ablation=1.0, lens=1.0, knockout=1.0)
# Fifty times as large as pocket: sized to stay under fifteen minutes on two cores. One entry in a
# thousand of 49,152 counts as near a word.
ADAPTED_EFFORT = Effort(
    scenes=12,
    sizes=(40,),
    max_objects=1,
    max_questions=1,
    gradient_steps=4,
    slide=5,
    # A Jacobian takes a minute per prompt and model here.
    lenses=("logit", "embedding"),
    near=50,
)
MODES = ("paper", "corrected")
KNOCKOUT_QUESTIONS = 1


Model = Literal["pocket", "smol", "smol-lora"]


def demo(
    *,
    model: Model = "pocket",
    out: Path | None = None,
    scenes: int | None = None,
    seed: int = 0,
) -> None:
    """Run the whole paper on the packaged models, then write the report.

    Three studies on drawn scenes that no training step saw: replacing an object's tokens, reading
    visual tokens as words, blocking attention. The same, on fewer scenes, on two contrast models
    whose language model read something else, or nothing, before it saw images. Nothing is
    downloaded. It takes a few minutes on two cores; if interrupted, it continues where it stopped.

    With --model smol, the same on a model of real pretrained parts, whose language model was not
    trained for it (`retinoscope fetch smol` first); up to a quarter of an hour.

    For example:

        retinoscope demo

        retinoscope demo --scenes 200 --out runs/long

        retinoscope demo --model smol

    Args:
        model: pocket (with its two contrast models), smol or smol-lora.
        out: folder for the studies and their report; runs/demo, or runs/demo-MODEL.
        scenes: number of drawn scenes; 64 for pocket, 12 for the others.
        seed: seed of the scenes and of everything random in the studies.
    """
    from ..errors import InputError

    is_main = model == MAIN
    out = out or Path("runs/demo" if is_main else f"runs/demo-{model}")
    effort = EFFORT if is_main else ADAPTED_EFFORT
    check_seeds(seed=seed)
    scenes = effort.scenes if scenes is None else scenes
    if scenes < 4:
        raise InputError(f"--scenes must be at least 4, to leave room for controls; got {scenes}")
    samples = samples_of(f"scenes:{scenes}", seed, None)
    quiet()
    from ..engine import load
    from ..pocket import MODELS
    from ..reporting import compose

    with Progress() as progress:
        for name in MODELS if is_main else (model,):
            share = PLAN[name] if is_main else ADAPTED
            for study in _studies(load(name), samples, share, effort, seed):
                place = out / name / study.name
                study.run(place, progress.stage(f"{name}: {study.name}"))
        progress.say("writing the report")
        report = compose(out)
        path = report.write()
    say_findings(report.findings)
    say(f"report: {path}")


def _studies(
    vlm: VLM, samples: Sequence[Sample], share: Share, effort: Effort, seed: int
) -> list[Study]:
    from ..answers.tasks import PromptOptions
    from ..studies import AttentionKnockout, LensFits, LogitLens, TokenAblation

    def some(part: float) -> Sequence[Sample]:
        return samples[: max(4, round(part * len(samples)))]

    return [
        TokenAblation(
            vlm,
            some(share.ablation),
            seed=seed,
            sizes=effort.sizes,
            modes=MODES,
            gradient_steps=effort.gradient_steps,
            prompts=PromptOptions(
                max_objects=effort.max_objects, max_questions=effort.max_questions
            ),
        ),
        LogitLens(
            vlm,
            some(share.lens),
            seed=seed,
            kinds=effort.lenses,
            # Scenes of another seed are other scenes.
            fits=LensFits(samples_of(f"scenes:{effort.fit_prompts}", seed + 1, None))
            if effort.fit_prompts
            else LensFits(),
            near=effort.near,
            parts=effort.near > 0,
        ),
        AttentionKnockout(
            vlm,
            some(share.knockout),
            seed=seed,
            slide=effort.slide,
            slide_step=effort.slide,
            max_questions=KNOCKOUT_QUESTIONS,
        ),
    ]
