"""`retinoscope demo`: the three experiments on the packaged models or on smol, then the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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
ADAPTED = {"smol": Share(ablation=0.5, lens=1.0, knockout=1.0)}
ADAPTED["smol-lora"] = ADAPTED["smol"]
# Fifty times as large as pocket; sized to stay under fifteen minutes on two cores.
ADAPTED_SCENES = 24
NEAR = 50
"""Entries of 49,152 that count as near a word: one in a thousand."""
SIZES = (10, 40, 100)
MODES = ("paper", "corrected")
MAX_OBJECTS, MAX_QUESTIONS = 2, 2
GRADIENT_STEPS = 8
SLIDE, SLIDE_STEP, KNOCKOUT_QUESTIONS = 2, 2, 1


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
    downloaded. It takes a few minutes on two cores; interrupted, it goes on where it stopped.

    With --model smol, the same on a model of real pretrained parts, whose language model nobody
    trained for it (`retinoscope fetch smol` first); up to a quarter of an hour.

    For example:

        retinoscope demo

        retinoscope demo --scenes 200 --out runs/long

        retinoscope demo --model smol

    Args:
        model: pocket (with its two contrast models), smol or smol-lora.
        out: folder for the studies and their report; runs/demo, or runs/demo-MODEL.
        scenes: number of drawn scenes; 64 for pocket, 24 for the others.
        seed: seed of the scenes and of everything random in the studies.
    """
    from ..errors import InputError

    own = model == MAIN
    out = out or Path("runs/demo" if own else f"runs/demo-{model}")
    scenes = scenes or (SCENES if own else ADAPTED_SCENES)
    if scenes < 4:
        raise InputError(f"--scenes must be at least 4, so that there are controls; got {scenes}")
    samples = samples_of(f"scenes:{scenes}", seed, None)
    quiet()
    from ..engine import load
    from ..pocket import MODELS
    from ..report import compose

    with Progress() as progress:
        for name in MODELS if own else (model,):
            vlm, share = load(name), (PLAN if own else ADAPTED)[name]
            for study in _studies(vlm, samples, share, seed, 0 if own else NEAR):
                place = out / name / study.name
                study.run(place, progress.stage(f"{name}: {study.name}"))
        progress.say("writing the report")
        report = compose(out)
        path = report.write()
    say_claims(report.claims)
    print(f"report: {path}")


def _studies(
    vlm: VLM, samples: Sequence[Sample], share: Share, seed: int, near: int = 0
) -> list[Study]:
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
        LogitLens(vlm, some(share.lens), seed=seed, near=near, parts=near > 0),
        AttentionKnockout(
            vlm,
            some(share.knockout),
            seed=seed,
            slide=SLIDE,
            slide_step=SLIDE_STEP,
            max_questions=KNOCKOUT_QUESTIONS,
        ),
    ]
