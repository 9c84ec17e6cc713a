"""The reader and what it is compared with: one start for all, then as many steps for each arm."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ...arguments import seed as check_seed
from ...data.words import BoardOptions, Occlusion
from ...errors import InputError
from ...interfaces import (
    ReaderShape,
    WordReader,
    round_as_stored,
    to_pixels,
    write_reader,
)
from ...signals import stopped_by_signals
from ...store import write_bytes
from ..pocket import Report, Stage, claim, optimise
from ._boards import HELD_OUT_SEED, SIGNS, TRAIN_SEED, Boards, Part, draw_boards
from ._judge import CONDITIONS, judge_reader
from ._mask import MaskedReading, attention_mask, strips, word_loss
from ._speller import Speller

Made = TypeVar("Made", bound=nn.Module)
Finished = Callable[[str, int, Mapping[str, float]], None]

_TRAINING: dict[Occlusion, float] = {"none": 0.5, "weak": 0.2, "heavy": 0.2, "full": 0.1}
"""Share of the drawn training boards by what lies on one letter, the same for all arms."""
_STRINGS, _SIGNS = 0.1, 0.1

_BASE = Stage(steps=2000, batch=40, lr=1e-3)
_LEARN = Stage(steps=600, batch=40, lr=1e-3)
_BRANCH = Stage(steps=1000, batch=40, lr=5e-4)

READING_ARMS: dict[str, str] = {
    "vision": "the reader alone, with as many further steps",
    "visionlan": "half of the batch without a letter, which a learned mask hides",
    "attention": "the same, hidden where the reader's own slot of the letter looks",
    "strips": "the same, a strip as wide as a letter anywhere",
    "two-step": "vision, and behind it a language model of letters with steps of its own",
}
"""Name -> what is trained after the start that all share."""


@dataclass(frozen=True)
class ReaderRecipe:
    """Sizes and budget of all arms.

    Attributes:
        shape: of the reader.
        base: the start, on whole images.
        learn: the masked paths alone, before they train the reader; for a learned mask only.
        branch: what each arm adds.
        boards, held_out: numbers of boards to train on, and of each condition to judge on.
    """

    shape: ReaderShape = field(default_factory=ReaderShape)
    base: Stage = _BASE
    learn: Stage = _LEARN
    branch: Stage = _BRANCH
    boards: int = 20_000
    held_out: int = 600

    def scaled(self, factor: float) -> ReaderRecipe:
        """Returns the recipe with every stage, and the boards, `factor` times as long."""
        stages = {name: getattr(self, name).scaled(factor) for name in ("base", "learn", "branch")}
        numbers = {
            "boards": max(80, round(self.boards * factor)),
            "held_out": max(16, round(self.held_out * factor)),
        }
        return replace(self, **stages, **numbers)


@stopped_by_signals()
def train_readers(
    work: Path,
    out: Path,
    *,
    arms: Sequence[str] = tuple(READING_ARMS),
    seeds: Sequence[int] = (0,),
    recipe: ReaderRecipe | None = None,
    report: Report,
    finished: Finished,
) -> None:
    """Trains readers with every seed, and has each read the same held-out boards.

    Args:
        work: folder for boards and checkpoints; a later call resumes from it.
        out: folder for the results: `NAME-SEED.parquet` has a row for each board and condition,
            `NAME-SEED.json` the recipe and the scores, `NAME-SEED.safetensors` the reader (see
            `interfaces.open_reader`), without a language model behind it. An arm whose results are
            already there is not trained again.
        arms: from `READING_ARMS`.
        seeds: of weights and batches.
        recipe: sizes and budget; those of the packaged reader by default.
        report: called with the progress of every stage.
        finished: called with name, seed and scores of each arm.

    Raises:
        InputError: an unknown arm, or a folder of another recipe.
    """
    recipe = recipe or ReaderRecipe()
    if unknown := [name for name in arms if name not in READING_ARMS]:
        raise InputError(f"expected arms of {', '.join(READING_ARMS)}, got {unknown[0]!r}")
    for seed in seeds:
        check_seed(seed)
    claim(work, asdict(recipe))
    claim(out, asdict(recipe))
    waiting = [(a, s) for s in seeds for a in arms if not (out / f"{a}-{s}.json").is_file()]
    if not waiting:
        return
    parts: list[Part] = [
        (round(recipe.boards * (1 - _SIGNS) * share), BoardOptions(occlusion, _STRINGS))
        for occlusion, share in _TRAINING.items()
    ]
    parts.append((round(recipe.boards * _SIGNS), SIGNS))
    boards = draw_boards(work, parts, TRAIN_SEED, report)
    unseen = {
        name: draw_boards(work, [(recipe.held_out, options)], HELD_OUT_SEED, report)
        for name, options in CONDITIONS.items()
    }
    for name, seed in waiting:
        began = time.process_time()
        training = _ReaderTraining(recipe, boards, seed, work, report)
        reader, speller, masked = training.arm(name)
        round_as_stored(reader)
        rows, scores = judge_reader(reader, unseen, speller=speller, masked=masked)
        file = io.BytesIO()
        rows.write_parquet(file, compression="zstd")
        write_bytes(out / f"{name}-{seed}.parquet", file.getvalue())
        facts = {
            "arm": name,
            "seed": seed,
            "seconds": round(time.process_time() - began),
            "size": sum(weight.numel() for weight in reader.parameters()),
            "recipe": asdict(recipe),
            "scores": scores,
        }
        write_reader(out / f"{name}-{seed}.safetensors", reader, facts)
        write_bytes(out / f"{name}-{seed}.json", (json.dumps(facts, indent=1) + "\n").encode())
        finished(name, seed, scores)


class _ReaderTraining:
    """One seed; each stage resumes from its checkpoint in `work`."""

    def __init__(
        self, recipe: ReaderRecipe, boards: Boards, seed: int, work: Path, report: Report
    ) -> None:
        self._recipe, self._boards, self._seed = recipe, boards, seed
        self._work, self._report = work, report
        self._ids = recipe.shape.ids(boards.words)
        self._lengths = torch.tensor([len(word) for word in boards.words])

    def arm(self, name: str) -> tuple[WordReader, Speller | None, MaskedReading | None]:
        """Trains an arm; also returns its language model, and its mask, if it has them."""
        reader = self._base()
        if name == "visionlan":
            masked = self._made(MaskedReading)
            self._learn(reader, masked)
            self._branch(name, reader, masked)
            return reader.eval(), None, masked.eval()
        if name == "two-step":
            self._branch("vision", reader)
            speller = self._made(Speller)
            self._spell(reader.eval(), speller)
            return reader, speller.eval(), None
        self._branch(name, reader)
        return reader.eval(), None, None

    def _made(self, kind: Callable[[ReaderShape], Made]) -> Made:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            return kind(self._recipe.shape)

    def _base(self) -> WordReader:
        reader = self._made(WordReader)

        def loss(rows: Tensor, generator: torch.Generator) -> Tensor:
            return word_loss(reader(self._pixels(rows)).logits, self._ids[rows])

        self._optimise("base", self._recipe.base, {"reader": reader.train()}, loss)
        return reader

    def _learn(self, reader: WordReader, masked: MaskedReading) -> None:
        """The masked paths learn on a reader that stays as it is."""
        reader.eval()

        def loss(rows: Tensor, generator: torch.Generator) -> Tensor:
            with torch.no_grad():
                columns = reader.see(self._pixels(rows))
            letter = self._letters(rows, generator)
            mask = masked.mask(columns, letter)
            losses = masked.losses(columns, mask, self._ids[rows], letter)
            return 0.5 * (losses["left"] + losses["hidden"])

        self._optimise("learn", self._recipe.learn, {"masked": masked.train()}, loss)

    def _branch(self, name: str, reader: WordReader, masked: MaskedReading | None = None) -> None:
        """The reader's further steps; all arms but "vision" hide a letter in half of the batch."""
        modules: dict[str, nn.Module] = {"reader": reader.train()}
        if masked is not None:
            modules["masked"] = masked.train()

        def loss(rows: Tensor, generator: torch.Generator) -> Tensor:
            columns, words = reader.see(self._pixels(rows)), self._ids[rows]
            letter = self._letters(rows, generator)
            if name == "vision":
                return word_loss(reader.reading(columns).logits, words)
            mask = self._mask(name, reader, masked, columns, letter, generator)
            half = len(rows) // 2
            shown = torch.cat([1 - mask[:half], torch.ones_like(mask[half:])])
            read = word_loss(reader.reading(columns * shown[..., None]).logits, words)
            if masked is None:
                return read
            losses = masked.losses(columns, mask, words, letter)
            return read + 0.5 * (losses["left"] + losses["hidden"])

        self._optimise(f"branch-{name}", self._recipe.branch, modules, loss)

    def _mask(
        self,
        name: str,
        reader: WordReader,
        masked: MaskedReading | None,
        columns: Float[Tensor, "batch position d"],
        letter: Int[Tensor, " batch"],
        generator: torch.Generator,
    ) -> Float[Tensor, "batch position"]:
        if masked is not None:
            return masked.mask(columns, letter)
        with torch.no_grad():
            own = attention_mask(reader.reading(columns), letter)
        if name == "attention":
            return own
        return strips(columns.shape[1], own.sum(1).long(), generator)

    def _spell(self, reader: WordReader, speller: Speller) -> None:
        def loss(rows: Tensor, generator: torch.Generator) -> Tensor:
            with torch.no_grad():
                reading = reader(self._pixels(rows))
            words = self._ids[rows]
            spelled = speller.head(speller.guesses(reading.logits.softmax(-1)))
            return word_loss(speller(reading), words) + word_loss(spelled, words)

        self._optimise("speller", self._recipe.branch, {"speller": speller.train()}, loss)

    def _pixels(self, rows: Tensor) -> Float[Tensor, "batch 3 height width"]:
        return to_pixels(self._boards.images[rows.numpy()])

    def _letters(self, rows: Tensor, generator: torch.Generator) -> Int[Tensor, " batch"]:
        """A random letter of each word."""
        draws = torch.rand(len(rows), generator=generator)
        return (draws * self._lengths[rows]).long()

    def _optimise(
        self,
        name: str,
        stage: Stage,
        modules: dict[str, nn.Module],
        loss: Callable[[Tensor, torch.Generator], Tensor],
    ) -> None:
        n, generator = len(self._boards), torch.Generator()

        def loss_at(rng: np.random.Generator) -> Tensor:
            rows = rng.choice(n, min(stage.batch, n), replace=False)
            generator.manual_seed(int(rng.integers(2**62)))
            # Dropout is drawn from the global generator: the same after an interruption.
            torch.manual_seed(int(rng.integers(2**62)))
            return loss(torch.from_numpy(rows), generator)

        with torch.random.fork_rng(devices=[]):
            optimise(
                f"{name}-{self._seed}",
                stage,
                modules,
                loss_at,
                seed=self._seed,
                work=self._work,
                report=self._report,
                batches=name.partition("-")[0],
            )
