"""Options of information flow; standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from ..options import Covering, Intervening

if TYPE_CHECKING:
    from ...answers.judge import ChatJudge

Reading = Literal["query", "generated"]
Layers = Literal["all", "slide", "keep", "from"]
FlowTask = Literal["description", "question"]
LAYERS: tuple[Layers, ...] = ("all", "slide", "keep")
TASKS: tuple[FlowTask, ...] = get_args(FlowTask)


@dataclass(frozen=True, kw_only=True)
class FlowOptions(Covering, Intervening):
    """Block attention while the model writes: along which edges does the image reach the words?

    Edges between image, question and generated words are blocked while the prompt is read and while
    the model writes. For descriptions, the objects still named are counted; for answers, the change
    of probability and rank is measured. Controls are as many random edges and an untrained copy.

    For example:

        retinoscope flow pocket scenes:50 --out runs/flow

        retinoscope flow planted:via-query squares:20 --out runs/planted

        retinoscope flow pocket scenes:50 --preset zhang --tasks question --out runs/zhang

    Args:
        preset: the edges of Kaduri et al. 2024 in all combinations, or those of Zhang et al. 2024.
        edges: other edges instead, as SOURCE:TARGET; edges joined by commas are blocked together,
            as in image:query,image:generated.
        last_prompt_as: role of the prompt's last position, which predicts the first word. By
            default both are run; for the edges of Zhang et al., which name it, only "generated".
        layers: block in all layers, in a sliding window (slide), in all layers but a window (keep),
            or from a layer on.
        width: width of the windows in layers; a quarter of the depth by default.
        step: layers between two windows; by default they do not overlap.
        tasks: a description, the data's own questions.
        max_questions: maximum number of questions per image.
        prefill: start of the answer to questions that ask for a name.
        max_new_tokens: maximum length of a description.
        controls: also block as many random edges.
        untrained: also run a copy with random weights, which needs the model's memory again.
        judge_url: address of a chat-completions API, such as http://localhost:8000/v1, that is also
            asked which objects two descriptions share.
        judge_model: the judge's name there.
        judge_key_variable: environment variable that holds its key.
    """

    MODEL: ClassVar[str] = "pocket, planted:NAME, a Hub id, or a folder with a Hugging Face model."
    DATA: ClassVar[str] = "scenes:N, squares:N, coco:FOLDER or folder:PATH."

    preset: Literal["kaduri", "zhang"] = "kaduri"
    edges: tuple[str, ...] = ()
    last_prompt_as: tuple[Reading, ...] = ()
    layers: tuple[Layers, ...] = LAYERS
    width: int | None = None
    step: int | None = None
    tasks: tuple[FlowTask, ...] = TASKS
    max_questions: int | None = 1
    prefill: str | None = None
    max_new_tokens: int = 64
    controls: bool = True
    untrained: bool = True
    judge_url: str | None = None
    judge_model: str | None = None
    judge_key_variable: str | None = None

    def judge(self) -> ChatJudge | None:
        """Returns the judge that they describe, if any.

        Raises:
            InputError: a part of its address is missing.
        """
        if not any((self.judge_url, self.judge_model, self.judge_key_variable)):
            return None
        if self.judge_url is None or self.judge_model is None:
            from ...errors import InputError

            raise InputError(
                "a judge has an address and a name: give --judge-url and --judge-model"
            )
        from ...answers.judge import ChatJudge

        return ChatJudge(self.judge_url, self.judge_model, self.judge_key_variable)

    def check(self) -> None:
        """Checks that the judge's address and key can be used."""
        if (judge := self.judge()) is not None:
            judge.check()


OPTIONS = FlowOptions
