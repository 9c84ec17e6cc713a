"""The smol recipe: scenes, features, conversations, adapter, low-rank updates, evaluation.

Intermediate results are kept in a work folder; the same call resumes an interrupted training.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerBase

from ...arguments import seed as check_seed
from ...arguments import whole
from ...data import Sample
from ...data.scenes import SceneOptions
from ...device import device_of
from ...errors import InputError
from ...pocket.smol.adapter import FILE, AdapterWeights, read_adapter
from ...pocket.smol.language import open_language
from ...pocket.smol.low_rank import attach
from ...pocket.smol.model import assemble, vision_state
from ...pocket.smol.parts import sha256
from ...pocket.smol.tower import LiteConfig
from ...pocket.world import SCENES, WORLD, world_of
from ...signals import stopped_by_signals
from ...store import write_bytes
from ..pocket._bank import Bank, draw_bank
from ..pocket._claim import claim
from ..pocket._config import Stage
from ..pocket._evaluate import Scores
from ..pocket._loop import Report
from ._adapter import AdapterTraining
from ._card import smol_card
from ._config import Losses, Parts, SmolRecipe
from ._data import captioned, training_data
from ._evaluate import evaluate_smol
from ._int8 import in_int8, require_compiler, require_cpu

TRAIN_SEED = 2411_19218
"""Scenes of this seed are the training set; every other seed is held out."""
HELD_OUT_SEED = 1
HELD_OUT = 1000
_OPTIONS = SceneOptions(more_kinds=True)


@stopped_by_signals()
def train_smol(
    work: Path,
    out: Path,
    parts: Parts,
    *,
    recipe: SmolRecipe | None = None,
    device: str = "cpu",
    variants: Sequence[str] = ("smol",),
    minutes: float | None = None,
    lora_minutes: float | None = None,
    samples: Sequence[Sample] = (),
    start: Path | None = None,
    held_out: int = HELD_OUT,
    report: Report,
    finished: Callable[[str, Scores, Losses], None],
) -> None:
    """Trains the adapter, then the variant with low-rank updates, and writes a folder for each.

    Args:
        work: folder for scenes, features and checkpoints; a later call resumes from it.
        out: folder for the results: adapter, scores and card of each variant.
        parts: files of the frozen models.
        recipe: sizes and budgets; the packaged adapter's by default.
        device: where to compute.
        variants: "smol", "smol-lora"; the second always trains the first one too.
        minutes, lora_minutes: approximate duration of each stage, in place of the recipe's number
            of steps; the learning-rate schedule is fitted to it.
        samples: captioned images to train on besides the scenes.
        start: folder of a trained adapter to start from, in place of random weights; its feature
            constants are used too.
        held_out: number of held-out scenes.
        report: called with the progress of every stage.
        finished: called with each variant's name, scores and losses on held-out scenes.

    Raises:
        InputError: a variant is unknown, a sample has no caption, `start` is not an adapter of the
            same parts and features, or `work` belongs to another recipe.
        CapabilityError: the recipe uses 8-bit integers, and the device is not a CPU or there is no
            C++ compiler.
    """
    recipe = recipe or SmolRecipe()
    place = _checked(variants, recipe, device, held_out, samples)
    initial = None if start is None else _initial_adapter(start, recipe, parts)
    # Refuse whatever can be refused before the work folder is tied to this training.
    model, tokenizer = _assembled(parts, recipe)
    identity = asdict(recipe) | parts.hashes() | {"images": len(samples)}
    claim(work, identity if start is None else identity | {"start": sha256(start / FILE)})
    bank = draw_bank(work, recipe.scenes, TRAIN_SEED, 12, report, _OPTIONS)
    unseen = draw_bank(work, held_out, HELD_OUT_SEED, 12, report)
    more = draw_bank(work, held_out, HELD_OUT_SEED, 12, report, _OPTIONS)
    torch.nn.Module.to(model, place)
    train, watch = training_data(model, tokenizer, bank, more, samples, recipe, work, place, report)
    training = AdapterTraining(model, recipe, tokenizer, train, watch, initial, work, report)
    stage = training.best_rate()
    alone = not samples and (start is None or world_of(str(start)) is not None)
    writer = _VariantWriter(out, parts, recipe, stage, tokenizer, (unseen, more), start, alone)
    seconds = _seconds(minutes), _seconds(lora_minutes)
    for variant, low_rank in _variants(training, model, recipe, stage, variants, seconds):
        losses = training.held_out_losses()
        weights = training.weights(parts, low_rank)
        finished(variant, writer.write(variant, weights, losses, place), losses)


def _variants(
    training: AdapterTraining,
    model: LlavaForConditionalGeneration,
    recipe: SmolRecipe,
    stage: Stage,
    variants: Sequence[str],
    seconds: tuple[float | None, float | None],
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yields each variant as soon as it is trained, with its low-rank updates."""
    projector = {"projector": training.projector}
    with in_int8(model.model.language_model) if recipe.int8 else nullcontext():
        training.run("adapter", stage, projector, seconds[0])
    if "smol" in variants:
        yield "smol", {}
    if "smol-lora" in variants:
        added = attach(model.model.language_model, recipe.rank, recipe.alpha, recipe.seed)
        training.run("lora", recipe.lora, projector | {"low_rank": added}, seconds[1])
        yield "smol-lora", dict(added.state_dict())


@dataclass(frozen=True)
class _VariantWriter:
    """Writes the folder of each variant: the adapter, its scores on held-out scenes, its card.

    Attributes:
        stage: the stage in which the adapter was trained.
        unseen: held-out scenes of 24 kinds, and of all kinds.
        alone: whether the adapter was trained on drawn scenes only.
    """

    out: Path
    parts: Parts
    recipe: SmolRecipe
    stage: Stage
    tokenizer: PreTrainedTokenizerBase
    unseen: tuple[Bank, Bank]
    start: Path | None
    alone: bool

    def write(
        self, variant: str, weights: AdapterWeights, losses: Losses, device: torch.device
    ) -> Scores:
        """Writes the variant's folder; returns the scores on scenes of 24 kinds."""
        folder = self.out / variant
        weights.save(folder)
        first, more = self._evaluated(folder, device)
        facts: dict[str, Any] = asdict(first) | {
            "more_kinds": asdict(more),
            "losses": asdict(losses),
            WORLD: SCENES if self.alone else "",
        }
        write_bytes(folder / "scores.json", (json.dumps(facts, indent=2) + "\n").encode())
        card = smol_card(
            *(variant, self.recipe, self.stage, first, more, losses, self.start), alone=self.alone
        )
        write_bytes(folder / "README.md", card.encode())
        return first

    def _evaluated(self, folder: Path, device: torch.device) -> tuple[Scores, Scores]:
        """Evaluates the adapter as written: rounded to float16, merged, computed in float32."""
        from ...pocket.smol.opened import build

        with warnings.catch_warnings():
            # Other weights of the language model are the caller's choice: do not warn.
            warnings.simplefilter("ignore")
            fresh, _ = build(
                folder, language=self.parts.language, vision=self.parts.vision, device=device
            )
        size = 40 if device.type == "cpu" else 200
        first, more = (evaluate_smol(fresh, self.tokenizer, bank, size) for bank in self.unseen)
        return first, more


def _checked(
    variants: Sequence[str],
    recipe: SmolRecipe,
    device: str,
    held_out: int,
    samples: Sequence[Sample],
) -> torch.device:
    """Checks the arguments of `train_smol` and returns the device."""
    for variant in variants:
        if variant not in ("smol", "smol-lora"):
            raise InputError(f"expected variants smol and smol-lora, got {variant!r}")
    place = device_of(device)
    if recipe.int8:
        require_cpu(place)
        require_compiler()
    whole(held_out, "held_out", 1)
    check_seed(recipe.seed)
    for sample in samples:
        captioned(sample)
    return place


def _seconds(minutes: float | None) -> float | None:
    return None if minutes is None else 60 * minutes


def _assembled(
    parts: Parts, recipe: SmolRecipe
) -> tuple[LlavaForConditionalGeneration, PreTrainedTokenizerBase]:
    language, tokenizer = open_language(parts.language)
    vision, state = LiteConfig(**recipe.eyes.options), vision_state(parts.vision)
    model, processor = assemble(language, tokenizer, state, vision, seed=recipe.seed)
    return model, processor.tokenizer  # type: ignore[attr-defined]


def _initial_adapter(start: Path, recipe: SmolRecipe, parts: Parts) -> AdapterWeights:
    """Reads the adapter to start from and checks that training can resume from it."""
    adapter = read_adapter(start)
    if adapter.low_rank:
        raise InputError(
            f"expected an adapter of a frozen language model to begin with, got {start} with "
            "low-rank updates: begin with the smol that it came from"
        )
    if (adapter.vision, adapter.parts) != (recipe.eyes.options, parts.hashes()):
        raise InputError(
            f"expected an adapter of the same parts and features to begin with, got {start} of "
            "others: leave --start out, or name the parts that it was trained for"
        )
    return adapter
