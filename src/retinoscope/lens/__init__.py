"""The logit lens: hidden states read out in the vocabulary, layer by layer, in bounded memory."""

from ._lens import Lens, logit_lens

__all__ = ["Lens", "logit_lens"]
