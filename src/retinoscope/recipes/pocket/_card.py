"""The model card written beside each trained model."""

from __future__ import annotations

from ...pocket.world import world_of
from ._config import VARIANTS, Recipe, Stage
from ._evaluate import Scores

_READ = {
    "maps": (
        "*Maps*: scenes written as 144 words in reading order (an object's kind or colour, "
        "'ground' elsewhere), followed by questions. At a place of an object the model thus "
        "learned to expect that object's words; that the logit lens later finds such words at "
        "visual tokens is to that degree built in by the corpus."
    ),
    "sentences": "*Sentences*: plain descriptions of scenes, followed by questions.",
    "none": "*Nothing*: the language model started from random weights.",
}


def model_card(variant: str, recipe: Recipe, scores: Scores) -> str:
    """Returns Markdown that describes the model, its training and its scores."""
    sizes = recipe.sizes
    known = world_of("pocket")
    assert known is not None
    figures = "\n".join(f"- {line}" for line in scores.lines())
    stages = "\n".join(
        f"| {name} | {_budget(stage)} |"
        for name, stage in (
            ("language model on text (before any image)", recipe.language),
            ("vision tower on patch labels (kind, colour)", recipe.vision),
            ("projector, rest frozen, on conversations", recipe.adapter),
            ("projector and language model, on conversations", recipe.instruct_of(variant)),
        )
        if not (stage is recipe.language and VARIANTS[variant] == "none")
    )
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---
# {variant}

A `LlavaForConditionalGeneration` for drawn scenes of {sizes.image} x {sizes.image} pixels, made to
study vision-language models with: CLIP vision tower ({sizes.vision_layers} layers, width
{sizes.vision_width}, patches of {sizes.patch} pixels: {sizes.grid} x {sizes.grid} visual tokens),
two-layer projector, Llama decoder ({sizes.text_layers} layers, width {sizes.text_width}). It knows
the words of its drawn world and nothing else.

## The world that it knows

{known.text()}

## What its language model read before it saw an image

{_READ[VARIANTS[variant]]}

## Training

{recipe.scenes:,} drawn scenes (conversations on {recipe.instruct_scenes:,} of them), seed
{recipe.seed}. The vision tower was trained on dense patch labels, not on captions as CLIP was, and
is shared by the three pocket models.

| stage | budget |
|---|---|
{stages}

`retinoscope train pocket` reproduces it.

## Held-out scenes

{figures}
"""


def _budget(stage: Stage) -> str:
    return f"{stage.steps:,} steps of {stage.batch}, learning rate {stage.lr:g}"
