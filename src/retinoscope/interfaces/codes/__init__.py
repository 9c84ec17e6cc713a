"""Images as sequences of discrete codes whose length follows the image: LaVIT's tokenizer."""

from ._attention import SharedAttention
from ._decoder import CodeDecoder
from ._merger import Merger
from ._regions import COVERED, CodedImage, Region, find_region, heat_of, overlap_of
from ._selector import Selector
from ._tokenizer import CodeSequences, DynamicTokenizer, TokenizerShape, kept_first

__all__ = [
    "COVERED",
    "CodeDecoder",
    "CodeSequences",
    "CodedImage",
    "DynamicTokenizer",
    "Merger",
    "Region",
    "Selector",
    "SharedAttention",
    "TokenizerShape",
    "find_region",
    "heat_of",
    "kept_first",
    "overlap_of",
]
