"""`retinoscope demo`: the three experiments on the packaged models, then the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ._common import quiet, samples_of, say_claims
from ._progress import Progress

if TYPE_CHECKING:
    from ..data import Sample
    from ..engine import VLM
    from ..studies import Study


@dataclass(frozen=True)
class Share:
    """Scenes of one model's studies, as shares of all; the contrast models get fewer."""

    ablation: float
    lens: float
    knockout: float


MAIN = "pocket"
PLAN = {
    MAIN: Share(ablation=1.0, lens=1.0, knockout=1.0),
    "pocket-sentences": Share(ablation=0.25, lens=1.0, knockout=1.0),
    "pocket-none": Share(ablation=0.25, lens=1.0, knockout=1.0),
}
# Sized so that the whole demo stays under five minutes on two cores.
SCENES = 64
SIZES = (10, 40, 100)
MODES = ("paper", "corrected")
MAX_OBJECTS, MAX_QUESTIONS = 2, 2
GRADIENT_STEPS = 8
SLIDE, SLIDE_STEP, KNOCKOUT_QUESTIONS = 2, 2, 1


def demo(*, out: Path = Path("runs/demo"), scenes: int = SCENES, seed: int = 0) -> None:
    """Run the whole paper on the packaged models, then write the report.

    Three studies on drawn scenes that no training step saw: replacing an object's tokens, reading
    visual tokens as words, blocking attention. The same, on fewer scenes, on two contrast models
    whose language model read something else, or nothing, before it saw images. Nothing is
    downloaded. It takes a few minutes on two cores; interrupted, it goes on where it stopped.

    For example:

        retinoscope demo

        retinoscope demo --scenes 200 --out runs/long

    Args:
        out: folder for the studies and their report.
        scenes: number of drawn scenes.
        seed: seed of the scenes and of everything random in the studies.
    """
    from ..errors import InputError

    if scenes < 4:
        raise InputError(f"--scenes must be at least 4, so that there are controls; got {scenes}")
    samples = samples_of(f"scenes:{scenes}", seed, None)
    quiet()
    from ..engine import load
    from ..pocket import MODELS
    from ..report import compose

    with Progress() as progress:
        for model in MODELS:
            vlm, share = load(model), PLAN[model]
            for study in _studies(vlm, samples, share, seed):
                name = study.name
                study.run(out / model / name, progress.stage(f"{model}: {name}"))
        progress.say("writing the report")
        report = compose(out)
        path = report.write()
    say_claims(report.claims)
    print(f"report: {path}")


def _studies(vlm: VLM, samples: Sequence[Sample], share: Share, seed: int) -> list[Study]:
    from ..studies import AttentionKnockout, LogitLens, PromptOptions, TokenAblation

    def some(part: float) -> Sequence[Sample]:
        return samples[: max(4, round(part * len(samples)))]

    return [
        TokenAblation(
            vlm,
            some(share.ablation),
            seed=seed,
            sizes=SIZES,
            modes=MODES,
            gradient_steps=GRADIENT_STEPS,
            prompts=PromptOptions(max_objects=MAX_OBJECTS, max_questions=MAX_QUESTIONS),
        ),
        LogitLens(vlm, some(share.lens), seed=seed),
        AttentionKnockout(
            vlm,
            some(share.knockout),
            seed=seed,
            slide=SLIDE,
            slide_step=SLIDE_STEP,
            max_questions=KNOCKOUT_QUESTIONS,
        ),
    ]
