"""The two stages of one arm: captions first, then the language model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from ...encoders.captions import caption_ids
from ...interfaces import (
    Lavit,
    Towers,
    TowerShape,
    TrainedInterface,
    VisualInterface,
    build_interface,
    interface_tokenizer,
    require_room,
    shared_part,
)
from ..pocket import Stage, optimise
from ..pocket._bank import Bank
from ._arm import SCENES, Arm, FirstStage, Ground, SceneBatch, shorter_with
from ._matching import Captions, total
from ._read import ReadingRecipe, train_reading
from ._seen import SeenBank, cache_seen
from ._speaking import train_speaking

_CAPTION_WORDS = 40
_FIRST = Stage(steps=300, batch=32, lr=1e-3, warmup=50)


@dataclass(frozen=True)
class InterfaceRecipe:
    """Budget of every arm.

    Attributes:
        first: the stage on captions alone.
        reading: the stages in front of the language model.
        scenes: number of training scenes.
        held_out: number of scenes that judge the result.
    """

    first: Stage = _FIRST
    reading: ReadingRecipe = field(default_factory=ReadingRecipe)
    scenes: int = SCENES
    held_out: int = 600

    def scaled(self, factor: float) -> InterfaceRecipe:
        """Returns the recipe with every stage, and the scenes, `factor` times as long."""
        return replace(
            self,
            first=self.first.scaled(factor),
            reading=self.reading.scaled(factor),
            scenes=max(64, round(self.scenes * factor)),
            held_out=max(16, round(self.held_out * factor)),
        )


def untrained(arm: Arm, ground: Ground, seed: int, **more: Any) -> VisualInterface:
    """Builds an arm's interface around the shared towers, with random weights of `seed`."""
    shape = ground.towers.shape
    tower = {size.name: getattr(shape, size.name) for size in fields(TowerShape)}
    settings = {**arm.settings, **more, "tower": tower}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        interface = build_interface(arm.interface, settings, ground.decoder.config.hidden_size)
    interface.start_queries()
    require_room(interface, ground.decoder.config)
    place_towers(interface, ground.towers)
    if arm.prepare is not None:
        arm.prepare(interface, ground)
    for name in interface.frozen:
        interface.get_submodule(name).requires_grad_(False)
    return interface


def look(arm: Arm, interface: VisualInterface, bank: Bank, ground: Ground) -> SeenBank:
    """What the frozen parts of an arm see in `bank`, and what it is given beside that."""
    seen = cache_seen(interface, bank, ground.work / "seen", ground.report)
    return seen if arm.given is None else seen.with_given(arm.given(bank))


def place_towers(interface: VisualInterface, towers: Towers) -> None:
    """Copies the shared towers' weights into an interface."""
    for child, tower in interface.shared.items():
        shared = shared_part(towers, tower).state_dict()
        interface.get_submodule(child).load_state_dict(shared)


def train_arm(
    name: str, arm: Arm, ground: Ground, recipe: InterfaceRecipe, seed: int
) -> tuple[TrainedInterface, VisualInterface, LlamaForCausalLM]:
    """Trains one arm with one seed; a later call with the same work folder resumes.

    Returns:
        What was trained, and the interface and the language model made of it.
    """
    named = f"{arm.reading or name}-{seed}"
    interface = untrained(arm, ground, seed)
    seen = look(arm, interface, ground.bank, ground)
    if arm.first is not None:
        first, _ = first_stage(name, arm, ground, recipe.first, seed)
        start, known = first.weights_without_text(), interface.state_dict()
        interface.load_state_dict({key: start[key] for key in known})
    reading = train_reading(
        interface,
        ground.decoder,
        seen,
        ground.bank,
        recipe.reading,
        name=named,
        seed=seed,
        work=ground.work,
        report=ground.report,
    )
    low_rank, rows = reading.low_rank, {}
    if arm.speaking is not None:
        assert isinstance(interface, Lavit)
        spoken = train_speaking(
            interface,
            ground.decoder,
            reading,
            seen,
            ground.bank,
            recipe.reading,
            arm.speaking.scaled(shorter_with(len(ground.bank))),
            name=name,
            seed=seed,
            work=ground.work,
            report=ground.report,
        )
        low_rank, rows = spoken.low_rank, spoken.rows
    trained = TrainedInterface(
        system=arm.interface,
        settings=interface.settings,
        own=_as_stored(interface.own_state()),
        low_rank=_as_stored(low_rank),
        rows=_as_stored(rows),
        scale=reading.scale,
        facts={"arm": name, "seed": seed, "size": interface.size, "recipe": asdict(recipe)},
    )
    d_model = ground.decoder.config.hidden_size
    return trained, trained.interface(ground.towers, d_model), trained.decoder(ground.decoder)


def _as_stored(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rounded as in the file: what is judged is what is written."""
    return {k: v.half().float() if v.is_floating_point() else v for k, v in state.items()}


def first_stage(
    name: str, arm: Arm, ground: Ground, stage: Stage, seed: int
) -> tuple[VisualInterface, FirstStage]:
    """Trains an arm on captions; a later call with the same work folder resumes.

    Returns:
        The interface with its text side, and what was trained beside it.
    """
    assert arm.first is not None
    n_words = len(interface_tokenizer())
    bank = ground.bank
    text = {"n_words": n_words + arm.more_ids} if arm.reads_text else {}
    interface = untrained(arm, ground, seed, **text)
    seen = look(arm, interface, bank, ground)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        objective = arm.first(interface, n_words)
    objective.take(interface, ground.towers)
    ids = caption_ids([texts.caption for texts in bank.texts], _CAPTION_WORDS)
    ids = ids[:, : int((ids != 0).sum(1).max())]
    generator = torch.Generator()
    interface.train()

    def loss_at(rng: np.random.Generator) -> Tensor:
        chosen = np.sort(rng.choice(len(bank), min(stage.batch, len(bank)), replace=False))
        generator.manual_seed(int(rng.integers(2**62)))
        rows = torch.from_numpy(chosen)
        batch = SceneBatch(
            images=torch.from_numpy(bank.images[chosen]),
            seen=seen.rows(chosen),
            captions=Captions(ids[rows], ids[rows] != 0),
        )
        return total(objective.losses(interface, batch, generator), arm.weights)

    optimise(
        f"captions-{name}-{seed}",
        stage,
        {"interface": interface, "objective": objective},
        loss_at,
        seed=seed,
        work=ground.work,
        report=ground.report,
        batches="captions",
    )
    return interface.eval(), objective.eval()
