"""Which first stage presses detail into the queries? The mechanism of X-Former, before its arms.

Each setting trains reconstruction alone for a few minutes and asks `reconstruction_gap` of held-out
scenes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from ...encoders import checksum_of
from ...interfaces import (
    WEIGHTS,
    NormPlace,
    Towers,
    TowerShape,
    XFormer,
    open_towers,
    to_pixels,
)
from ...stats import paired_difference
from ...store import write_bytes
from ..pocket import Report, Stage, claim, optimise
from ..pocket._bank import Bank, draw_bank
from ._reconstruction import Reconstruction, Weighting, masked_scenes, reconstruction_gap
from ._seen import SeenBank, cache_seen
from ._stages import InterfaceRecipe, place_towers
from ._world import OPTIONS, TRAIN_SEED, TRIAL_SEED

MECHANISM = "mechanism.parquet"
TRIAL_STAGE = Stage(steps=160, batch=32, lr=1e-3, warmup=20)


@dataclass(frozen=True)
class ReconstructionTrial:
    """One setting of the trial; `XFormer` and `Reconstruction` say what they mean."""

    hidden: float = 0.75
    residual: bool = True
    norm: NormPlace = "pre"
    weighting: Weighting = "all"

    @property
    def name(self) -> str:
        """For files."""
        return "-".join(map(str, asdict(self).values()))


RECONSTRUCTION_TRIALS: tuple[ReconstructionTrial, ...] = (
    ReconstructionTrial(),
    ReconstructionTrial(hidden=0.5),
    ReconstructionTrial(hidden=0.9),
    ReconstructionTrial(residual=False),
    ReconstructionTrial(norm="post"),
    ReconstructionTrial(weighting="contrastive"),
    ReconstructionTrial(weighting="mae"),
)
"""One change at a time."""


def try_reconstruction(
    towers: Towers,
    trial: ReconstructionTrial,
    seen: SeenBank,
    bank: Bank,
    held_out: tuple[SeenBank, Bank],
    *,
    stage: Stage = TRIAL_STAGE,
    seed: int = 0,
    work: Path,
    report: Report,
) -> pl.DataFrame:
    """Trains an X-Former to reconstruct, and nothing else; a later call resumes from `work`.

    Args:
        towers: trained.
        trial: the setting.
        seen: what the contrastive tower saw in the scenes of `bank`.
        bank: scenes to train on.
        held_out: the same of scenes to judge on.
        stage: length of the training.
        seed: of weights and batches.
        work: folder for the checkpoint.
        report: called with the progress.

    Returns:
        The rows of `reconstruction_gap`, with the setting as columns and its `seed`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        interface = _x_former(towers, trial)
        reconstruction = Reconstruction(towers.shape.width, trial.hidden, trial.weighting)
    reconstruction.take(interface, towers)
    interface.train()
    generator = torch.Generator()

    def loss_at(rng: np.random.Generator) -> Tensor:
        rows = np.sort(rng.choice(len(seen), min(stage.batch, len(seen)), replace=False))
        generator.manual_seed(int(rng.integers(2**62)))
        pixels = to_pixels(bank.images[rows])
        scenes = masked_scenes(interface, seen.rows(rows), pixels, trial.hidden, generator)
        return reconstruction.loss(interface, scenes)

    work.mkdir(parents=True, exist_ok=True)
    modules: dict[str, nn.Module] = {"interface": interface, "reconstruction": reconstruction}
    name = f"reconstruction-{trial.name}-{seed}"
    optimise(
        name,
        stage,
        modules,
        loss_at,
        seed=seed,
        work=work,
        report=report,
        batches="reconstruction",
    )
    rows = reconstruction_gap(interface, reconstruction, *held_out)
    setting = {name: pl.lit(value) for name, value in asdict(trial).items()}
    return rows.with_columns(**setting, seed=pl.lit(seed))


def _x_former(towers: Towers, trial: ReconstructionTrial) -> XFormer:
    tower = {size.name: getattr(towers.shape, size.name) for size in fields(TowerShape)}
    made = XFormer(towers.shape.width, tower, residual=trial.residual, norm=trial.norm)
    place_towers(made, towers)
    for name in made.frozen:
        made.get_submodule(name).requires_grad_(False)
    return made


def try_mechanism(
    work: Path,
    out: Path,
    *,
    seeds: Sequence[int] = (0,),
    recipe: InterfaceRecipe | None = None,
    towers: Path | None = None,
    trials: Sequence[ReconstructionTrial] = RECONSTRUCTION_TRIALS,
    stage: Stage = TRIAL_STAGE,
    report: Report,
) -> pl.DataFrame:
    """Tries every setting with every seed; a later call resumes from `work`.

    Args:
        work: folder for scenes, what the towers saw, and checkpoints; that of the arms will do.
        out: folder for `mechanism.parquet`, the rows of all settings.
        seeds: of weights and batches.
        recipe: gives the numbers of scenes; that of the packaged interfaces by default.
        towers: folder of the trained towers; the packaged ones if None.
        trials: settings.
        stage: length of each training.
        report: called with the progress.

    Returns:
        The table of `gap_table`.

    Raises:
        InputError: towers that are missing, or `work` belongs to another recipe.
    """
    recipe = recipe or InterfaceRecipe()
    shared = open_towers(towers or WEIGHTS)
    told = {
        "recipe": asdict(recipe),
        "stage": asdict(stage),
        "towers": checksum_of(shared.modules.values()),
    }
    claim(work / "mechanism", told)
    looking = _x_former(shared, ReconstructionTrial())
    patch, sizes = shared.shape.patch, {TRAIN_SEED: recipe.scenes, TRIAL_SEED: recipe.held_out}
    banks = {seed: draw_bank(work, n, seed, patch, report, OPTIONS) for seed, n in sizes.items()}
    seen = {seed: cache_seen(looking, bank, work / "seen", report) for seed, bank in banks.items()}
    rows = pl.concat(
        try_reconstruction(
            shared,
            trial,
            seen[TRAIN_SEED],
            banks[TRAIN_SEED],
            (seen[TRIAL_SEED], banks[TRIAL_SEED]),
            stage=stage,
            seed=seed,
            work=work / "mechanism",
            report=report,
        )
        for seed in seeds
        for trial in trials
    )
    file = io.BytesIO()
    rows.write_parquet(file, compression="zstd")
    out.mkdir(parents=True, exist_ok=True)
    write_bytes(out / MECHANISM, file.getvalue())
    return gap_table(rows)


def gap_table(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of `try_reconstruction` by setting: mean errors, and paired differences over scenes.

    Returns:
        "own", "other" and "alone", and for "other - own" and "alone - own" the mean difference with
        the ends of its 95% interval. Scenes with several seeds are averaged over these first.
    """
    setting = [field.name for field in fields(ReconstructionTrial)]
    errors = ["own", "other", "alone"]
    scenes = rows.group_by(*setting, "scene", maintain_order=True).agg(pl.mean(*errors))
    table = []
    for values, part in scenes.group_by(*setting, maintain_order=True):
        row = dict(zip(setting, values, strict=True)) | {e: part[e].mean() for e in errors}
        for control in ("other", "alone"):
            gap = paired_difference(part[control].to_numpy(), part["own"].to_numpy())
            name = f"{control} - own"
            row |= {name: gap.value, f"{name} low": gap.low, f"{name} high": gap.high}
        table.append(row)
    return pl.DataFrame(table)
