"""The comparison: every arm with every seed, judged on the same held-out scenes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import polars as pl

from ...arguments import seed as check_seed
from ...errors import InputError
from ...interfaces import (
    WEIGHTS,
    assemble,
    open_decoder,
    open_towers,
)
from ...signals import stopped_by_signals
from ...store import files_of_folder, write_bytes
from ..pocket import Report, claim
from ..pocket._bank import draw_bank
from ._arms import ARMS
from ._judge import Judgement, judge
from ._seen import cache_seen
from ._stages import Ground, InterfaceRecipe, train_arm
from ._world import HELD_OUT_SEED, OPTIONS, TRAIN_SEED, object_sizes

Finished = Callable[[str, int, Mapping[str, float]], None]


@stopped_by_signals()
def train_interfaces(
    work: Path,
    out: Path,
    *,
    arms: Sequence[str],
    seeds: Sequence[int] = (0,),
    recipe: InterfaceRecipe | None = None,
    towers: Path | None = None,
    decoder: Path | None = None,
    report: Report,
    finished: Finished,
) -> None:
    """Trains arms with every seed, and asks each about the same held-out scenes.

    Args:
        work: folder for scenes, what the towers saw, and checkpoints; a later call resumes from it.
        out: folder for the results. An arm whose results are already there is not trained again.
            `NAME-SEED.parquet` has an answer per row, `NAME-SEED.json` the recipe and the scores,
            `NAME-SEED.safetensors` the weights (see `interfaces.TrainedInterface`), and the folder
            `NAME` the model of the first seed for `rs.load`.
        arms: from `ARMS`.
        seeds: of weights and batches.
        recipe: budget; that of the packaged interfaces by default.
        towers, decoder: folders of the parts that all interfaces share; the packaged ones if None.
        report: called with the progress of every stage.
        finished: called with name, seed and scores of each arm.

    Raises:
        InputError: an unknown arm, parts that are missing, or a folder of another recipe.
    """
    recipe = recipe or InterfaceRecipe()
    unknown = [name for name in arms if name not in ARMS]
    if unknown:
        raise InputError(f"expected arms of {', '.join(ARMS)}, got {unknown[0]!r}")
    for seed in seeds:
        check_seed(seed)
    seeing = open_towers(towers or WEIGHTS)
    speaking = open_decoder(decoder or WEIGHTS / "decoder")
    claim(work, asdict(recipe))
    claim(out, asdict(recipe))
    waiting = [(name, seed) for seed in seeds for name in arms if not _done(out, name, seed)]
    if not waiting:
        return
    patch = seeing.shape.patch
    bank = draw_bank(work, recipe.scenes, TRAIN_SEED, patch, report, OPTIONS)
    unseen = draw_bank(work, recipe.held_out, HELD_OUT_SEED, patch, report, OPTIONS)
    sizes = object_sizes(recipe.held_out)
    ground = Ground(seeing, speaking, bank, work, report)
    for name, seed in waiting:
        began = time.monotonic()
        trained, interface, reader = train_arm(name, ARMS[name], ground, recipe, seed)
        seconds = round(time.monotonic() - began)
        judgement = judge(
            interface, reader, cache_seen(interface, unseen, work / "seen", report), unseen, sizes
        )
        scores = judgement.scores()
        facts = {**trained.facts, "seconds": seconds, "scores": scores}
        trained.write(out / f"{name}-{seed}.safetensors")
        _small_rows(judgement).write_parquet(out / f"{name}-{seed}.parquet", compression="zstd")
        if seed == seeds[0]:
            model, processor = assemble(interface, reader)
            with files_of_folder(out / name) as folder:
                model.save_pretrained(folder)
                processor.save_pretrained(folder)
        write_bytes(out / f"{name}-{seed}.json", (json.dumps(facts, indent=1) + "\n").encode())
        finished(name, seed, scores)


def _done(out: Path, name: str, seed: int) -> bool:
    return (out / f"{name}-{seed}.json").is_file()


def _small_rows(judgement: Judgement) -> pl.DataFrame:
    """What the tables need of the answers: a caption's text and the questions are left out."""
    return judgement.rows.select(
        "scene",
        "kind",
        "expected",
        pl.when(pl.col("kind").str.starts_with("caption"))
        .then(None)
        .otherwise("said")
        .alias("said"),
        "right",
        "radius",
    )
