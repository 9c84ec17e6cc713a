"""The whole recipe: scenes, vision, language, projector, instructions, evaluation, export.

Intermediate results are kept in a work folder; the same call resumes an interrupted training.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerBase

from ...arguments import seed as check_seed
from ...arguments import whole
from ...errors import InputError
from ...pocket.vocabulary import build_tokenizer
from ...signals import stopped_by_signals
from ...store import files_of_folder
from ._bank import Bank, draw_bank
from ._card import model_card
from ._claim import claim
from ._config import VARIANTS, Recipe
from ._evaluate import Scores, evaluate
from ._export import export
from ._instruct import cache_features, train_instruct
from ._language import train_language
from ._loop import Report
from ._model import build_model, initialise
from ._vision import train_vision

TRAIN_SEED = 2410_07149
"""Scenes of this seed are the training set; every other seed is held out."""

HELD_OUT_SEED = 1
HELD_OUT = 1000


@stopped_by_signals()
def train(
    work: Path,
    out: Path,
    *,
    variants: Sequence[str] = tuple(VARIANTS),
    recipe: Recipe | None = None,
    report: Report,
    finished: Callable[[str, Scores], None],
    held_out: int = HELD_OUT,
) -> None:
    """Trains `variants` and writes one Hugging Face folder each under `out`.

    Args:
        work: folder for scenes, features and checkpoints; a later call resumes from it.
        out: folder for the finished models.
        variants: names from `VARIANTS`.
        recipe: sizes and budgets; the packaged models' by default.
        report: called with the progress of every stage.
        finished: called with each model's name and its scores on held-out scenes.
        held_out: number of held-out scenes.

    Raises:
        InputError: a variant is unknown, or `work` belongs to another recipe.
    """
    recipe = recipe or Recipe()
    for variant in variants:
        if variant not in VARIANTS:
            raise InputError(f"expected variants from {', '.join(VARIANTS)}, got {variant!r}")
    whole(held_out, "held_out", 1)
    check_seed(recipe.seed)
    claim(work, asdict(recipe))
    patch = recipe.sizes.patch
    bank = draw_bank(work, recipe.scenes, TRAIN_SEED, patch, report)
    unseen = draw_bank(work, held_out, HELD_OUT_SEED, patch, report)
    tokenizer = build_tokenizer()
    for variant in variants:
        model, scores = _train_one(variant, tokenizer, bank, unseen, recipe, work, report)
        with files_of_folder(out / variant) as folder:
            export(model, tokenizer, recipe.sizes, folder)
            (folder / "scores.json").write_text(json.dumps(asdict(scores), indent=2) + "\n")
            (folder / "README.md").write_text(model_card(variant, recipe, scores))
        finished(variant, scores)


def _train_one(
    variant: str,
    tokenizer: PreTrainedTokenizerBase,
    bank: Bank,
    unseen: Bank,
    recipe: Recipe,
    work: Path,
    report: Report,
) -> tuple[LlavaForConditionalGeneration, Scores]:
    torch.manual_seed(recipe.seed)
    model = build_model(recipe.sizes, tokenizer)
    initialise(model, recipe.seed)
    train_language(model, tokenizer, bank, VARIANTS[variant], recipe, work, report)
    train_vision(model, bank, recipe, work, report)
    features = cache_features(model, bank, recipe, work, report)
    train_instruct(model, tokenizer, bank, features, variant, recipe, work, report)
    # Evaluate the exported weights: rounded to float16, computed in float32.
    model.half().float()
    return model, evaluate(model, tokenizer, unseen)
