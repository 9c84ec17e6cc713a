"""What is measured of an arm beside its answers, on the same held-out scenes.

All but the reports of a refiner are measured after the first stage, in which the losses that they
are about are trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from ...data import Scenes
from ..pocket._bank import Bank
from ._arms import ARMS
from ._completion import ScenePool, attention_inside, completions, draw_pool, retrieval
from ._finds import RefinerFinds, refiner_finds, with_reports
from ._reconstruction import reconstruction_gap
from ._seen import SeenBank
from ._world import HELD_OUT_SEED, OPTIONS, SMALL_RADIUS, object_sizes


@dataclass(frozen=True, eq=False)
class AfterFirst:
    """An arm after its first stage, and what its language model answered in the end.

    Attributes:
        interface: with its text side.
        stage: what was trained beside it.
        seen: what the interface's frozen parts saw in the scenes of `bank`.
        bank: held-out scenes 0..n-1.
        answers: see `train_interfaces`.
    """

    interface: Any
    stage: Any
    seen: SeenBank
    bank: Bank
    answers: pl.DataFrame

    @cached_property
    def pool(self) -> ScenePool:
        """The held-out scenes, as two streams read them."""
        return draw_pool(self.interface, len(self.bank), HELD_OUT_SEED)

    @cached_property
    def finds(self) -> list[RefinerFinds]:
        """What the refiner finds in the held-out scenes."""
        samples = Scenes(len(self.bank), HELD_OUT_SEED, OPTIONS)
        return refiner_finds(self.interface, samples)


Measurement = Callable[[AfterFirst], pl.DataFrame]


def _retrieval(arm: AfterFirst) -> pl.DataFrame:
    return retrieval(arm.interface, arm.stage, arm.pool)


def _completion(arm: AfterFirst) -> pl.DataFrame:
    return completions(arm.interface, arm.pool)


def _attention(arm: AfterFirst) -> pl.DataFrame:
    return attention_inside(arm.interface, arm.pool)


def _reports(arm: AfterFirst) -> pl.DataFrame:
    polling = arm.answers.filter(pl.col("kind").str.starts_with("polling"))
    return with_reports(polling, arm.finds).select("scene", "kind", "expected", "said", "reported")


def _finds(arm: AfterFirst) -> pl.DataFrame:
    rows = [
        {"scene": scene, "small": size.radius <= SMALL_RADIUS, "found": found, "reported": reported}
        for scene, (find, sizes) in enumerate(
            zip(arm.finds, object_sizes(len(arm.bank)), strict=True)
        )
        # Reported for the scene as a whole: it stands in the row of its first object.
        for found, size, reported in zip(
            find.found, sizes, (find.reported, *[0] * (len(sizes) - 1)), strict=True
        )
    ]
    return pl.DataFrame(rows)


def _reconstruction(arm: AfterFirst) -> pl.DataFrame:
    return reconstruction_gap(arm.interface, arm.stage.reconstruction, arm.seen, arm.bank)


_TWO_STREAMS = {"retrieval": _retrieval, "completion": _completion, "attention": _attention}
_REFINER = {"reports": _reports, "finds": _finds}


def measurements(name: str) -> Mapping[str, Measurement]:
    """What is measured of an arm of `ARMS`, by the name of its table."""
    if name == "x-former":
        return {"reconstruction": _reconstruction}
    return {"scl": _TWO_STREAMS, "lyrics": _REFINER}.get(ARMS[name].interface, {})
