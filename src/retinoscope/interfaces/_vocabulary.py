"""The words of the interfaces' language model, and the processor that writes its prompts.

Prompts are BLIP-2's: visual tokens first of all, then `<s> question : ... answer :`. A language
model that writes codes has a word for each, behind all others, and two that stand around them.
"""

from __future__ import annotations

from transformers import AddedToken, Blip2Processor, BlipImageProcessorPil, PreTrainedTokenizerFast

from ..data.scenes import MORE_WORDS
from ..pocket.vocabulary import OPTIONS, word_tokenizer, words

PROMPT_WORDS = ("question", "answer")
OPEN, CLOSE = "<codes>", "</codes>"
"""What stands before and after the codes of an image, or of a part of it."""


def interface_tokenizer(n_codes: int = 0) -> PreTrainedTokenizerFast:
    """The pocket tokenizer with further words; all ids of the pocket tokenizer stay the same.

    Args:
        n_codes: of the codebook whose codes are words too; none without one.
    """
    known = dict.fromkeys((*words(), *PROMPT_WORDS, *MORE_WORDS))
    made = PreTrainedTokenizerFast(tokenizer_object=word_tokenizer(tuple(known)), **OPTIONS)
    if n_codes:
        for name in (OPEN, CLOSE, *map(code_name, range(n_codes))):
            made.add_tokens(AddedToken(name, special=True, normalized=False))
    return made


def n_codes_of(vocab_size: int) -> int:
    """The codes among the words of a language model of this size."""
    return max(0, vocab_size - len(interface_tokenizer()) - len((OPEN, CLOSE)))


def code_name(code: int) -> str:
    """The word of a code."""
    return f"<code-{code}>"


def interface_processor(n_tokens: int, size: int = 144, n_codes: int = 0) -> Blip2Processor:
    """Writes `n_tokens` placeholders before the prompt and scales pixels to -1..1.

    Args:
        n_tokens: the number of visual tokens per image.
        size: side of the image that the towers see, in pixels.
        n_codes: see `interface_tokenizer`.
    """
    half = [0.5, 0.5, 0.5]
    pixels = BlipImageProcessorPil(
        size={"height": size, "width": size}, image_mean=half, image_std=half
    )
    return Blip2Processor(
        image_processor=pixels,
        tokenizer=interface_tokenizer(n_codes),
        num_query_tokens=n_tokens,
    )
