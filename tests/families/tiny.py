"""What the tiny models have in common: a tokenizer of whole words, and weights that show edits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedModel, PreTrainedTokenizerFast, ProcessorMixin

WORDS = (
    *("user", "assistant", "system", "Describe", "this", "image.", "Is", "there", "a", "in"),
    *("image?", "What", "is", "the", "color", "of", "yes", "no", "cat", "car", "red", "blue"),
    *("green", "dog", "tree", "It", "left", "right", "car?", "cat?", "and", "two", "fish"),
)


def named(bos: str, eos: str, pad: str = "<pad>", unk: str = "<unk>") -> dict[str, str]:
    return {"bos_token": bos, "eos_token": eos, "pad_token": pad, "unk_token": unk}


def word_tokenizer(
    special: Sequence[str],
    names: dict[str, str],
    extra: dict[str, str] | None = None,
    *,
    template: str = "",
    words: Sequence[str] = WORDS,
) -> PreTrainedTokenizerFast:
    """One token per word.

    Args:
        names: the bos, eos, pad and unk tokens; `extra` gives further ones.
        template: what stands around a text, such as "<s> $A".
    """
    entries = (*special, *(f"▁{word}" for word in words))
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token=names["unk_token"]))
    tokenizer.normalizer = normalizers.Replace("\n", " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    if template:
        written = [piece for piece in template.split() if piece != "$A"]
        tokenizer.post_processor = TemplateProcessing(
            single=template, special_tokens=[(piece, vocabulary[piece]) for piece in written]
        )
    tokenizer.add_special_tokens(
        [AddedToken(entry, special=True, normalized=False) for entry in special]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **names, extra_special_tokens=extra or {}
    )


def spread(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """Weights large enough that edits show, norms at one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.2)
            elif "norm" in name and name.endswith("weight"):
                torch.nn.init.ones_(parameter)
    return model.float().eval()


def made(kind: type[PreTrainedModel], config: Any, attention: Any, seed: int) -> PreTrainedModel:
    return spread(kind._from_config(config, attn_implementation=attention), seed)


def without_video(kind: type[ProcessorMixin]) -> Any:
    """`kind`, which can then be made without its part for videos: that part needs torchvision."""

    def check(self: ProcessorMixin, name: str, given: object) -> object:
        if name == "video_processor" and given is None:
            return None
        return kind.check_argument_for_proper_class(self, name, given)

    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": check})
