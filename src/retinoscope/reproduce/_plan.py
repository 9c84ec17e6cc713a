"""Settings of a reproduction of Neo et al. 2024; the defaults are the paper's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .. import arguments
from ..answers.tasks import PREFILL, PromptOptions
from ..curation import (
    Area,
    AtMost,
    Filter,
    First,
    HasQuestion,
    OneInstance,
    SurvivesCrop,
    paper_filters,
)

Mode = Literal["paper", "corrected"]
MODES: tuple[Mode, ...] = ("paper", "corrected")
_COUNTS = (
    *("n_objects", "n_questions", "n_lens", "mean_images", "at_most"),
    *("caption_tokens", "polling_tokens"),
)


@dataclass(frozen=True)
class ReproductionPlan:
    """Settings of a reproduction.

    Args:
        mode: "paper" for the released code's rules, "corrected", or "both".
        limit: largest number of images in each of the three sets; None for the paper's numbers.
        n_objects, n_questions, n_lens: numbers of images for captions and yes/no questions, for
            open questions (and the knockout), and for the lens (the paper: 1,000, 100 and 170).
        min_area, max_area, at_most: bounds of the objects (the paper: 1,000 to 2,000 pixels of the
            original image, at most 3 annotations); other data have other sizes.
        lens_min_area, lens_max_area: bounds of the lens's objects (the paper: 20,000 to 30,000).
        sizes: sizes of the random and gradient sets.
        gradient_steps: number of steps of integrated gradients.
        caption_tokens, polling_tokens: maximum lengths of answers.
        prefill: text put before the answer to questions that ask for a name; None for none.
        mean_images: maximum number of images for the mean visual token (the paper: 50,000 of
            ImageNet).
        untrained: run the lens also on a copy with random weights, which doubles the memory.
        seed: seed of all random choices.
        examples: number of images of each study that are kept as pictures.
        max_failures: largest share of the images that may fail.
    """

    mode: Literal["paper", "corrected", "both"] = "both"
    limit: int | None = None
    n_objects: int = 1000
    n_questions: int = 100
    n_lens: int = 170
    min_area: float | None = 1000
    max_area: float | None = 2000
    at_most: int = 3
    lens_min_area: float | None = 20_000
    lens_max_area: float | None = 30_000
    sizes: tuple[int, ...] = (5, 10, 20, 40, 60, 100, 250)
    gradient_steps: int = 50
    caption_tokens: int = 200
    polling_tokens: int = 10
    prefill: str | None = PREFILL
    mean_images: int = 5000
    untrained: bool = False
    seed: int = 0
    examples: int = 3
    max_failures: float = 0.5

    def __post_init__(self) -> None:
        arguments.one_of(self.mode, (*MODES, "both"), "mode")
        arguments.seed(self.seed)
        arguments.whole(self.examples, "examples", 0)
        arguments.whole(self.gradient_steps, "gradient_steps", 2)
        if self.limit is not None:
            arguments.whole(self.limit, "limit", 1)
        for name in _COUNTS:
            arguments.whole(getattr(self, name), name, 1)
        arguments.wholes(self.sizes, "sizes", 1)

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes to run."""
        return tuple(mode for mode in MODES if self.mode in (mode, "both"))

    def capped(self, n: int) -> int:
        """Returns `n`, or `limit` if that is smaller."""
        return n if self.limit is None else min(n, self.limit)

    def object_filters(self, mode: Mode) -> tuple[Filter, ...]:
        """Returns the filters of images for captions and yes/no questions."""
        return paper_filters(
            mode,
            min_area=self.min_area,
            max_area=self.max_area,
            at_most=self.at_most,
            seed=self.seed,
        )

    def question_filters(self, mode: Mode) -> tuple[Filter, ...]:
        """Returns the filters of images for open questions, without one for hallucinations."""
        return (
            OneInstance(),
            Area(self.min_area, self.max_area, mode),
            AtMost(self.at_most),
            HasQuestion(),
            First(1),
            SurvivesCrop(mode),
        )

    def lens_filters(self) -> tuple[Filter, ...]:
        """Returns the filters of the lens's images; of the paper's rule only the area is known."""
        return (
            OneInstance(),
            Area(self.lens_min_area, self.lens_max_area),
            First(1),
            SurvivesCrop("corrected"),
        )

    def max_questions(self, mode: Mode) -> int | None:
        """Returns the maximum per image; the released code asks only the first question."""
        return 1 if mode == "paper" else None

    def prompts(self, mode: Mode) -> PromptOptions:
        """Returns the paper's wording; the curation has chosen the objects."""
        return PromptOptions(
            max_instances=None,
            max_questions=self.max_questions(mode),
            prefill=self.prefill,
            absent=False,
        )
