"""The comparison: one small vision transformer, trained on the same scenes by several objectives.

`train_encoders` makes all of them; `retinoscope.encoders.packed` opens what it wrote. Every
objective takes the same number of steps of the same number of images; the loader hands out images
and captions, never a mask, a box or a label.
"""

from ._config import EncoderRecipe
from ._pairs import Pairs
from ._train import train_encoders

__all__ = ["EncoderRecipe", "Pairs", "train_encoders"]
