"""The pocket tokenizer: one token per word, so that a kind's name is always one token.

Text is lower-cased and a newline counts as a space, so the paper's LLaVA-1.5 prompts can be used
verbatim. Words outside the vocabulary become `<unk>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ..data.scenes import COLORS, KINDS, SIGN_WORDS

SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<image>")
PUNCTUATION = (".", ",", "?", ":")
COUNTS = ("one", "two", "three", "four", "five")
DIRECTIONS = ("left", "right", "above", "below")
# fmt: off
FUNCTION_WORDS = (
    "user", "assistant", "a", "an", "the", "is", "are", "there", "in", "this", "image", "what",
    "color", "thing", "things", "of", "how", "many", "does", "sign", "say", "says", "it", "and",
    "yes", "no", "describe", "ground", "at", "top", "bottom", "middle", "with", "on",
)
# fmt: on

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}USER: {% else %}ASSISTANT: {% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }} {% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n{% endif %}"
    "{% endfor %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }} "
    "{% endif %}{% endfor %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""LLaVA-1.5's conversation format."""


OPTIONS: dict[str, Any] = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "padding_side": "left",
    "model_max_length": 1024,
}
"""Settings of every tokenizer made from `word_tokenizer`."""


def words() -> tuple[str, ...]:
    """Every ordinary word, in a fixed order without repeats."""
    ordered = (*FUNCTION_WORDS, *KINDS, *COLORS, *COUNTS, *DIRECTIONS, *SIGN_WORDS)
    return tuple(dict.fromkeys(ordered))


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """The id of one vocabulary entry."""
    number = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(number, int)
    return number


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Builds the tokenizer, ready to be saved beside a model."""
    return PreTrainedTokenizerFast(
        tokenizer_object=word_tokenizer(words()),
        **OPTIONS,
        extra_special_tokens={"image_token": "<image>"},
        chat_template=CHAT_TEMPLATE,
    )


def word_tokenizer(known: Sequence[str]) -> Tokenizer:
    """One token for each special token, punctuation mark and known word, in this order."""
    entries = (*SPECIAL, *PUNCTUATION, *(f"▁{word}" for word in known))
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[.,?:]"), behavior="isolated"),
            pre_tokenizers.Split(Regex(r"\s"), behavior="removed"),
            pre_tokenizers.Metaspace(prepend_scheme="always"),
            pre_tokenizers.Split(Regex(r"▁(?=[.,?:])"), behavior="removed"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    bos = vocabulary["<s>"]
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", bos)]
    )
    tokenizer.add_special_tokens(
        [AddedToken(entry, special=True, normalized=False) for entry in SPECIAL]
    )
    return tokenizer
