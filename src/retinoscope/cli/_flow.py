"""`retinoscope flow`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from ._common import CoveringAndIntervening, Loading, run_study
from ._studies import Several

if TYPE_CHECKING:
    from ..data import Sample
    from ..engine import VLM
    from ..studies import Judge, Study

Reading = Literal["query", "generated"]
Layers = Literal["all", "slide", "keep", "from"]
FlowTask = Literal["description", "question"]

LAYERS: tuple[Layers, ...] = ("all", "slide", "keep")
TASKS: tuple[FlowTask, ...] = ("description", "question")


def flow(
    model: str,
    data: str,
    /,
    *,
    common: CoveringAndIntervening,
    loading: Loading = Loading(),  # noqa: B008 (frozen)
    preset: Literal["kaduri", "zhang"] = "kaduri",
    edges: Annotated[tuple[str, ...], Several] = (),
    last_prompt_as: Annotated[tuple[Reading, ...], Several] = (),
    layers: Annotated[tuple[Layers, ...], Several] = LAYERS,
    width: int | None = None,
    step: int | None = None,
    tasks: Annotated[tuple[FlowTask, ...], Several] = TASKS,
    max_questions: int | None = 1,
    prefill: str | None = None,
    max_new_tokens: int = 64,
    controls: bool = True,
    untrained: bool = True,
    judge_url: str | None = None,
    judge_model: str | None = None,
    judge_key_variable: str | None = None,
) -> None:
    """Block attention while the model writes: along which edges does the image reach the words?

    Edges between image, question and generated words are blocked while the prompt is read and while
    the model writes. Of a description it is counted which objects it still names, of an answer how
    its probability and rank change. As many random edges and an untrained copy stand beside it.

    For example:

        retinoscope flow pocket scenes:50 --out runs/flow

        retinoscope flow planted:via-query squares:20 --out runs/planted

        retinoscope flow pocket scenes:50 --preset zhang --tasks question --out runs/zhang

    Args:
        model: pocket, planted:NAME, a Hub id, or a folder with a Hugging Face model.
        data: scenes:N, squares:N, coco:FOLDER or folder:PATH.
        preset: the edges of Kaduri et al. 2024 in all combinations, or those of Zhang et al. 2024.
        edges: other edges instead, as SOURCE:TARGET, joined by commas to block them together, such
            as image:query,image:generated.
        last_prompt_as: what the prompt's last position counts as; it writes the first word. By
            default both are run; of the edges of Zhang et al., which name it, only "generated".
        layers: in all layers, in a sliding window, in all but a window (keep), from a layer on.
        width: of the windows, in layers; a quarter of the depth by default.
        step: layers between two windows; by default they do not overlap.
        tasks: a description, the data's own questions.
        max_questions: at most so many questions an image.
        prefill: put before the answer of questions that ask for a name.
        max_new_tokens: longest description.
        controls: also block as many random edges.
        untrained: also run a copy with random weights, which needs the model's memory again.
        judge_url: address of a chat-completions API, such as http://localhost:8000/v1, that is also
            asked which objects two descriptions share.
        judge_model: the judge's name there.
        judge_key_variable: environment variable that holds its key.
    """
    judge = _judge(judge_url, judge_model, judge_key_variable)

    def make(vlm: VLM, samples: Sequence[Sample]) -> Study:
        from ..studies import FLOW_PRESETS, InformationFlow

        usual = FLOW_PRESETS[preset]
        return InformationFlow(
            vlm,
            samples,
            seed=common.seed,
            n_examples=common.examples,
            exact=common.exact,
            edges=edges or usual.edges,
            readings=last_prompt_as or usual.readings,
            layers=layers,
            width=width,
            step=step,
            tasks=tasks,
            max_questions=max_questions,
            prefill=prefill,
            description_tokens=max_new_tokens,
            controls=controls,
            untrained=untrained,
            min_cover=common.min_cover,
            judge=judge,
        )

    run_study(model, data, common, loading, make)


def _judge(url: str | None, model: str | None, key_variable: str | None) -> Judge | None:
    if url is None and model is None and key_variable is None:
        return None
    from ..errors import InputError

    if url is None or model is None:
        raise InputError("a judge has an address and a name: give --judge-url and --judge-model")
    from ..studies import ChatJudge

    judge = ChatJudge(url, model, key_variable)
    # Before data and model are opened, which takes minutes.
    judge.check()
    return judge
