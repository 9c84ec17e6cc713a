"""`retinoscope train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from ..errors import InputError
from ._common import check_seeds, quiet, samples_of
from ._progress import Callback, Progress
from ._say import say

if TYPE_CHECKING:
    from ..recipes.pocket import Scores
    from ..recipes.smol import Losses, Parts, SmolRecipe

Variant = Literal["pocket", "pocket-sentences", "pocket-none"]
ALL: tuple[Variant, ...] = ("pocket", "pocket-sentences", "pocket-none")

Adapted = Literal["smol", "smol-lora"]

_SEVERAL = Parameter(negative=(), show_default=lambda chosen: " ".join(chosen))

train = App(name="train", help="Train the packaged models again.")


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
    and language model on instructions. It takes hours on a CPU, minutes on a GPU. It can be
    interrupted at any time: the same command continues from its last checkpoint.

    For example:

        retinoscope train pocket --work work/pocket --out models

        retinoscope train pocket --work work/trial --out trial --scale 0.01

    Args:
        work: folder for scenes, features and checkpoints.
        out: folder for the finished models, one Hugging Face folder each.
        variant: which models; repeat it for several.
        scale: length of all stages relative to the packaged models'; 0.01 is a quick trial.
    """
    _above_0(scale=scale)
    from ..recipes.pocket import Recipe
    from ..recipes.pocket import train as run

    with Progress() as progress:
        show = _Stages(progress)

        run(
            work,
            out,
            variants=tuple(variant),
            recipe=Recipe().scaled(scale) if scale != 1 else Recipe(),
            report=show,
            finished=partial(_say_scores, progress),
        )
    say(f"models: {out}")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SmolOptions:
    """What of smol's adapter is trained, on what data, and for how long.

    Args:
        variant: which variants; repeat it for both.
        device: where to compute, such as cuda or cpu.
        language: a GGUF file or a folder of the language model instead of the fetched one.
        vision: a file of the vision tower's weights instead of the fetched one.
        images: captioned images as further training data, such as coco:FOLDER or table:FILE.
        start: an adapter to start from instead of random weights: smol, or a folder of --out.
        seed: seed of weights, conversations and batches.
        scenes: number of drawn scenes.
        text_tokens: room for the questions and answers that share an image.
        batch: scenes per step.
        steps: steps of the adapter's stage.
        rate: learning rate of the adapter; of several, the best in a short trial is used.
        minutes: approximate time for the adapter's steps, instead of their number.
        lora_minutes: the same for the low-rank updates.
        int8: run the frozen language model in 8-bit integers while the adapter is trained, on a
            CPU, with a C++ compiler.
        held_out: number of scenes that measure the result.
        scale: length of everything relative to the packaged adapter's; 0.002 is a quick trial.
    """

    variant: Annotated[tuple[Adapted, ...], _SEVERAL] = ("smol",)
    device: str = "cpu"
    language: Path | None = None
    vision: Path | None = None
    images: str | None = None
    start: str | None = None
    seed: int = 0
    scenes: int | None = None
    text_tokens: int | None = None
    batch: int | None = None
    steps: int | None = None
    rate: tuple[float, ...] = ()
    minutes: float | None = None
    lora_minutes: float | None = None
    int8: Annotated[bool, Parameter(negative=())] = False
    held_out: int = 1000
    scale: float = 1.0

    def check(self) -> None:
        """Raises `InputError` for impossible numbers, before anything is opened."""
        names = ("scale", "minutes", "lora_minutes", "scenes", "text_tokens", "batch", "steps")
        _above_0(
            **{name: getattr(self, name) for name in names},
            rate=min(self.rate, default=None),
            held_out=self.held_out,
        )
        check_seeds(seed=self.seed)

    def parts(self) -> Parts:
        """The frozen parts: the given ones, else the fetched ones."""
        from ..pocket.smol import LANGUAGE, VISION, part_file
        from ..recipes.smol import Parts

        return Parts(self.language or part_file(LANGUAGE), self.vision or part_file(VISION))

    def recipe(self) -> SmolRecipe:
        """The packaged adapter's recipe with the given changes."""
        from ..recipes.smol import SmolRecipe

        recipe = SmolRecipe().scaled(self.scale) if self.scale != 1 else SmolRecipe()
        adapter = recipe.adapter.lasting(self.steps or recipe.adapter.steps)
        return replace(
            recipe,
            **_given(scenes=self.scenes, text_tokens=self.text_tokens, rates=self.rate or None),
            seed=self.seed,
            int8=self.int8,
            adapter=replace(adapter, **_given(batch=self.batch)),
            lora=replace(recipe.lora, **_given(batch=self.batch)),
        )

    def initial_adapter(self) -> Path | None:
        """Folder of the adapter to start from."""
        from ..pocket.smol import MODELS, folder

        if self.start is None:
            return None
        return folder(self.start) if self.start in MODELS else Path(self.start)


@train.command
def smol(
    *,
    work: Path,
    out: Path,
    options: SmolOptions = SmolOptions(),
) -> None:
    """Train smol's adapter: the two layers between its vision tower and its language model.

    Only the adapter is trained, on captions and questions of drawn scenes; smol-lora also trains
    low-rank updates of the language model, starting from the finished adapter. It takes minutes on
    a GPU, hours on two CPU cores (half as many with --int8), and can be interrupted at any time:
    the same command continues from its last checkpoint. The frozen parts come from `retinoscope
    fetch smol`.

    For example:

        retinoscope train smol --work work/smol --out models --device cuda

        retinoscope train smol --work work/trial --out trial --scale 0.002

        retinoscope train smol --work work/mine --out mine --start smol --images table:FILE

    Args:
        work: folder for scenes, features and checkpoints.
        out: folder for the results, one folder per variant.
    """
    options.check()
    quiet()
    from ..recipes.smol import train_smol

    parts, recipe = options.parts(), options.recipe()
    samples = samples_of(options.images, 0, None) if options.images else ()
    with Progress() as progress:

        def finished(name: str, scores: Scores, losses: Losses) -> None:
            _say_scores(progress, name, scores)
            progress.say(f"  loss {losses.own:.3f}; with another scene's image {losses.other:.3f}")

        train_smol(
            work,
            out,
            parts,
            recipe=recipe,
            device=options.device,
            variants=options.variant,
            minutes=options.minutes,
            lora_minutes=options.lora_minutes,
            samples=samples,
            start=options.initial_adapter(),
            held_out=options.held_out,
            report=_Stages(progress),
            finished=finished,
        )
    say(f"adapters: {out}")


def _say_scores(progress: Progress, name: str, scores: Scores) -> None:
    progress.say(f"{name}, on scenes that no step saw:")
    for line in scores.lines():
        progress.say(f"  {line}")


def _above_0(**options: float | None) -> None:
    """Refuses given numbers that are 0 or less, or not finite."""
    for name, value in options.items():
        if value is not None and not 0 < value < inf:
            raise InputError(
                f"--{name.replace('_', '-')} must be a finite number above 0, got {value:g}"
            )


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


class _Stages:
    """Shows a bar per stage; with the next model, the same stages come again."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._name, self._step = "", 0
        self._show: Callback | None = None

    def __call__(self, stage: str, step: int, steps: int, loss: float) -> None:
        if self._show is None or stage != self._name or step < self._step:
            self._show = self._progress.stage(stage)
        self._name, self._step = stage, step
        self._show(step, steps, "" if loss != loss else f"loss {loss:.3f}")


@train.command
def encoders(
    *,
    work: Path,
    out: Path,
    objective: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    seeds: int = 3,
    scale: float = 1.0,
    device: str = "cpu",
    processes: int = 1,
) -> None:
    """Train the encoders that `retinoscope probe` and `retinoscope group` compare.

    One small vision transformer, trained on the same drawn scenes for the same number of steps,
    with one objective each. It takes minutes on one GPU; on a CPU choose a small --scale. It can be
    interrupted at any time: the same command continues from its last checkpoint.

    For example:

        retinoscope train encoders --work work/encoders --out encoders --device cuda --processes 3

        retinoscope train encoders --work work/trial --out trial --objective mae --scale 0.01

    Args:
        work: folder for scenes, checkpoints and finished encoders.
        out: folder for the result: few files below 16 MB, and encoders.json.
        objective: which objectives; repeat it for several. All by default.
        seeds: number of encoders per objective.
        scale: steps and scenes relative to the packaged encoders'; 0.01 is a quick trial.
        device: cpu or cuda.
        processes: how many train at once, each its own seeds.
    """
    _above_0(scale=scale, seeds=seeds, processes=processes)
    from ..encoders.comparison import OBJECTIVES
    from ..recipes.encoders import EncoderRecipe, train_encoders

    recipe = EncoderRecipe()
    with Progress() as progress:
        show = _Jobs(progress) if processes > 1 else _Stages(progress)
        written = train_encoders(
            work,
            out,
            objectives=objective or tuple(OBJECTIVES),
            seeds=seeds,
            recipe=recipe.scaled(scale) if scale != 1 else recipe,
            device=device,
            processes=processes,
            report=show,
        )
    say(f"encoders: {out} ({len(written)} files)")


class _Jobs:
    """Shows a bar per stage, of which several run at once."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._shown: dict[str, Callback] = {}

    def __call__(self, stage: str, step: int, steps: int, loss: float) -> None:
        if stage not in self._shown:
            self._shown[stage] = self._progress.stage(stage)
        self._shown[stage](step, steps, "" if loss != loss else f"loss {loss:.3f}")


@train.command
def interface(
    *names: str,
    work: Path,
    out: Path,
    seed: Annotated[tuple[int, ...], Parameter(negative=())] = (0,),
    towers: Path | None = None,
    decoder: Path | None = None,
    scale: float = 1.0,
) -> None:
    """Train visual interfaces, all in front of the same language model, and compare them.

    An interface turns what frozen towers see into visual tokens: a projector, a Q-Former, Lyrics,
    SCL, X-Former, and the controls of each. All get the same towers, scenes, steps and batches; one
    takes fifteen to twenty-five minutes on one CPU core. It can be interrupted at any time: the
    same command continues from its last checkpoint, and what is finished in --out is not trained
    again.

    For example:

        retinoscope train interface qformer lyrics --work work/interfaces --out interfaces

        retinoscope train interface all --seed 0 --seed 1 --seed 2 --work W --out interfaces

        retinoscope train interface towers --work work/towers --out towers

    Args:
        names: which interfaces, or all; towers or decoder alone for the parts that they share;
            mechanism alone for what X-Former's reconstruction uses, setting by setting.
        work: folder for scenes, what the towers saw, and checkpoints.
        out: folder for the results: a model folder per interface for `retinoscope ... MODEL`, its
            answers about held-out scenes, and its weights in one small file.
        seed: seeds of weights and batches; repeat it for several.
        towers: folder of trained towers instead of the packaged ones.
        decoder: folder of a trained language model instead of the packaged one.
        scale: length of all stages relative to the packaged interfaces'; 0.01 is a quick trial.
    """
    _above_0(scale=scale)
    check_seeds(seed=min(seed))
    quiet()
    import polars as pl

    from ..recipes.interfaces import (
        ARMS,
        SHARED,
        InterfaceRecipe,
        train_interfaces,
        train_shared,
        try_mechanism,
    )

    if not names:
        known = ", ".join((*ARMS, "all", *SHARED, "mechanism"))
        raise InputError(f"expected names of {known}, got none")
    alone = (*SHARED, "mechanism")
    first = next((name for name in names if name in alone), "")
    if first and len(names) > 1:
        raise InputError(f"expected {first} without other names, got {' '.join(names)}")
    unused = {
        "--seed": seed != (0,) and first in SHARED,
        "--towers": towers is not None and first in SHARED,
        "--decoder": decoder is not None and first in alone,
    }
    for option, given in unused.items():
        if given:
            raise InputError(f"expected no {option} with {first}, which does not use it")
    recipe = InterfaceRecipe()
    recipe = recipe.scaled(scale) if scale != 1 else recipe
    with Progress() as progress:
        show = _Stages(progress)

        def finished(name: str, number: int, scores: Mapping[str, float]) -> None:
            progress.say(f"{name}, seed {number}, on scenes that no step saw:")
            for kind, share in scores.items():
                progress.say(f"  {kind}: {share:.2f}")

        if first in SHARED:
            for line in train_shared(first, work, out, scale=scale, report=show):
                progress.say(line)
        elif first:
            gaps = try_mechanism(work, out, seeds=seed, recipe=recipe, towers=towers, report=show)
            with pl.Config(tbl_cols=-1, tbl_rows=-1, tbl_width_chars=200, float_precision=4):
                progress.say(str(gaps))
        else:
            train_interfaces(
                work,
                out,
                arms=tuple(ARMS) if names == ("all",) else names,
                seeds=seed,
                recipe=recipe,
                towers=towers,
                decoder=decoder,
                report=show,
                finished=finished,
            )
    say(f"{', '.join(names)}: {out}")


@train.command
def reader(
    *names: str,
    work: Path,
    out: Path,
    seed: Annotated[tuple[int, ...], Parameter(negative=())] = (0,),
    scale: float = 1.0,
) -> None:
    """Train readers of single words, with and without a language model, and compare them.

    All begin with the same steps on drawn boards. Then the reader alone goes on (vision); letters
    are hidden from it, by a learned mask (visionlan), where it looks itself (attention) or anywhere
    (strips); or a language model of letters is added behind it (two-step). Each reads boards on
    which one letter is clean, struck through, covered or hidden, and random strings. It can be
    interrupted at any time: the same command continues from its last checkpoint.

    For example:

        retinoscope train reader --work work/reader --out readers

        retinoscope train reader visionlan vision --seed 0 --seed 1 --work W --out readers

    Args:
        names: which of them; all by default.
        work: folder for boards and checkpoints.
        out: folder for the results: what each read, its scores and its weights.
        seed: seeds of weights and batches; repeat it for several.
        scale: length of all stages relative to the whole training; 0.01 is a quick trial.
    """
    _above_0(scale=scale)
    check_seeds(seed=min(seed))
    from ..recipes.reading import READING_ARMS, ReaderRecipe, train_readers

    recipe = ReaderRecipe()
    with Progress() as progress:

        def finished(name: str, number: int, scores: Mapping[str, float]) -> None:
            progress.say(f"{name}, seed {number}, on boards that no step saw:")
            for what, share in scores.items():
                progress.say(f"  {what}: {share:.2f}")

        train_readers(
            work,
            out,
            arms=names or tuple(READING_ARMS),
            seeds=seed,
            recipe=recipe.scaled(scale) if scale != 1 else recipe,
            report=_Stages(progress),
            finished=finished,
        )
    say(f"{', '.join(names or READING_ARMS)}: {out}")
