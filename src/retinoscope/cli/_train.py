"""`retinoscope train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from ._progress import Callback, Progress

if TYPE_CHECKING:
    from ..pocket.recipe import Scores

Variant = Literal["pocket", "pocket-sentences", "pocket-none"]
ALL: tuple[Variant, ...] = ("pocket", "pocket-sentences", "pocket-none")

_SEVERAL = Parameter(negative=(), show_default=lambda chosen: " ".join(chosen))

train = App(name="train", help="Train the packaged models anew.")


@train.command
def pocket(
    *,
    work: Path,
    out: Path,
    variant: Annotated[tuple[Variant, ...], _SEVERAL] = (
        "pocket",
        "pocket-sentences",
        "pocket-none",
    ),
    scale: float = 1.0,
) -> None:
    """Train the pocket models by the recipe in this package.

    The order is LLaVA's: language model on text, vision tower on images, projector, then projector
    and language model on instructions. On a CPU it takes hours, on a GPU minutes. Interrupt it when
    you like: the same command goes on from its last checkpoint.

    For example:

        retinoscope train pocket --work work/pocket --out models

        retinoscope train pocket --work work/trial --out trial --scale 0.01

    Args:
        work: folder for scenes, features and checkpoints.
        out: folder for the finished models, one Hugging Face folder each.
        variant: which models; repeat it for several.
        scale: length of all stages against the packaged models'; 0.01 is a quick trial.
    """
    from ..errors import InputError

    if scale <= 0:
        raise InputError(f"--scale must be above 0, got {scale:g}; 1 is the full length")
    from ..pocket.recipe import Recipe
    from ..pocket.recipe import train as run

    with Progress() as progress:
        show = _Stages(progress)

        def finished(name: str, scores: Scores) -> None:
            progress.say(f"{name}, on scenes that no step saw:")
            for line in scores.lines():
                progress.say(f"  {line}")

        run(
            work,
            out,
            variants=tuple(variant),
            recipe=Recipe().scaled(scale) if scale != 1 else Recipe(),
            report=show,
            finished=finished,
        )
    print(f"models: {out}")


class _Stages:
    """Gives every stage its own bar; a stage's name comes again with the next model."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._name, self._step = "", 0
        self._show: Callback | None = None

    def __call__(self, stage: str, step: int, steps: int, loss: float) -> None:
        if self._show is None or stage != self._name or step < self._step:
            self._show = self._progress.stage(stage)
        self._name, self._step = stage, step
        self._show(step, steps, "" if loss != loss else f"loss {loss:.3f}")
