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
        limit: the most images in each of the three sets (in the paper 1000 for captions and yes/no,
            100 for questions, 170 for the lens).
        mean_images: the most images for the mean visual token (in the paper 50000).
        min_area: objects with more pixels of the original image.
        max_area: objects with fewer pixels.
        at_most: images with at most this many annotations.
        lens_min_area: min_area for the lens.
        lens_max_area: max_area for the lens.
        sizes: numbers of tokens in the random and gradient sets.
        gradient_steps: steps of integrated gradients.
        caption_tokens: longest caption.
        prefill: start of the answer to questions that ask for a name; "" for none.
        untrained: also run the lens on a copy with random weights, which needs the model's memory
            once more.
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
        """Raises `InputError` for impossible numbers, before anything is opened."""
        names = ("limit", "mean_images", "at_most", "caption_tokens")
        check_counts(**{name: getattr(self, name) for name in names})
        check_counts(2, gradient_steps=self.gradient_steps)

    def plan(self, running: Running) -> ReproductionPlan:
        """The plan for `reproduce`."""
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
    """Data from other sources than DATA.

    Args:
        questions: a file of questions in the form published by the paper's authors
            (clean_questions.json); by default the data's own.
        lens_data: other images for the lens; the paper uses COCO's validation images.
        mean_data: other images for the mean visual token; the paper uses ImageNet's.
    """

    questions: Path | None = None
    lens_data: str | None = None
    mean_data: str | None = None

    def opened(self, data: str, seed: int) -> tuple[OpenedData, dict[str, OpenedData | None]]:
        """Opens DATA with its questions, and the other data by name.

        Raises:
            InputError: a wrong path or file, or data without objects.
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
        for opened in (source, lens):
            if opened is not None:
                require_objects(opened(), "the reproduction")
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
    """Run a whole paper, and compare each number with the paper's.

    Neo et al. 2024: curation, the mean visual token, token ablation, logit lens and attention
    knockout, with the released code's rules, with corrected ones, or both; then a report with every
    known difference between the two. An interrupted reproduction continues where it stopped. With
    --scale, the curation and the mean are still computed here.

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
        out: folder for everything, including the report.
    """
    running.check()
    plan.check()
    from ..reproduce import neo2024

    # Wrong paths and files are reported before the model is loaded.
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
