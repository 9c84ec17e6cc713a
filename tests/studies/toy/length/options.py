"""What can be chosen of the toy study."""

from __future__ import annotations

from dataclasses import dataclass

from retinoscope.studies.options import ObjectBounds


@dataclass(frozen=True, kw_only=True)
class LengthOptions(ObjectBounds):
    """How long is a description without an object's tokens?

    For example:

        retinoscope length pocket scenes:2 --out runs/length

    Args:
        max_new_tokens: longest description, in tokens.
    """

    max_new_tokens: int = 30


OPTIONS = LengthOptions
