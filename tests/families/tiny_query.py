"""Tiny random models of BLIP-2, InstructBLIP, Llama 3.2 Vision and Kosmos-2, with processors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tiny import named, word_tokenizer
from tokenizers import AddedToken
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessorPil,
    CLIPImageProcessorPil,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    Kosmos2Config,
    Kosmos2ForConditionalGeneration,
    Kosmos2Processor,
    LlamaConfig,
    MllamaConfig,
    MllamaForConditionalGeneration,
    MllamaImageProcessorPil,
    MllamaProcessor,
    OPTConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    T5Config,
)

WORDS = (
    *("Question:", "Answer:", "USER:", "ASSISTANT:", "Describe", "this", "image.", "Is", "there"),
    *("a", "an", "in", "image?", "What", "is", "the", "color", "of", "yes", "no", "cat", "car"),
    *("red", "blue", "green", "dog", "tree", "It", "left", "right", "car?", "cat?", "and", "two"),
)
SIDE, PATCH = 28, 4
N_QUERIES = 6

_VISION = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": PATCH,
}
_QFORMER = {
    "vocab_size": 96,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "cross_attention_frequency": 2,
}


def _tokenizer(
    special: Sequence[str], template: str, names: dict[str, str]
) -> PreTrainedTokenizerFast:
    return word_tokenizer(special, names, template=template, words=WORDS)


def spread(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """Weights large enough that edits show, norms at one, gates and queries away from zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, parameter in model.named_parameters():
            if "norm" in name.lower() and name.endswith("weight"):
                torch.nn.init.ones_(parameter)
            elif name.endswith("gate"):
                torch.nn.init.constant_(parameter, 0.8)
            else:
                torch.nn.init.normal_(parameter, std=0.25 if parameter.ndim > 1 else 0.02)
    return model.float().eval()


def made(kind: type[PreTrainedModel], config: Any, attention: Any, seed: int) -> PreTrainedModel:
    return spread(kind._from_config(config, attn_implementation=attention), seed)


# BLIP-2 and InstructBLIP


def blip2_processor(**options: Any) -> ProcessorMixin:
    """28 x 28 pixels, patches of 4, six queries before the beginning-of-text token."""
    settings = {"size": {"height": SIDE, "width": SIDE}}
    return Blip2Processor(
        image_processor=BlipImageProcessorPil(**{**settings, **options}),
        tokenizer=_tokenizer(("<s>", "<pad>", "</s>", "<unk>"), "</s> $A", named("</s>", "</s>")),
        num_query_tokens=N_QUERIES,
    )


def _opt(**text: Any) -> OPTConfig:
    settings = {
        "vocab_size": 4 + len(WORDS) + 1,
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
        "pad_token_id": 1,
        "bos_token_id": 2,
        "eos_token_id": 2,
    }
    return OPTConfig(**{**settings, **text})


def _t5() -> T5Config:
    return T5Config(
        vocab_size=4 + len(WORDS) + 1, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4
    )


def own(attention: str, decoder: str = "") -> str | dict[str, str]:
    """Older versions know no "sdpa" for the learned queries and for T5: it is the decoder's."""
    if attention != "sdpa":
        return attention
    return {} if decoder == "t5" else {"text_config": attention}


def blip2(
    attention: str = "sdpa", seed: int = 0, decoder: str = "opt", **text: Any
) -> PreTrainedModel:
    """`decoder` "opt", or "t5" for an encoder-decoder language model."""
    config = Blip2Config(
        vision_config=_VISION,
        qformer_config=_QFORMER,
        text_config=_opt(**text) if decoder == "opt" else _t5(),
        num_query_tokens=N_QUERIES,
        image_token_index=4 + len(WORDS),
    )
    return made(Blip2ForConditionalGeneration, config, own(attention, decoder), seed)


_BERT_NAMES = {
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
}


def instructblip_processor(**options: Any) -> ProcessorMixin:
    """As BLIP-2's, with a tokenizer of its own for the Q-Former."""
    settings = {"size": {"height": SIDE, "width": SIDE}}
    return InstructBlipProcessor(
        image_processor=BlipImageProcessorPil(**{**settings, **options}),
        tokenizer=_tokenizer(("<pad>", "<unk>", "<s>", "</s>"), "<s> $A", named("<s>", "</s>")),
        qformer_tokenizer=_tokenizer(
            ("[PAD]", "[UNK]", "[CLS]", "[SEP]"), "[CLS] $A [SEP]", _BERT_NAMES
        ),
        num_query_tokens=N_QUERIES,
    )


def instructblip(
    attention: str = "sdpa", seed: int = 0, decoder: str = "llama", **text: Any
) -> PreTrainedModel:
    """`decoder` "llama" (Vicuna), or "t5" for an encoder-decoder language model."""
    settings = {
        "vocab_size": 4 + len(WORDS) + 1,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 128,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "tie_word_embeddings": False,
    }
    config = InstructBlipConfig(
        vision_config=_VISION,
        qformer_config=_QFORMER,
        text_config=LlamaConfig(**{**settings, **text}) if decoder == "llama" else _t5(),
        num_query_tokens=N_QUERIES,
        image_token_index=4 + len(WORDS),
    )
    return made(InstructBlipForConditionalGeneration, config, own(attention, decoder), seed)


# Llama 3.2 Vision

_MLLAMA_SPECIAL = (
    *("<|finetune_right_pad_id|>", "<unk>", "<|begin_of_text|>", "<|end_of_text|>"),
    *("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|python_tag|>"),
)
MLLAMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}"
    "<|end_header_id|>\n\n{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "<|image|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
TILE = 16


def mllama_processor(**options: Any) -> ProcessorMixin:
    """Up to four tiles of 16 x 16 pixels, patches of 4."""
    tokenizer = _tokenizer(
        _MLLAMA_SPECIAL,
        "<|begin_of_text|> $A",
        named("<|begin_of_text|>", "<|eot_id|>", "<|finetune_right_pad_id|>"),
    )
    # As in the real vocabulary, the image token comes behind the last that has a logit.
    tokenizer.add_tokens([AddedToken("<|image|>", special=True, normalized=False)])
    settings = {"size": {"height": TILE, "width": TILE}, "max_image_tiles": 4}
    return MllamaProcessor(
        image_processor=MllamaImageProcessorPil(**{**settings, **options}),
        tokenizer=tokenizer,
        chat_template=MLLAMA_TEMPLATE,
    )


def mllama(attention: str = "sdpa", seed: int = 0, **text: Any) -> PreTrainedModel:
    """6 blocks, of which 1 and 4 attend to the image."""
    vocab_size = len(_MLLAMA_SPECIAL) + len(WORDS)
    settings = {
        "vocab_size": vocab_size,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "cross_attention_layers": [1, 4],
        "max_position_embeddings": 256,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    }
    config = MllamaConfig(
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 3,
            "num_global_layers": 1,
            "attention_heads": 2,
            "vision_output_dim": 48,
            "intermediate_layers_indices": [0, 2],
            "image_size": TILE,
            "patch_size": PATCH,
            "max_num_tiles": 4,
        },
        text_config={**settings, **text},
        image_token_index=vocab_size,
    )
    return made(MllamaForConditionalGeneration, config, attention, seed)


# Kosmos-2

N_PATCH_INDICES = 16


def kosmos2_processor(**options: Any) -> ProcessorMixin:
    """CLIP's resize and crop to 28 x 28 pixels, patches of 4."""
    settings = {
        "size": {"shortest_edge": SIDE},
        "crop_size": {"height": SIDE, "width": SIDE},
    }
    return Kosmos2Processor(
        CLIPImageProcessorPil(**{**settings, **options}),
        _tokenizer(("<s>", "<pad>", "</s>", "<unk>"), "<s> $A </s>", named("<s>", "</s>")),
        num_patch_index_tokens=N_PATCH_INDICES,
    )


def kosmos2(attention: str = "sdpa", seed: int = 0, **text: Any) -> PreTrainedModel:
    """4 blocks, six latent queries."""
    settings = {
        "vocab_size": 4 + len(WORDS) + 11 + N_PATCH_INDICES,
        "max_position_embeddings": 128,
        "embed_dim": 32,
        "layers": 4,
        "ffn_dim": 48,
        "attention_heads": 4,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    config = Kosmos2Config(
        text_config={**settings, **text}, vision_config=_VISION, latent_query_num=N_QUERIES
    )
    model = made(Kosmos2ForConditionalGeneration, config, attention, seed)
    # Embeddings are scaled up and the blocks' outputs normed: what they add has to be large too,
    # and their attention spread out, so that every edge shows.
    with torch.no_grad():
        for block in model.text_model.model.layers:
            block.self_attn.q_proj.weight.mul_(0.3)
            block.self_attn.out_proj.weight.mul_(4)
            block.ffn.fc2.weight.mul_(4)
    return model
