"""The towers before the interfaces: kinds, then captions for one and hidden patches for the other.

The packaged encoders know colours but not kinds. Here both vision towers start from one that was
trained on the kind of each patch, never on its colour.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Blip2VisionModel

from ...arguments import seed as check_seed
from ...encoders.captions import caption_ids
from ...encoders.small_tower import aggregate, drawn_patches
from ...interfaces import (
    Towers,
    build_tower,
    hidden_error,
    open_towers,
    patch_pixels,
    tower_tokens,
    untrained_towers,
    write_towers,
)
from ...signals import stopped_by_signals
from ..encoders._contrastive import info_nce
from ..pocket import Report, Stage, claim, optimise
from ..pocket._bank import Bank, draw_bank
from ._caption_words import CaptionWords
from ._config import TowersRecipe
from ._gate import gate, kinds_recall
from ._held_out import HeldOut, draw_held_out
from ._patch_labels import KindHead, draw_batch, objects_first, patch_loss
from ._world import OPTIONS, TRAIN_SEED

_PRESENT = 0.1
"""An object names a patch from this share of its pixels on: a small one seldom fills a quarter."""
_HIDDEN_PATCHES = 0.75
_STAGES = ("kinds", "small", "whole", "contrastive", "mae")
_LOOKS = 5
"""How often a stage measures what its tower still knows of kinds."""


@stopped_by_signals()
def train_towers(
    work: Path, out: Path, *, recipe: TowersRecipe | None = None, report: Report
) -> Towers:
    """Trains both towers, measures what they know and writes them to `out`.

    Args:
        work: folder for scenes and checkpoints; a later call resumes from it.
        out: folder for the finished towers: `towers.safetensors` and `towers.json`.
        recipe: sizes and budget; those of the packaged towers by default.
        report: called with the progress of every stage.

    Returns:
        The towers as `open_towers` reads them from `out`; `facts["gate"]` is what they know.

    Raises:
        InputError: `work` belongs to another recipe.
    """
    recipe = recipe or TowersRecipe()
    check_seed(recipe.seed)
    claim(work, asdict(recipe))
    patch = recipe.shape.patch
    bank = draw_bank(work, recipe.scenes, TRAIN_SEED, patch, report, OPTIONS, present=_PRESENT)
    held_out = draw_held_out(recipe.fit_scenes + recipe.test_scenes, patch, report)
    training = _TowersTraining(recipe, bank, held_out, work, report)
    towers, start = training.run()
    for module in towers.modules.values():
        # Judge the weights as they are written: rounded to float16, computed in float32.
        module.half().float().eval().requires_grad_(False)
    vision = {
        "contrastive": towers.contrastive,
        "mae": towers.mae,
        "start": start,
        "untrained": build_tower(recipe.shape, recipe.seed),
    }
    facts = {
        "recipe": asdict(recipe),
        "train_seed": TRAIN_SEED,
        "gate": gate(vision, held_out, recipe.fit_scenes),
        "kinds_while_training": training.watched(),
    }
    write_towers(out, replace(towers, facts=facts))
    return open_towers(out)


class _TowersTraining:
    """The stages; each resumes from its checkpoint in `work`."""

    def __init__(
        self, recipe: TowersRecipe, bank: Bank, held_out: HeldOut, work: Path, report: Report
    ) -> None:
        self._recipe, self._bank, self._work, self._report = recipe, bank, work, report
        self._held_out = held_out
        self._ids = caption_ids([t.caption for t in bank.texts], recipe.shape.text_tokens)
        self._words = CaptionWords()

    def run(self) -> tuple[Towers, Blip2VisionModel]:
        """Trains all modules, one stage after the other; also returns the start of both towers."""
        recipe = self._recipe
        towers = untrained_towers(recipe.shape, recipe.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            head = KindHead(recipe.shape.width)
        self._kinds(towers.contrastive, head)
        towers.mae.load_state_dict(towers.contrastive.state_dict())
        start = copy.deepcopy(towers.contrastive)
        self._contrastive(towers, head)
        self._mae(towers)
        return towers, start

    def watched(self) -> dict[str, dict[int, float]]:
        """Returns stage -> step -> linear recall of kinds, measured while it was trained."""
        files = {stage: self._watch_file(stage) for stage in _STAGES}
        return {
            # After an interruption, steps since the checkpoint were measured twice.
            stage: dict(json.loads(line) for line in file.read_text().splitlines())
            for stage, file in files.items()
            if file.exists()
        }

    def _kinds(self, tower: Blip2VisionModel, head: KindHead) -> None:
        """Learns kinds: from few patches of many scenes, then of small objects, then everywhere."""
        recipe, bank, modules = self._recipe, self._bank, {"tower": tower, "head": head}

        def kinds(rng: np.random.Generator) -> Tensor:
            batch = draw_batch(bank, rng, recipe.kinds.batch)
            kept = objects_first(batch.labels, recipe.seen_patches, rng)
            logits = head(tower_tokens(tower, batch.pixels, kept))
            return patch_loss(logits, batch.labels.gather(1, kept))

        def small(rng: np.random.Generator) -> Tensor:
            batch = draw_batch(bank, rng, recipe.small.batch).flipped(rng).recolored(rng)
            kept = objects_first(batch.labels, recipe.seen_patches, rng)
            logits = head(tower_tokens(tower, batch.pixels, kept))
            return patch_loss(logits, batch.labels.gather(1, kept), equal=True)

        def whole(rng: np.random.Generator) -> Tensor:
            batch = draw_batch(bank, rng, recipe.whole.batch).flipped(rng)
            return patch_loss(head(tower_tokens(tower, batch.pixels)), batch.labels, equal=True)

        self._optimise("kinds", recipe.kinds, modules, kinds)
        self._optimise("small", recipe.small, modules, small)
        self._optimise("whole", recipe.whole, modules, whole)

    def _contrastive(self, towers: Towers, head: KindHead) -> None:
        recipe, tower = self._recipe, towers.contrastive
        scale = nn.ParameterDict({"log": nn.Parameter(torch.tensor(math.log(1 / 0.07)))})
        modules = {"tower": tower, "text": towers.text, "scale": scale}

        def loss_at(rng: np.random.Generator) -> Tensor:
            batch = draw_batch(self._bank, rng, recipe.contrastive.batch)
            tokens = tower_tokens(tower, batch.pixels)
            captions = self._ids[torch.from_numpy(batch.chosen)]
            dropped = self._words.dropped_colors(captions, rng)
            if recipe.swapped_kinds:
                captions = torch.cat([captions, self._words.swapped_kinds(captions, rng)])
                dropped = dropped.repeat(2, 1)
            texts = towers.text(captions, dropped)
            loss = info_nce(aggregate(tokens, "class"), texts, scale["log"])
            if not recipe.patch_weight:
                return loss
            return loss + recipe.patch_weight * patch_loss(head(tokens), batch.labels, equal=True)

        if recipe.patch_weight:
            modules["kinds"] = head
        self._optimise("contrastive", recipe.contrastive, modules, loss_at)

    def _mae(self, towers: Towers) -> None:
        recipe, tower = self._recipe, towers.mae
        patch, n = recipe.shape.patch, recipe.shape.patches
        generator = torch.Generator()

        def loss_at(rng: np.random.Generator) -> Tensor:
            seen = draw_batch(self._bank, rng, recipe.mae.batch).pixels
            generator.manual_seed(int(rng.integers(2**62)))
            kept = drawn_patches(len(seen), n, 1 - _HIDDEN_PATCHES, generator)
            painted = towers.mae_decoder(tower_tokens(tower, seen, kept), kept)
            return hidden_error(painted, patch_pixels(seen, patch), kept)

        modules = {"tower": tower, "head": towers.mae_decoder}
        self._optimise("mae", recipe.mae, modules, loss_at)

    def _optimise(
        self,
        name: str,
        stage: Stage,
        modules: dict[str, nn.Module],
        loss_at: Callable[[np.random.Generator], Tensor],
    ) -> None:
        every = max(1, stage.steps // _LOOKS)
        tower = modules["tower"]
        assert isinstance(tower, Blip2VisionModel)

        def look(step: int) -> None:
            if step % every == 0:
                recall = kinds_recall(tower, self._held_out)
                with self._watch_file(name).open("a") as file:
                    file.write(json.dumps([step, round(recall, 4)]) + "\n")

        optimise(
            name,
            stage,
            modules,
            loss_at,
            seed=self._recipe.seed,
            work=self._work,
            report=self._report,
            after=look,
        )

    def _watch_file(self, name: str) -> Path:
        return self._work / f"{name}-kinds.jsonl"
