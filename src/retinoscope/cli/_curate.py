"""`retinoscope curate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ._common import (
    PARTLY,
    Loading,
    Several,
    check_counts,
    check_seeds,
    load_model,
    quiet,
    samples_of,
)
from ._progress import Progress
from ._say import say

if TYPE_CHECKING:
    from ..curation import Filter

Task = Literal["generative", "polling", "question"]
Mode = Literal["paper", "corrected"]
_Flag = Annotated[bool, Parameter(negative=())]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which objects are kept.

    Args:
        paper: the paper's filters: an area of 1000 to 2000 pixels, at most 3 annotations, the first
            such object, its crop rule and its hallucination filter; the options change their
            settings.
        min_area: only objects with more visible pixels.
        max_area: only objects with fewer visible pixels.
        at_most: only images with at most this many annotations.
        first: at most this many objects per image, the first ones.
        has_question: only objects that one of the data's questions is about.
        hallucination: only objects that the caption names, but no longer names once their pixels
            are noise.
        baseline: only objects for which the model answers these tasks correctly.
        mode: rules of area, crop and answers; "paper" with --paper, else "corrected".
    """

    paper: _Flag = False
    min_area: float | None = None
    max_area: float | None = None
    at_most: int | None = None
    first: int | None = None
    has_question: _Flag = False
    hallucination: _Flag = False
    baseline: Annotated[tuple[Task, ...], Several] = ()
    mode: Mode | None = None

    def check(self) -> None:
        """Raises `InputError` for impossible numbers, before anything is opened."""
        check_counts(at_most=self.at_most, first=self.first)

    def filters(self, seed: int) -> tuple[Filter, ...]:
        """The filters in order; `seed` is the seed of the noise."""
        from .. import curation

        rule = self.mode or ("paper" if self.paper else "corrected")
        low, high, at_most, first = self.min_area, self.max_area, self.at_most, self.first
        if self.paper:
            low, high = 1000 if low is None else low, 2000 if high is None else high
            at_most, first = at_most or 3, first or 1
        chosen: tuple[tuple[object, Filter], ...] = (
            (True, curation.OneInstance()),
            (low is not None or high is not None, curation.Area(low, high, rule)),
            (at_most, curation.AtMost(at_most or 1)),
            (self.has_question, curation.HasQuestion()),
            (first, curation.First(first or 1)),
            (True, curation.SurvivesCrop(rule)),
            (self.paper or self.hallucination, curation.Hallucination(rule, seed=seed)),
            *((True, curation.BaselineCorrect(task, rule)) for task in self.baseline),
        )
        return tuple(filter_ for wanted, filter_ in chosen if wanted)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Curating:
    """How a curation is run.

    Args:
        limit: stop after this many kept images.
        caption_tokens: longest caption.
        seed: seed of the noise.
        data_seed: seed of drawn scenes (scenes:N).
        max_failures: share of the images that may fail.
        retry_failed: retry images that failed before.
    """

    limit: int | None = None
    caption_tokens: int = 200
    seed: int = 0
    data_seed: int = 0
    max_failures: float = 0.5
    retry_failed: _Flag = False

    def check(self) -> None:
        """Raises `InputError` for impossible numbers, before anything is opened."""
        check_seeds(seed=self.seed)
        check_counts(limit=self.limit, caption_tokens=self.caption_tokens)


def curate(
    model: str,
    data: str,
    /,
    *,
    out: Path,
    loading: Loading = Loading(),  # noqa: B008 (frozen)
    choice: Choice = Choice(),
    running: Curating = Curating(),
) -> None:
    """Choose objects to study: filters in order, with the number left after each.

    Always required: one instance of the object's category, and at least one visual token on it.
    Writes curation.json into the folder, which can be shared; studies take it with --curation. An
    interrupted curation continues where it stopped.

    For example:

        retinoscope curate llava-hf/llava-1.5-7b-hf coco:coco --paper --limit 1000 --out runs/cur

        retinoscope ablate llava-hf/llava-1.5-7b-hf coco:coco --curation runs/cur --out runs/abl

    Args:
        model: pocket, a Hub id, or a folder with a Hugging Face model.
        data: scenes:N, coco:FOLDER, vg:FOLDER, folder:PATH, table:FILE or datasets:NAME.
        out: folder for the curation.
    """
    choice.check()
    running.check()
    from ..curation import Curation
    from ..sources import require_objects

    samples = samples_of(data, running.data_seed, None)
    # Checked before the model is loaded.
    require_objects(samples, "a curation")
    quiet()
    with Progress() as progress:
        curation = Curation(
            load_model(model, loading),
            samples,
            choice.filters(running.seed),
            limit=running.limit,
            caption_tokens=running.caption_tokens,
            max_failures=running.max_failures,
        )
        stage = progress.stage(f"curation for {model}")
        curated = curation.run(out, stage, retry_failed=running.retry_failed)
    say(curated, lines=True)
    say(f"curation: {out / 'curation.json'}")
    if curated.failed:
        raise SystemExit(PARTLY)
