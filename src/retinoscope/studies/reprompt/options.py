"""What can be chosen of image re-prompting; standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..options import Intervening

SHARES = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True, kw_only=True)
class RepromptOptions(Intervening):
    """How few visual tokens are enough to answer new questions?

    The model describes the image; then, of that context, only the text and the visual tokens that
    the description attended to most are kept, in each block its own. New questions are answered
    from these. Beside it as many random tokens, the whole context, and the question on its own.

    For example:

        retinoscope reprompt pocket scenes:100 --out runs/reprompt

        retinoscope reprompt pocket scenes:100 --shares 0 0.02 0.1 1 --out runs/few

    Args:
        shares: of the visual tokens that are kept, 0 for none; the curve of the report.
        max_questions: at most so many questions an image.
        max_new_tokens: longest description.
    """

    MODEL: ClassVar[str] = "pocket, planted:NAME, a Hub id, or a folder with a Hugging Face model."
    DATA: ClassVar[str] = "scenes:N, squares:N, coco:FOLDER or folder:PATH."

    shares: tuple[float, ...] = SHARES
    max_questions: int | None = 6
    max_new_tokens: int = 64


OPTIONS = RepromptOptions
