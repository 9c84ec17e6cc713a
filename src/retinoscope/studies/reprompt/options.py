"""Options of image re-prompting; standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..options import Intervening

SHARES = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True, kw_only=True)
class RepromptOptions(Intervening):
    """How few visual tokens are enough to answer new questions?

    The model describes the image; then, of that context, only the text and the visual tokens that
    the description attended to most are kept, chosen block by block. New questions are answered
    from these. Controls are as many random tokens, the whole context, and the question on its own.

    For example:

        retinoscope reprompt pocket scenes:100 --out runs/reprompt

        retinoscope reprompt pocket scenes:100 --shares 0 0.02 0.1 1 --out runs/few

    Args:
        shares: shares of the visual tokens to keep, 0 for none; the curve of the report.
        max_questions: maximum number of questions per image.
        max_new_tokens: maximum length of a description.
    """

    MODEL: ClassVar[str] = "pocket, planted:NAME, a Hub id, or a folder with a Hugging Face model."
    DATA: ClassVar[str] = "scenes:N, squares:N, coco:FOLDER or folder:PATH."

    shares: tuple[float, ...] = SHARES
    max_questions: int | None = 6
    max_new_tokens: int = 64


OPTIONS = RepromptOptions
