"""Stages 2 and 3, on conversations: the projector alone, then projector and language model.

The vision tower is frozen by now, so its features are computed once and kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerBase

from ...pocket.vocabulary import token_id
from ._bank import Bank
from ._config import Recipe, Stage
from ._language import answer_loss
from ._loop import Report, optimise
from ._packing import PREFIX, pack
from ._turns import Turns
from ._vision import patch_features


@torch.no_grad()
def cache_features(
    model: LlavaForConditionalGeneration, bank: Bank, recipe: Recipe, work: Path, report: Report
) -> np.ndarray:
    """Returns the tower's patch features (n, slot, width), float16, memory-mapped in `work`."""
    n = min(recipe.instruct_scenes, len(bank))
    file, done = work / "features.npy", work / "features.done"
    if not done.exists():
        shape = (n, recipe.sizes.grid**2, recipe.sizes.vision_width)
        features = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)
        tower = model.model.vision_tower.eval()
        for start in range(0, n, 64):
            stop = min(n, start + 64)
            features[start:stop] = patch_features(tower, bank.images[start:stop]).numpy()
            report("features", stop, n, float("nan"))
        features.flush()
        done.touch()
    return np.load(file, mmap_mode="r")


def train_instruct(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    bank: Bank,
    features: np.ndarray,
    variant: str,
    recipe: Recipe,
    work: Path,
    report: Report,
) -> None:
    """Trains the projector, then projector and language model, in place."""
    projector = model.model.multi_modal_projector
    language = {"language": model.model.language_model, "unembedding": model.lm_head}
    turns = Turns(tokenizer)
    prefix = tokenizer(PREFIX)["input_ids"]
    pad = token_id(tokenizer, "<pad>")
    image = token_id(tokenizer, "<image>")
    slots = recipe.sizes.grid**2

    def train(name: str, stage: Stage, modules: dict[str, nn.Module]) -> None:
        def loss_at(rng: np.random.Generator) -> Tensor:
            chosen = np.sort(rng.choice(len(features), stage.batch, replace=False))
            examples = [
                turns.of_scene(bank.texts[i].caption, bank.texts[i].questions, rng) for i in chosen
            ]
            placeholder = np.full((stage.batch, slots), image)
            batch = pack(examples, prefix, placeholder, recipe.text_tokens, pad)
            with torch.autocast("cpu", torch.bfloat16):
                visual = projector(torch.from_numpy(features[chosen].astype(np.float32)))
            embedded = model.get_input_embeddings()(batch.ids).clone()
            embedded[:, len(prefix) : len(prefix) + slots] = visual.float()
            return answer_loss(model, embedded, batch).answers

        optimise(
            f"{name}-{variant}",
            stage,
            modules,
            loss_at,
            seed=recipe.seed,
            work=work,
            report=report,
        )

    for module in language.values():
        module.requires_grad_(False)
    train("adapter", recipe.adapter, {"projector": projector})
    for module in language.values():
        module.requires_grad_(True)
    train("instruct", recipe.instruct_of(variant), {"projector": projector, **language})
