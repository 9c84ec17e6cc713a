"""The smol recipe: scenes, features, conversations, adapter, low-rank updates, evaluation.

Everything intermediate lies in a work folder; the same call goes on where an earlier one stopped.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerBase

from ...arguments import seed as check_seed
from ...arguments import whole
from ...data import Sample
from ...data.scenes import SceneOptions
from ...device import device_of
from ...errors import InputError
from ...pocket.smol.adapter import FILE, AdapterWeights, read_adapter
from ...pocket.smol.language import open_language
from ...pocket.smol.low_rank import attach
from ...pocket.smol.model import assemble, initialise, vision_state
from ...pocket.smol.parts import sha256
from ...pocket.smol.tower import LiteConfig, LiteTower
from ...pocket.world import SCENES, WORLD, world_of
from ...signals import stopped_by_signals
from ...store import write_bytes
from ..pocket._bank import Bank, SceneTexts, draw_bank
from ..pocket._claim import claim
from ..pocket._config import Stage
from ..pocket._evaluate import Scores
from ..pocket._language import answer_loss
from ..pocket._loop import Report, optimise
from ._card import smol_card
from ._config import SmolRecipe
from ._evaluate import evaluate_smol
from ._features import cache_features, square, standardise
from ._int8 import in_int8, require_compiler, require_cpu
from ._rows import PackedRows, PromptFrame, build_rows

TRAIN_SEED = 2411_19218
"""Scenes of this seed are the training set; every other seed is held out."""
HELD_OUT_SEED = 1
HELD_OUT = 1000
_WATCH = 256
"""Held-out scenes whose loss is watched."""


@dataclass(frozen=True)
class Parts:
    """Files of the two frozen parts."""

    language: Path
    vision: Path


@dataclass(frozen=True)
class Losses:
    """Mean loss of held-out answers: with their own image, and with another scene's.

    The second is what questions and habits alone give away.
    """

    own: float
    other: float


@dataclass(frozen=True)
class _TrainingData:
    """Features and conversations, in the same order; row r belongs to scene r // packings."""

    features: np.ndarray | Tensor
    rows: PackedRows
    tower: LiteTower

    def visual(self, scenes: Tensor) -> Tensor:
        """The scenes' features as the tower gives them: standardised."""
        if isinstance(self.features, Tensor):
            raw = self.features[scenes]
        else:
            raw = torch.from_numpy(self.features[scenes.cpu().numpy()])
        return (raw.to(self.tower.mean.device).float() - self.tower.mean) / self.tower.std


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
    """Train the adapter, then the variant with low-rank updates, and write a folder for each.

    Args:
        work: folder for scenes, features and checkpoints; kept, so that a second call goes on.
        out: folder for the results: adapter, scores and card of each variant.
        parts: the frozen parts.
        recipe: sizes and budgets; the packaged adapter's by default.
        device: where to compute.
        variants: "smol", "smol-lora"; the second always trains the first one too.
        minutes, lora_minutes: about how long each stage's steps may take, in place of the recipe's
            number of steps; the schedule of the learning rate is fitted to it.
        samples: captioned images to learn from besides the scenes.
        start: folder of a trained adapter to begin with, in place of random weights; with it come
            the constants of its features.
        held_out: number of held-out scenes.
        report: told the progress of every stage.
        finished: told each variant's figures on held-out scenes.

    Raises:
        InputError: an unknown variant, a sample without a caption, a `start` that is not an
            adapter of the same parts and features, or `work` belongs to another recipe.
        CapabilityError: a recipe in 8-bit integers elsewhere than on a CPU, or where there is no
            C++ compiler.
    """
    recipe = recipe or SmolRecipe()
    for variant in variants:
        if variant not in ("smol", "smol-lora"):
            raise InputError(f"expected variants smol and smol-lora, got {variant!r}")
    place = device_of(device)
    if recipe.int8:
        require_cpu(place)
        require_compiler()
    begun = None if start is None else _fitting(start, recipe, parts)
    whole(held_out, "held_out", 1)
    check_seed(recipe.seed)
    for sample in samples:
        _captioned(sample)
    alone = not samples and (start is None or world_of(str(start)) is not None)
    # Whatever can be refused is refused before the work folder belongs to this training.
    model, processor = _assembled(parts, recipe)
    identity = asdict(recipe) | _hashes(parts) | {"images": len(samples)}
    claim(work, identity if start is None else identity | {"start": sha256(start / FILE)})
    bank = draw_bank(work, recipe.scenes, TRAIN_SEED, 12, report, _OPTIONS)
    unseen = draw_bank(work, held_out, HELD_OUT_SEED, 12, report)
    unseen_more = draw_bank(work, held_out, HELD_OUT_SEED, 12, report, _OPTIONS)
    tokenizer: PreTrainedTokenizerBase = processor.tokenizer  # type: ignore[attr-defined]
    torch.nn.Module.to(model, place)
    train, watch = _data(model, tokenizer, bank, unseen_more, samples, recipe, work, place, report)
    training = _AdapterTraining(model, recipe, tokenizer, train, watch, begun, work, report)
    adapter_stage = _best_rate(
        recipe,
        training.projector,
        training.begin,
        training.loss_at,
        training.held_out_losses,
        work,
        report,
    )

    def finish(variant: str, low_rank: dict[str, Tensor]) -> None:
        losses = training.held_out_losses()
        folder = out / variant
        training.weights(parts, low_rank).save(folder)
        first, more = _evaluated(folder, parts, tokenizer, unseen, unseen_more, place)
        facts: dict[str, Any] = asdict(first) | {
            "more_kinds": asdict(more),
            "losses": asdict(losses),
        }
        facts[WORLD] = SCENES if alone else ""
        write_bytes(folder / "scores.json", (json.dumps(facts, indent=2) + "\n").encode())
        card = smol_card(variant, recipe, adapter_stage, first, more, losses, start, alone=alone)
        write_bytes(folder / "README.md", card.encode())
        finished(variant, first, losses)

    projector = {"projector": training.projector}
    with in_int8(model.model.language_model) if recipe.int8 else nullcontext():
        training.run("adapter", adapter_stage, projector, _seconds(minutes))
    if "smol" in variants:
        finish("smol", {})
    if "smol-lora" in variants:
        added = attach(model.model.language_model, recipe.rank, recipe.alpha, recipe.seed)
        modules = projector | {"low_rank": added}
        training.run("lora", recipe.lora, modules, _seconds(lora_minutes))
        finish("smol-lora", dict(added.state_dict()))


class _AdapterTraining:
    """An assembled model, of which the projector is trained, and its data.

    Args:
        begun: the adapter to begin with; None for random weights.
    """

    def __init__(
        self,
        model: LlavaForConditionalGeneration,
        recipe: SmolRecipe,
        tokenizer: PreTrainedTokenizerBase,
        train: _TrainingData,
        watch: _TrainingData,
        begun: AdapterWeights | None,
        work: Path,
        report: Report,
    ) -> None:
        self._model, self._recipe, self._begun = model, recipe, begun
        self._train, self._watch, self._work, self._report = train, watch, work, report
        self.projector: nn.Module = model.model.multi_modal_projector
        self.begin()
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        self.projector.requires_grad_(True)
        self._frame = PromptFrame.of(tokenizer, recipe.eyes.locations)
        # Frozen, so it is cast once, not at every step; many CPUs are slow in bfloat16.
        self._mixed = model.device.type != "cpu"
        self._half = torch.bfloat16 if self._mixed else torch.float32
        model.model.language_model.to(self._half)
        model.lm_head.to(self._half)

    def begin(self) -> None:
        """Puts the projector back to its first weights."""
        if self._begun is None:
            initialise(self.projector, self._recipe.seed)
        else:
            self._begun.put_into(self._model)

    def loss_at(self, rng: np.random.Generator, size: int) -> Tensor:
        """The loss of a random batch of the training data."""
        chosen = rng.choice(len(self._train.rows.ids), size, replace=False)
        rows = torch.from_numpy(np.sort(chosen)).to(self._model.device)
        return self._loss_of(self._train, rows)

    @torch.no_grad()
    def held_out_losses(self) -> Losses:
        """The mean loss of held-out answers."""
        every = torch.arange(len(self._watch.rows.ids), device=self._model.device)
        blocks = every.split(32)
        own, other = (
            float(torch.stack([self._loss_of(self._watch, rows, shift) for rows in blocks]).mean())
            for shift in (0, 1)
        )
        return Losses(own, other)

    def run(
        self, name: str, stage: Stage, modules: dict[str, nn.Module], seconds: float | None
    ) -> None:
        """One stage of the optimisation; see `optimise`."""
        optimise(
            name,
            stage,
            modules,
            lambda rng: self.loss_at(rng, stage.batch),
            seed=self._recipe.seed,
            work=self._work,
            report=self._report,
            seconds=seconds,
        )

    def weights(self, parts: Parts, low_rank: dict[str, Tensor]) -> AdapterWeights:
        """The adapter as it is now."""
        tower: Any = self._model.model.vision_tower
        recipe = self._recipe
        return AdapterWeights(
            projector=self.projector.state_dict(),
            mean=tower.mean,
            std=tower.std,
            vision=_vision_options(recipe),
            parts=_hashes(parts),
            low_rank=low_rank,
            scale=recipe.alpha / recipe.rank if low_rank else 0.0,
        )

    def _loss_of(self, data: _TrainingData, rows: Tensor, shift: int = 0) -> Tensor:
        model, frame = self._model, self._frame
        batch = data.rows.batch(rows)
        scenes = rows // data.rows.packings
        visual = self.projector(data.visual((scenes + shift) % len(data.features)))
        embedded = model.get_input_embeddings()(batch.ids).float()
        embedded[:, len(frame.prefix) : frame.length] = visual
        return answer_loss(model, embedded.to(self._half), batch, mixed=self._mixed).answers


def _evaluated(
    folder: Path,
    parts: Parts,
    tokenizer: PreTrainedTokenizerBase,
    unseen: Bank,
    unseen_more: Bank,
    device: torch.device,
) -> tuple[Scores, Scores]:
    """Scores of the adapter as it was written: rounded to float16, merged, computed in float32."""
    from ...pocket.smol.opened import build

    with warnings.catch_warnings():
        # Whoever trains on other weights of the language model has just chosen them.
        warnings.simplefilter("ignore")
        fresh, _ = build(folder, language=parts.language, vision=parts.vision, device=device)
    size = 40 if device.type == "cpu" else 200
    first = evaluate_smol(fresh, tokenizer, unseen, size)
    return first, evaluate_smol(fresh, tokenizer, unseen_more, size)


_OPTIONS = SceneOptions(more_kinds=True)


def _seconds(minutes: float | None) -> float | None:
    return None if minutes is None else 60 * minutes


def _hashes(parts: Parts) -> dict[str, str]:
    """SHA-256 of each part's file; empty for a language model in a folder."""
    language = sha256(parts.language) if parts.language.is_file() else ""
    return {"language": language, "vision": sha256(parts.vision)}


def _vision_options(recipe: SmolRecipe) -> dict[str, Any]:
    return asdict(recipe.eyes) | {"stages": list(recipe.eyes.stages)}


def _assembled(
    parts: Parts, recipe: SmolRecipe
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    language, tokenizer = open_language(parts.language)
    vision = LiteConfig(**_vision_options(recipe))
    return assemble(language, tokenizer, vision_state(parts.vision), vision, seed=recipe.seed)


def _data(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    bank: Bank,
    unseen: Bank,
    samples: Sequence[Sample],
    recipe: SmolRecipe,
    work: Path,
    device: torch.device,
    report: Report,
) -> tuple[_TrainingData, _TrainingData]:
    """Training and watched data; the tower's constants are set from the first."""
    tower: Any = model.model.vision_tower
    assert isinstance(tower, LiteTower)
    frame = PromptFrame.of(tokenizer, recipe.eyes.locations)

    def made(name: str, images: Any, texts: Sequence[SceneTexts], packings: int) -> _TrainingData:
        features = cache_features(tower, images, work / f"features-{name}.npy", report)
        if name == "scenes":
            standardise(tower, features)
        rows = build_rows(
            work,
            name,
            texts,
            tokenizer,
            frame,
            text_tokens=recipe.text_tokens,
            packings=packings,
            seed=recipe.seed,
            report=report,
        )
        return _TrainingData(features, rows.to(device), tower)

    train = made("scenes", bank.images, bank.texts, recipe.packings)
    if samples:
        texts = [_captioned(sample) for sample in samples]
        squares = [square(sample.image, recipe.eyes.image_size) for sample in samples]
        train = _joined(train, made("images", squares, texts, recipe.packings))
    n = min(_WATCH, len(unseen))
    return train, made("watched", unseen.images[:n], unseen.texts[:n], 1)


def _captioned(sample: Sample) -> SceneTexts:
    if not sample.captions:
        raise InputError(f"expected a caption of every image, got none of {sample.id}: add one")
    return SceneTexts(sample.captions[0], sample.questions)


def _joined(first: _TrainingData, second: _TrainingData) -> _TrainingData:
    """One after the other, in memory."""
    features = torch.cat([_tensor(first.features), _tensor(second.features)])
    return _TrainingData(features, first.rows.joined(second.rows), first.tower)


def _tensor(features: np.ndarray | Tensor) -> Tensor:
    return features if isinstance(features, Tensor) else torch.from_numpy(np.array(features))


def _best_rate(
    recipe: SmolRecipe,
    projector: nn.Module,
    begin: Callable[[], None],
    loss_at: Callable[[np.random.Generator, int], Tensor],
    losses: Callable[[], Losses],
    work: Path,
    report: Report,
) -> Stage:
    """The adapter's stage with the learning rate that does best in a short trial."""
    stage = recipe.adapter
    if len(recipe.rates) == 1:
        return replace(stage, lr=recipe.rates[0])
    file = work / "rates.json"
    if not file.exists():
        found: dict[str, float] = {}
        for rate in recipe.rates:
            begin()
            trial = replace(stage.lasting(recipe.trial_steps), lr=rate)
            name = f"trial-{rate:g}"
            optimise(
                name,
                trial,
                {"projector": projector},
                lambda rng: loss_at(rng, stage.batch),
                seed=recipe.seed,
                work=work,
                report=report,
            )
            found[f"{rate:g}"] = losses().own
        write_bytes(file, json.dumps(found, indent=2).encode())
        begin()
    tried = json.loads(file.read_text(encoding="utf-8"))
    return replace(stage, lr=float(min(tried, key=tried.__getitem__)))


def _fitting(start: Path, recipe: SmolRecipe, parts: Parts) -> AdapterWeights:
    """The adapter to begin with, if training can go on from it."""
    adapter = read_adapter(start)
    if adapter.low_rank:
        raise InputError(
            f"expected an adapter of a frozen language model to begin with, got {start} with "
            "low-rank updates: begin with the smol that it came from"
        )
    mine = (_vision_options(recipe), _hashes(parts))
    if (adapter.vision, adapter.parts) != mine:
        raise InputError(
            f"expected an adapter of the same parts and features to begin with, got {start} of "
            "others: leave --start out, or name the parts that it was trained for"
        )
    return adapter
