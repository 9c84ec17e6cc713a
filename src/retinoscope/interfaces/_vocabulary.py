"""The words of the interfaces' language model, and the processor that writes its prompts.

Prompts are BLIP-2's: visual tokens first of all, then `<s> question : ... answer :`.
"""

from __future__ import annotations

from transformers import Blip2Processor, BlipImageProcessorPil, PreTrainedTokenizerFast

from ..data.scenes import MORE_WORDS
from ..pocket.vocabulary import OPTIONS, word_tokenizer, words

PROMPT_WORDS = ("question", "answer")


def interface_tokenizer() -> PreTrainedTokenizerFast:
    """The pocket tokenizer with further words; all ids of the pocket tokenizer stay the same."""
    known = dict.fromkeys((*words(), *PROMPT_WORDS, *MORE_WORDS))
    return PreTrainedTokenizerFast(tokenizer_object=word_tokenizer(tuple(known)), **OPTIONS)


def interface_processor(n_tokens: int, size: int = 144) -> Blip2Processor:
    """Writes `n_tokens` placeholders before the prompt and scales pixels to -1..1.

    Args:
        n_tokens: the number of visual tokens per image.
        size: side of the image that the towers see, in pixels.
    """
    half = [0.5, 0.5, 0.5]
    pixels = BlipImageProcessorPil(
        size={"height": size, "width": size}, image_mean=half, image_std=half
    )
    return Blip2Processor(
        image_processor=pixels, tokenizer=interface_tokenizer(), num_query_tokens=n_tokens
    )
