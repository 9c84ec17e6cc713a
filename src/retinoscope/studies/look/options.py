"""Options of word attention; standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..options import Covering, ObjectBounds


@dataclass(frozen=True, kw_only=True)
class LookOptions(ObjectBounds, Covering):
    """Where does a word look? Attention of a description's words to the objects that they name.

    For every object that the description names, the word's attention to the image is compared with
    the object's mask, by block and head. Controls are the mask's area, another image's mask, and a
    copy with random weights.

    For example:

        retinoscope word-attention pocket scenes:100 --out runs/look

        retinoscope word-attention planted:direct squares:20 --out runs/planted-look

    Args:
        max_new_tokens: maximum length of a description.
        untrained: also run a copy with random weights, which needs the model's memory again.
    """

    MODEL: ClassVar[str] = "pocket, planted:NAME, a Hub id, or a folder with a Hugging Face model."
    DATA: ClassVar[str] = "scenes:N, squares:N, coco:FOLDER or folder:PATH."

    max_new_tokens: int = 64
    untrained: bool = True


OPTIONS = LookOptions
