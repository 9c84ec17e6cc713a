"""The comparison: every arm with every seed, judged on the same held-out scenes."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path

import polars as pl
from transformers import LlamaForCausalLM

from ...arguments import seed as check_seed
from ...data.scenes import SceneOptions
from ...encoders import checksum_of
from ...errors import InputError
from ...interfaces import (
    WEIGHTS,
    VisualInterface,
    assemble,
    open_decoder,
    open_towers,
    read_trained,
)
from ...signals import stopped_by_signals
from ...store import files_of_folder, write_bytes
from ..pocket import Report, claim
from ..pocket._bank import Bank, draw_bank
from ._arm import Ground
from ._arms import ARMS
from ._judge import Judgement, judge
from ._measures import MeasuredArm, Measurement, measurements
from ._stages import InterfaceRecipe, first_stage, look, train_arm, untrained
from ._world import HELD_OUT_SEED, TRAIN_SEED, object_sizes

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
            `NAME-SEED.parquet` has an answer per row, `NAME-SEED-TABLE.parquet` what was measured
            beside them, `NAME-SEED.json` the recipe and the scores, `NAME-SEED.safetensors` the
            weights (see `interfaces.TrainedInterface`), and the folder `NAME` the model of the
            first seed that was trained, for `rs.load`.
        arms: from `ARMS`.
        seeds: of weights and batches.
        recipe: budget; that of the packaged interfaces by default.
        towers, decoder: folders of the parts that all interfaces share; the packaged ones if None.
        report: called with the progress of every stage.
        finished: called with name, seed and scores of each arm.

    Raises:
        InputError: an unknown arm, parts that are missing, or a folder of another recipe, other
            towers or another language model.
    """
    recipe = recipe or InterfaceRecipe()
    unknown = [name for name in arms if name not in ARMS]
    if unknown:
        raise InputError(f"expected arms of {', '.join(ARMS)}, got {unknown[0]!r}")
    for seed in seeds:
        check_seed(seed)
    seeing = open_towers(towers or WEIGHTS)
    speaking = open_decoder(decoder or WEIGHTS / "decoder")
    told = {"recipe": asdict(recipe), "towers": checksum_of(seeing.modules.values())}
    told["decoder"] = checksum_of([speaking])
    claim(work, told)
    claim(out, told)
    waiting = [(name, seed) for seed in seeds for name in arms if _missing(out, name, seed)]
    if not waiting:
        return
    patch = seeing.shape.patch

    @cache
    def training_on(scenes: SceneOptions) -> _ArmTraining:
        bank = draw_bank(work, recipe.scenes, TRAIN_SEED, patch, report, scenes)
        unseen = draw_bank(work, recipe.held_out, HELD_OUT_SEED, patch, report, scenes)
        return _ArmTraining(Ground(seeing, speaking, bank, work, report), unseen, recipe, out)

    for name, seed in waiting:
        training = training_on(ARMS[name].scenes)
        if not _file(out, name, seed, "json").is_file():
            finished(name, seed, training.train(name, seed))
        training.measure(name, seed)


@dataclass(frozen=True, eq=False)
class _ArmTraining:
    """Trains, judges and measures single arms."""

    ground: Ground
    unseen: Bank
    recipe: InterfaceRecipe
    out: Path

    def train(self, name: str, seed: int) -> Mapping[str, float]:
        """Trains an arm, writes what it became and returns its scores."""
        began = time.process_time()
        trained, interface, reader = train_arm(name, ARMS[name], self.ground, self.recipe, seed)
        seconds = round(time.process_time() - began)
        scenes = ARMS[name].scenes
        sizes = object_sizes(self.recipe.held_out, options=scenes)
        seen = look(ARMS[name], interface, self.unseen, self.ground)
        judgement = judge(interface, reader, seen, self.unseen, sizes, options=scenes)
        scores = judgement.scores()
        facts = {**trained.facts, "seconds": seconds, "scores": scores}
        replace(trained, facts=facts).write(_file(self.out, name, seed, "safetensors"))
        _write_table(_small_rows(judgement), _file(self.out, name, seed, "parquet"))
        if ARMS[name].given is None and not (self.out / name).exists():
            model, processor = assemble(interface, reader)
            with files_of_folder(self.out / name) as folder:
                model.save_pretrained(folder)
                processor.save_pretrained(folder)
        told = (json.dumps(facts, indent=1) + "\n").encode()
        write_bytes(_file(self.out, name, seed, "json"), told)
        return scores

    def measure(self, name: str, seed: int) -> None:
        """Writes the tables of an arm that are not there yet."""
        missing = _unmeasured(self.out, name, seed)
        if not missing:
            return
        answers = pl.read_parquet(_file(self.out, name, seed, "parquet"))
        interface = untrained(ARMS[name], self.ground, seed)
        arm = MeasuredArm(
            partial(first_stage, name, ARMS[name], self.ground, self.recipe.first, seed),
            partial(self._trained, name, seed),
            look(ARMS[name], interface, self.ground.bank, self.ground),
            look(ARMS[name], interface, self.unseen, self.ground),
            self.unseen,
            answers,
        )
        for number, (table, measurement) in enumerate(missing.items(), 1):
            self.ground.report(f"{table}-{name}-{seed}", number, len(missing), math.nan)
            _write_table(measurement(arm), _file(self.out, name, seed, "parquet", table))

    def _trained(self, name: str, seed: int) -> tuple[VisualInterface, LlamaForCausalLM]:
        """The interface and the language model that were written."""
        ground, stored = self.ground, read_trained(_file(self.out, name, seed, "safetensors"))
        interface = stored.interface(ground.towers, ground.decoder.config.hidden_size)
        return interface, stored.decoder(ground.decoder)


def _missing(out: Path, name: str, seed: int) -> bool:
    return not _file(out, name, seed, "json").is_file() or bool(_unmeasured(out, name, seed))


def _unmeasured(out: Path, name: str, seed: int) -> Mapping[str, Measurement]:
    return {
        table: measurement
        for table, measurement in measurements(name).items()
        if not _file(out, name, seed, "parquet", table).is_file()
    }


def _file(out: Path, name: str, seed: int, suffix: str, table: str | None = None) -> Path:
    return out / f"{name}-{seed}{f'-{table}' if table else ''}.{suffix}"


def _write_table(rows: pl.DataFrame, path: Path) -> None:
    file = io.BytesIO()
    rows.write_parquet(file, compression="zstd")
    write_bytes(path, file.getvalue())


def _small_rows(judgement: Judgement) -> pl.DataFrame:
    """What the tables need of the answers: of texts, only the questions whether a kind is there."""
    return judgement.rows.select(
        "scene",
        "kind",
        pl.when(pl.col("kind").str.starts_with("polling")).then("question").otherwise(None),
        "expected",
        pl.when(pl.col("kind").str.starts_with("caption"))
        .then(None)
        .otherwise("said")
        .alias("said"),
        "right",
        "radius",
    )
