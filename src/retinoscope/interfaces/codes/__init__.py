"""Images as sequences of discrete codes whose length follows the image: LaVIT's tokenizer."""

from ._attention import SharedAttention
from ._decoder import CodeDecoder
from ._merger import Merger
from ._selector import Selector
from ._tokenizer import CodeSequences, DynamicTokenizer, TokenizerShape, kept_first

__all__ = [
    "CodeDecoder",
    "CodeSequences",
    "DynamicTokenizer",
    "Merger",
    "Selector",
    "SharedAttention",
    "TokenizerShape",
    "kept_first",
]
