"""What is measured of an arm beside its answers, on the same held-out scenes.

All but the reports of a refiner and what is written are measured after the first stage, in which
the losses that they are about are trained.
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
from ._lengths import lengths
from ._reconstruction import reconstruction_gap
from ._seen import SeenBank
from ._world import HELD_OUT_SEED, OPTIONS, SMALL_RADIUS, object_sizes
from ._writing import written_answers


@dataclass(frozen=True, eq=False)
class MeasuredArm:
    """A trained arm, and what its language model answered.

    Attributes:
        after_first: makes the interface after its first stage, with its text side, and what was
            trained beside it.
        trained: makes the interface and the language model as they became.
        trained_on: what the interface's frozen parts saw in the training scenes.
        seen: what they saw in the scenes of `bank`.
        bank: held-out scenes 0..n-1.
        answers: see `train_interfaces`.
    """

    after_first: Callable[[], tuple[Any, Any]]
    trained: Callable[[], tuple[Any, Any]]
    trained_on: SeenBank
    seen: SeenBank
    bank: Bank
    answers: pl.DataFrame

    @cached_property
    def _first(self) -> tuple[Any, Any]:
        return self.after_first()

    @property
    def interface(self) -> Any:
        """After the first stage, with its text side."""
        return self._first[0]

    @property
    def stage(self) -> Any:
        """What was trained beside the interface in its first stage."""
        return self._first[1]

    @cached_property
    def pool(self) -> ScenePool:
        """The held-out scenes, as two streams read them."""
        return draw_pool(self.interface, len(self.bank), HELD_OUT_SEED)

    @cached_property
    def finds(self) -> list[RefinerFinds]:
        """What the refiner finds in the held-out scenes."""
        samples = Scenes(len(self.bank), HELD_OUT_SEED, OPTIONS)
        return refiner_finds(self.interface, samples)


Measurement = Callable[[MeasuredArm], pl.DataFrame]


def _retrieval(arm: MeasuredArm) -> pl.DataFrame:
    return retrieval(arm.interface, arm.stage, arm.pool)


def _completion(arm: MeasuredArm) -> pl.DataFrame:
    return completions(arm.interface, arm.pool)


def _attention(arm: MeasuredArm) -> pl.DataFrame:
    return attention_inside(arm.interface, arm.pool)


def _reports(arm: MeasuredArm) -> pl.DataFrame:
    polling = arm.answers.filter(pl.col("kind").str.starts_with("polling"))
    return with_reports(polling, arm.finds).select("scene", "kind", "expected", "said", "reported")


def _finds(arm: MeasuredArm) -> pl.DataFrame:
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


def _reconstruction(arm: MeasuredArm) -> pl.DataFrame:
    return reconstruction_gap(arm.interface, arm.stage.reconstruction, arm.seen, arm.bank)


def _lengths(arm: MeasuredArm) -> pl.DataFrame:
    interface, _ = arm.trained()
    return lengths(interface, arm.trained_on, arm.seen, arm.bank)


def _writing(arm: MeasuredArm) -> pl.DataFrame:
    return written_answers(*arm.trained(), arm.seen, arm.bank)


_TWO_STREAMS = {"retrieval": _retrieval, "completion": _completion, "attention": _attention}
_REFINER = {"reports": _reports, "finds": _finds}


def measurements(name: str) -> Mapping[str, Measurement]:
    """What is measured of an arm of `ARMS`, by the name of its table."""
    if name == "x-former":
        return {"reconstruction": _reconstruction}
    if name == "lavit":
        return {"lengths": _lengths}
    if ARMS[name].speaking is not None:
        return {"writing": _writing}
    return {"scl": _TWO_STREAMS, "lyrics": _REFINER}.get(ARMS[name].interface, {})
