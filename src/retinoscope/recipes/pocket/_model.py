"""The architecture: an ordinary LLaVA whose random weights are scaled to its small width."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlamaModel,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerBase,
)

from ...pocket.vocabulary import token_id
from ._attention import TRAINING_ATTENTION
from ._config import Sizes

if TYPE_CHECKING:
    from collections.abc import Iterator


def build_model(sizes: Sizes, tokenizer: PreTrainedTokenizerBase) -> LlavaForConditionalGeneration:
    """The untrained model, with the attention that trains fastest here (it is not saved)."""
    vision = CLIPVisionConfig(
        hidden_size=sizes.vision_width,
        intermediate_size=sizes.vision_ff,
        num_hidden_layers=sizes.vision_layers,
        num_attention_heads=sizes.vision_heads,
        image_size=sizes.image,
        patch_size=sizes.patch,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text_config(sizes, tokenizer),
        image_token_index=token_id(tokenizer, "<image>"),
        image_seq_length=sizes.grid**2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    model = LlavaForConditionalGeneration._from_config(
        config, attn_implementation=TRAINING_ATTENTION
    )
    return model.float()


def text_config(sizes: Sizes, tokenizer: PreTrainedTokenizerBase) -> LlamaConfig:
    """The language model's architecture."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=sizes.text_width,
        intermediate_size=sizes.text_ff,
        num_hidden_layers=sizes.text_layers,
        num_attention_heads=sizes.text_heads,
        num_key_value_heads=sizes.text_heads,
        max_position_embeddings=1024,
        bos_token_id=token_id(tokenizer, "<s>"),
        eos_token_id=token_id(tokenizer, "</s>"),
        pad_token_id=token_id(tokenizer, "<pad>"),
        tie_word_embeddings=False,
    )


def initialise(model: LlavaForConditionalGeneration, seed: int) -> None:
    """Scales the random weights for widths of 128 to 192.

    With the library's standard deviation of 0.02, a model this narrow stays on the plateau of the
    answers' marginals. Projections into the residual stream shrink with depth as in GPT-2, and the
    projector's output starts at the scale of the word embeddings.
    """
    generator = torch.Generator().manual_seed(seed)
    text, vision = model.model.language_model, model.model.vision_tower
    for tower in (text, vision):
        draw_blocks(tower, tower.config.num_hidden_layers, generator)
    draw_words(text, model.lm_head, generator)
    for number, (_, linear) in enumerate(_linears(model.model.multi_modal_projector)):
        std = 1 / math.sqrt(linear.in_features)
        nn.init.normal_(linear.weight, std=std * (0.4 if number else 1.0), generator=generator)
        nn.init.zeros_(linear.bias)


def draw_blocks(tower: nn.Module, depth: int, generator: torch.Generator) -> None:
    """Draws every matrix of a transformer of `depth` blocks."""
    for name, linear in _linears(tower):
        into_residual = name.endswith(("o_proj", "down_proj", "out_proj", "fc2"))
        std = 0.08 / math.sqrt(2 * depth) if into_residual else 0.08
        nn.init.normal_(linear.weight, std=std, generator=generator)
        if linear.bias is not None:
            nn.init.zeros_(linear.bias)


def draw_words(text: LlamaModel, head: nn.Linear, generator: torch.Generator) -> None:
    """Draws the word embeddings and the unembedding."""
    nn.init.normal_(text.embed_tokens.weight, std=0.6, generator=generator)
    nn.init.normal_(head.weight, std=0.08, generator=generator)


def _linears(module: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    for name, child in module.named_modules():
        if isinstance(child, nn.Linear):
            yield name, child
