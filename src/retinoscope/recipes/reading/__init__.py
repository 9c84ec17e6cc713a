"""Training of the word reader: VisionLAN's masked reading, and what it is compared with."""

from ._mask import (
    LetterMask,
    MaskedReading,
    attention_mask,
    only_letter,
    strips,
    without_letter,
    word_loss,
)

__all__ = [
    "LetterMask",
    "MaskedReading",
    "attention_mask",
    "only_letter",
    "strips",
    "without_letter",
    "word_loss",
]
