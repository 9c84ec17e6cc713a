"""Words in questions that a model's tokenizer does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..store import Scalar
from ._executor import Rows

if TYPE_CHECKING:
    from ..engine import VLM

UNKNOWN = "unknown_words"
"""Column of every study whose rows have a question."""


def with_unknown_words(rows: Rows, vlm: VLM) -> Rows:
    """Adds the words of each row's question that the tokenizer does not know; None for none."""
    # Hundreds of conditions share a question.
    unknown = {question: _unknown(question, vlm) for question in {row["question"] for row in rows}}
    return [row | {UNKNOWN: unknown[row["question"]]} for row in rows]


def _unknown(question: Scalar, vlm: VLM) -> str | None:
    if not isinstance(question, str):
        return None
    return ", ".join(vlm.adapter.vocabulary.unknown(question)) or None
