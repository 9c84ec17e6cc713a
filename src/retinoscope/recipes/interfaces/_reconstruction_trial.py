"""Which first stage presses detail into the queries? The mechanism of X-Former, before its arms.

Each setting trains reconstruction alone for a few minutes and asks `reconstruction_gap` of held-out
scenes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from ...interfaces import NormPlace, Towers, TowerShape, XFormer, to_pixels
from ...stats import paired_difference
from ..pocket import Report, Stage, optimise
from ..pocket._bank import Bank
from ._reconstruction import Reconstruction, Weighting, masked_scenes, reconstruction_gap
from ._seen import SeenBank
from ._stages import place_towers

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
        tower = {size.name: getattr(towers.shape, size.name) for size in fields(TowerShape)}
        interface = XFormer(towers.shape.width, tower, residual=trial.residual, norm=trial.norm)
        reconstruction = Reconstruction(towers.shape.width, trial.hidden, trial.weighting)
    place_towers(interface, towers)
    for name in interface.frozen:
        interface.get_submodule(name).requires_grad_(False)
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
    optimise(name, stage, modules, loss_at, seed=seed, work=work, report=report)
    rows = reconstruction_gap(interface, reconstruction, *held_out)
    setting = {name: pl.lit(value) for name, value in asdict(trial).items()}
    return rows.with_columns(**setting, seed=pl.lit(seed))


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
