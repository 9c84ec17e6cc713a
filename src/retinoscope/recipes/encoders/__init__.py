"""The encoder comparison: one small vision transformer, several objectives, the same scenes.

`train_encoders` trains all of them; `retinoscope.encoders.packed` opens the result. Every objective
takes the same number of steps over batches of the same size. The loader yields images and captions,
never a mask, a box or a label.
"""

from ._config import EncoderRecipe
from ._pairs import Pairs
from ._train import train_encoders

__all__ = ["EncoderRecipe", "Pairs", "train_encoders"]
