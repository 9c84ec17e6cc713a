"""The frozen language model and its tokenizer, from a GGUF file or a Hugging Face folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ...errors import InputError, MissingExtraError

IMAGE_TOKEN = "<empty_output>"
"""A token that the vocabulary keeps for notebooks and that never occurs in conversations: it stands
for a visual token, so that the vocabulary stays unchanged."""

CHAT_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}"
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "{{ '" + IMAGE_TOKEN + "\n' }}{% endif %}{% endfor %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}"
    "{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""The language model's own template, with images before the text of a message."""


def open_language(
    source: Path, dtype: torch.dtype = torch.float32
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Opens a causal language model and its tokenizer.

    Args:
        source: a `.gguf` file (its weights are de-quantised), or a folder.
        dtype: of the weights.

    Raises:
        InputError: neither, one that does not load, or a vocabulary without `IMAGE_TOKEN`.
        MissingExtraError: the package that reads GGUF files is not installed.
    """
    options: dict[str, Any] = {"trust_remote_code": False}
    if source.is_file():
        if importlib.util.find_spec("gguf") is None:
            raise MissingExtraError("gguf", "smol")
        options["gguf_file"] = source.name
    elif not (source / "config.json").is_file():
        raise InputError(
            f"expected a language model as a .gguf file or a folder with config.json, got {source}"
        )
    folder = source.parent if source.is_file() else source
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, extra_special_tokens={"image_token": IMAGE_TOKEN}, **options
        )
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **options)
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise InputError(
            f"expected a language model that transformers reads, got {source}: {first}"
        ) from error
    prepare(tokenizer, source, model.config.vocab_size)
    return model.eval(), tokenizer


def prepare(tokenizer: PreTrainedTokenizerBase, source: Path, size: int) -> None:
    """Restores the tokenizer's rule for digits, and sets the token that stands for the image."""
    known: Any = tokenizer
    # The library adds unknown special tokens, whose ids exceed the embeddings.
    if known.convert_tokens_to_ids(IMAGE_TOKEN) >= size:
        raise InputError(
            f"expected a vocabulary with the token {IMAGE_TOKEN!r}, got none in {source}: "
            "use SmolLM2"
        )
    if source.is_file():
        _special_tokens(known, source)
        # The file only names this rule ("smollm"), which its reader ignores.
        known.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
    known.chat_template = CHAT_TEMPLATE
    known.padding_side = "left"


_SPECIAL = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "pad_token": "padding_token_id",
}


def _special_tokens(tokenizer: Any, source: Path) -> None:
    """Sets those that the file names: transformers 5.17 takes another end and no padding."""
    from gguf import GGUFReader

    fields = GGUFReader(source).fields
    for name, key in _SPECIAL.items():
        field = fields.get(f"tokenizer.ggml.{key}")
        if field is not None:
            setattr(tokenizer, name, tokenizer.convert_ids_to_tokens(int(field.contents())))
