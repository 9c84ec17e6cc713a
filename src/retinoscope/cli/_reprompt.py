"""`retinoscope reprompt`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from ._common import Intervening, Loading, run_study
from ._studies import Several

if TYPE_CHECKING:
    from ..data import Sample
    from ..engine import VLM
    from ..studies import Study

SHARES = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0)


def reprompt(
    model: str,
    data: str,
    /,
    *,
    common: Intervening,
    loading: Loading = Loading(),  # noqa: B008 (frozen)
    shares: Annotated[tuple[float, ...], Several] = SHARES,
    max_questions: int | None = 6,
    max_new_tokens: int = 64,
) -> None:
    """How few visual tokens are enough to answer new questions?

    The model describes the image; then, of that context, only the text and the visual tokens that
    the description attended to most are kept, in each block its own. New questions are answered
    from these. Beside it as many random tokens, the whole context, and the question on its own.

    For example:

        retinoscope reprompt pocket scenes:100 --out runs/reprompt

        retinoscope reprompt pocket scenes:100 --shares 0 0.02 0.1 1 --out runs/few

    Args:
        model: pocket, planted:NAME, a Hub id, or a folder with a Hugging Face model.
        data: scenes:N, squares:N, coco:FOLDER or folder:PATH.
        shares: of the visual tokens that are kept, 0 for none; the curve of the report.
        max_questions: at most so many questions an image.
        max_new_tokens: longest description.
    """

    def make(vlm: VLM, samples: Sequence[Sample]) -> Study:
        from ..studies import ImageReprompting

        return ImageReprompting(
            vlm,
            samples,
            seed=common.seed,
            n_examples=common.examples,
            exact=common.exact,
            shares=shares,
            max_questions=max_questions,
            description_tokens=max_new_tokens,
        )

    run_study(model, data, common, loading, make)
