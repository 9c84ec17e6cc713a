"""`retinoscope ablate`, `lens` and `knockout`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ._common import Common, CoveringAndIntervening, Loading, Objects, run_study

if TYPE_CHECKING:
    from ..data import Sample
    from ..engine import VLM
    from ..studies import Study

Task = Literal["generative", "polling", "question"]
Mode = Literal["paper", "corrected", "whole-word"]
Fill = Literal["mean", "zero", "noise"]
Condition = Literal["object", "object+1", "object+2", "registers", "random", "gradient", "control"]
Source = Literal[
    "object", "object+1", "object+2", "rest", "last-row", "question", "random=object+1"
]
Target = Literal["last", "last-row", "question"]
Window = Literal["early", "early-mid", "mid", "mid-late", "late", "all"]
Several = Parameter(
    consume_multiple=True,
    negative=(),
    show_default=lambda chosen: " ".join(str(one) for one in chosen),
)

TASKS: tuple[Task, ...] = ("generative", "polling", "question")
MODES: tuple[Mode, ...] = ("paper", "corrected", "whole-word")
CONDITIONS: tuple[Condition, ...] = (
    "object",
    "object+1",
    "object+2",
    "registers",
    "random",
    "gradient",
    "control",
)
COVERS = (0.0, 0.5)
SIZES = (5, 10, 20, 40, 60, 100, 250)
SOURCES: tuple[Source, ...] = (
    "object",
    "object+1",
    "object+2",
    "rest",
    "last-row",
    "question",
    "random=object+1",
)
TARGETS: tuple[Target, ...] = ("last", "last-row", "question")
WINDOWS: tuple[Window, ...] = ("early", "early-mid", "mid", "mid-late", "late", "all")


def ablate(
    model: str,
    data: str,
    /,
    *,
    common: CoveringAndIntervening,
    loading: Loading = Loading(),  # noqa: B008 (frozen)
    objects: Objects = Objects(),  # noqa: B008 (frozen)
    tasks: Annotated[tuple[Task, ...], Several] = TASKS,
    modes: Annotated[tuple[Mode, ...], Several] = MODES,
    conditions: Annotated[tuple[Condition, ...], Several] = CONDITIONS,
    sizes: Annotated[tuple[int, ...], Several] = SIZES,
    fill: Fill = "mean",
    gradient_steps: int = 16,
    hallucination_filter: Annotated[bool, Parameter(negative=())] = False,
    max_questions: int | None = None,
    prefill: str | None = None,
) -> None:
    """Replace an object's visual tokens: which right answers become wrong?

    For every prompt that the model answers correctly, sets of visual tokens are replaced by the
    mean visual token and the prompt is asked again. Each object set stands beside as many random
    tokens outside it.

    For example:

        retinoscope ablate pocket scenes:50 --out runs/ablation

        retinoscope ablate llava-hf/llava-1.5-7b-hf coco:coco --limit 200 --out runs/llava

    Args:
        model: pocket, a Hub id, or a folder with a Hugging Face model.
        data: scenes:N, coco:FOLDER, vg:FOLDER, folder:PATH, table:FILE or datasets:NAME.
        tasks: prompts to ask: a caption, "Is there a ...?", the data's own questions.
        modes: rules for what counts as correct; "paper" keeps those of the paper's released code.
        conditions: token sets; random and gradient ones in each of --sizes, control for the object
            sets' random controls.
        sizes: numbers of tokens of the random and gradient sets.
        fill: what replaces a token.
        gradient_steps: steps of integrated gradients (the paper: 50).
        hallucination_filter: keep an object only if its caption is right, and wrong once its pixels
            are replaced.
        max_questions: at most so many questions an image.
        prefill: put before the answer of questions that ask for a name (the paper: "It is a").
    """

    def make(vlm: VLM, samples: Sequence[Sample]) -> Study:
        from ..studies import HallucinationFilter, PromptOptions, TokenAblation

        return TokenAblation(
            vlm,
            samples,
            seed=common.seed,
            n_examples=common.examples,
            exact=common.exact,
            tasks=tasks,
            modes=modes,
            prompts=PromptOptions(
                min_area=objects.min_area,
                max_area=objects.max_area,
                max_objects=objects.max_objects,
                max_questions=max_questions,
                prefill=prefill,
            ),
            conditions=conditions,
            sizes=sizes,
            fill=fill,
            min_cover=common.min_cover,
            gradient_steps=gradient_steps,
            hallucination_filter=HallucinationFilter() if hallucination_filter else None,
        )

    run_study(model, data, common, loading, make)


def lens(
    model: str,
    data: str,
    /,
    *,
    common: Common,
    loading: Loading = Loading(),  # noqa: B008 (frozen)
    objects: Objects = Objects(),  # noqa: B008 (frozen)
    covers: Annotated[tuple[float, ...], Several] = COVERS,
    untrained: bool = True,
    near: int = 0,
    parts: Annotated[bool, Parameter(negative=())] = False,
    example_layers: int = 5,
) -> None:
    """Read visual tokens as words: do an object's tokens name it, and at which layer?

    At every layer, the share of an object's tokens whose most probable word is its name; beside it
    tokens of no object, another image's mask, and a copy of the model with random weights.

    For example:

        retinoscope lens pocket scenes:100 --out runs/lens

        retinoscope lens smol scenes:64 --near 50 --parts --out runs/smol-lens

        retinoscope lens llava-hf/llava-1.5-7b-hf coco:coco --limit 170 --out runs/llava-lens

    Args:
        model: pocket, a Hub id, or a folder with a Hugging Face model.
        data: scenes:N, coco:FOLDER, vg:FOLDER, folder:PATH, table:FILE or datasets:NAME.
        covers: shares of a token's box that the object must cover; it is counted at each of them,
            from one pass. 0 is any overlap.
        untrained: also run a copy with random weights, which needs the model's memory again.
        near: so many entries of the vocabulary around a name count as near it; also counts its
            pieces and synonyms, and lists the words that appear. 0 leaves that out.
        parts: also run the model with a random projector, and with a random language model.
        example_layers: so many layers are kept for the pictures.
    """

    def make(vlm: VLM, samples: Sequence[Sample]) -> Study:
        from ..studies import LogitLens, PromptOptions

        return LogitLens(
            vlm,
            samples,
            seed=common.seed,
            n_examples=common.examples,
            objects=PromptOptions(
                min_area=objects.min_area,
                max_area=objects.max_area,
                max_objects=objects.max_objects,
            ),
            covers=covers,
            untrained=untrained,
            near=near,
            parts=parts,
            example_layers=example_layers,
        )

    run_study(model, data, common, loading, make)


def knockout(
    model: str,
    data: str,
    /,
    *,
    common: CoveringAndIntervening,
    loading: Loading = Loading(),  # noqa: B008 (frozen)
    sources: Annotated[tuple[Source, ...], Several] = SOURCES,
    targets: Annotated[tuple[Target, ...], Several] = TARGETS,
    windows: Annotated[tuple[Window, ...], Several] = WINDOWS,
    slide: int | None = None,
    slide_step: int = 1,
    mode: Literal["corrected", "paper"] = "corrected",
    max_questions: int | None = None,
    prefill: str | None = None,
) -> None:
    """Block attention between tokens: along which edges does the answer travel?

    For every question that the model answers correctly, attention from a source to a target is
    masked in a window of layers, and the question is asked again. 1.00 means no impact.

    For example:

        retinoscope knockout pocket scenes:50 --out runs/knockout --slide 3

        retinoscope knockout pocket scenes:50 --targets last --out runs/last

    Args:
        model: pocket, a Hub id, or a folder with a Hugging Face model.
        data: scenes:N, coco:FOLDER, vg:FOLDER, folder:PATH, table:FILE or datasets:NAME.
        sources: tokens that are no longer seen.
        targets: tokens that no longer see them.
        windows: windows of layers, the paper's fractions of the depth.
        slide: width in layers of an additional window that slides through the decoder.
        slide_step: layers between two sliding windows.
        mode: rule for what counts as correct.
        max_questions: at most so many questions an image.
        prefill: put before the answer of questions that ask for a name (the paper: "It is a").
    """

    def make(vlm: VLM, samples: Sequence[Sample]) -> Study:
        from ..studies import AttentionKnockout

        return AttentionKnockout(
            vlm,
            samples,
            seed=common.seed,
            n_examples=common.examples,
            exact=common.exact,
            sources=sources,
            targets=targets,
            windows=windows,
            slide=slide,
            slide_step=slide_step,
            max_questions=max_questions,
            prefill=prefill,
            mode=mode,
            min_cover=common.min_cover,
        )

    run_study(model, data, common, loading, make)
