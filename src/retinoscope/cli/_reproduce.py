"""`retinoscope reproduce`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ._common import PARTLY, Running, Several, check_counts, samples_of, say_findings
from ._loading import Loading, load_model, quiet
from ._progress import Progress
from ._say import say

if TYPE_CHECKING:
    from ..reproduce import OpenedData, ReproductionPlan


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """What is run; the defaults are the paper's.

    Args:
        mode: rules of the released code ("paper"), corrected ones, or both.
        limit: at most so many images in each of the three sets (the paper: 1000 for captions and
            yes/no, 100 for questions, 170 for the lens).
        mean_images: at most so many of the images for the mean visual token (the paper: 50000).
        min_area: objects of more pixels of the original image.
        max_area: objects of fewer pixels.
        at_most: images with at most so many annotations.
        lens_min_area: the same for the lens.
        lens_max_area: the same for the lens.
        sizes: numbers of tokens of the random and gradient sets.
        gradient_steps: steps of integrated gradients.
        caption_tokens: longest caption.
        prefill: put before the answer of questions that ask for a name; "" for nothing.
        untrained: run the lens also on a copy with random weights, which needs the model's memory
            again.
    """

    mode: Literal["paper", "corrected", "both"] = "both"
    limit: int | None = None
    mean_images: int = 5000
    min_area: float = 1000
    max_area: float = 2000
    at_most: int = 3
    lens_min_area: float = 20_000
    lens_max_area: float = 30_000
    sizes: Annotated[tuple[int, ...], Several] = (5, 10, 20, 40, 60, 100, 250)
    gradient_steps: int = 50
    caption_tokens: int = 200
    prefill: str = "It is a"
    untrained: Annotated[bool, Parameter(negative=())] = False

    def check(self) -> None:
        """Raises `InputError` for numbers that cannot be, before anything is opened."""
        names = ("limit", "mean_images", "at_most", "caption_tokens")
        check_counts(**{name: getattr(self, name) for name in names})
        check_counts(2, gradient_steps=self.gradient_steps)

    def plan(self, running: Running) -> ReproductionPlan:
        """The plan as `reproduce` takes it."""
        from ..reproduce import ReproductionPlan

        return ReproductionPlan(
            **dict[str, Any](vars(self), prefill=self.prefill or None),
            seed=running.seed,
            examples=running.examples,
            max_failures=running.max_failures,
        )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class OtherData:
    """What is taken from elsewhere than DATA.

    Args:
        questions: a file of questions as the paper's authors publish it (clean_questions.json);
            by default the data's own.
        lens_data: other images for the lens; the paper takes COCO's validation images.
        mean_data: other images for the mean visual token; the paper takes ImageNet's.
    """

    questions: Path | None = None
    lens_data: str | None = None
    mean_data: str | None = None

    def opened(self, data: str, seed: int) -> tuple[OpenedData, dict[str, OpenedData | None]]:
        """DATA with its questions, and the others by name.

        Raises:
            InputError: a path or a file that is wrong, or data without objects.
        """
        from ..reproduce import Once, OpenedData
        from ..sources import require_objects

        def once(spec: str, questions: Path | None = None) -> OpenedData:
            return OpenedData(Once(partial(samples_of, spec, seed, None)), questions)

        questions = self.questions
        source = once(data, None if questions is None else questions.expanduser().absolute())
        lens, mean = (
            None if spec is None else once(spec) for spec in (self.lens_data, self.mean_data)
        )
        for one in (source, lens):
            if one is not None:
                require_objects(one(), "the reproduction")
        if mean is not None:
            mean()
        return source, {"lens_data": lens, "mean_data": mean}


def reproduce(
    paper: Literal["neo2024"],
    model: str,
    data: str,
    /,
    *,
    out: Path,
    loading: Loading = Loading(),  # noqa: B008 (frozen)
    plan: PlanOptions = PlanOptions(),
    others: OtherData = OtherData(),
    running: Running = Running(),  # noqa: B008 (frozen)
) -> None:
    """Run a whole paper, and put each number beside the paper's.

    Neo et al. 2024: curation, the mean visual token, token ablation, logit lens and attention
    knockout, with the released code's rules, with corrected ones, or both; then a report with every
    known difference between the two. An interrupted reproduction goes on where it stopped. With
    --scale the curation and the mean are computed here.

    For example:

        retinoscope reproduce neo2024 llava-hf/llava-1.5-7b-hf \
coco:coco/annotations/instances_train2017.json --questions clean_questions.json \
--lens-data coco:coco/annotations/instances_val2017.json --out runs/neo2024

        retinoscope reproduce neo2024 pocket scenes:40 --out runs/pocket --min-area 200 \
--max-area 4000 --lens-min-area 200 --lens-max-area 4000 --limit 8

    Args:
        paper: neo2024.
        model: pocket, a Hub id, or a folder with a Hugging Face model.
        data: scenes:N, coco:FOLDER, vg:FOLDER, folder:PATH, table:FILE or datasets:NAME.
        out: folder for everything, and the report.
    """
    running.check()
    plan.check()
    from ..reproduce import neo2024

    # A wrong path or a wrong file is told before the model is loaded.
    source, other = others.opened(data, running.data_seed)
    quiet()
    with Progress() as progress:
        report = neo2024(
            load_model(model, loading),
            source,
            out,
            plan.plan(running),
            **other,
            stage=progress.stage,
            executors=running.executors(model, loading),
            retry_failed=running.retry_failed,
        )
        progress.say("writing the report")
        path = report.write()
    say_findings(report.findings)
    say(f"report: {path}")
    if any(run.results.failures() for run in report.runs):
        say("some images failed: the report lists them")
        raise SystemExit(PARTLY)
