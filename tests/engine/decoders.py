"""Tiny LLaVAs over decoders of several kinds, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from transformers import (
    CLIPVisionConfig,
    FalconH1Config,
    Gemma2Config,
    Gemma4TextConfig,
    GPTNeoXConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    MistralConfig,
    Phi3Config,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

import retinoscope as rs
from tests.conftest import SPECIAL, WORDS, make_processor

_PLAIN: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "pad_token_id": 0,
    "initializer_range": 0.25,
    "tie_word_embeddings": False,
}
_GROUPED = {**_PLAIN, "num_key_value_heads": 2}
_CAPPED = {
    **_GROUPED,
    "head_dim": 8,
    "query_pre_attn_scalar": 8,
    "sliding_window": 20,
    "attn_logit_softcapping": 5.0,
    "final_logit_softcapping": None,
}

KINDS: dict[str, Callable[[int], PreTrainedConfig]] = {
    "llama, grouped heads": lambda v: LlamaConfig(vocab_size=v, **_GROUPED),
    "llama, full heads": lambda v: LlamaConfig(vocab_size=v, **_PLAIN),
    "qwen2": lambda v: Qwen2Config(vocab_size=v, **_GROUPED),
    "qwen3": lambda v: Qwen3Config(vocab_size=v, head_dim=8, **_GROUPED),
    "mistral, sliding window": lambda v: MistralConfig(vocab_size=v, sliding_window=20, **_GROUPED),
    "gemma2, soft caps and window": lambda v: Gemma2Config(vocab_size=v, **_CAPPED),
    "phi3": lambda v: Phi3Config(vocab_size=v, **_GROUPED),
    "gpt-neox, parallel residual": lambda v: GPTNeoXConfig(vocab_size=v, **_PLAIN),
}


def _gemma4(vocabulary: int, per_layer: int) -> Gemma4TextConfig:
    return Gemma4TextConfig(
        vocab_size=vocabulary,
        vocab_size_per_layer_input=vocabulary,
        head_dim=8,
        global_head_dim=8,
        hidden_size_per_layer_input=per_layer,
        num_kv_shared_layers=0,
        sliding_window=20,
        **_GROUPED,
    )


MORE: dict[str, Callable[[int], PreTrainedConfig]] = {
    "gemma2, a final soft cap that LLaVA leaves out": lambda v: Gemma2Config(
        vocab_size=v, **{**_CAPPED, "final_logit_softcapping": 5.0}
    ),
    "gemma4, blocks called with positional arguments": lambda v: _gemma4(v, 0),
    "falcon-h1, recurrent blocks that return tuples": lambda v: FalconH1Config(
        vocab_size=v,
        head_dim=8,
        mamba_d_ssm=32,
        mamba_n_heads=4,
        mamba_d_head=8,
        mamba_n_groups=1,
        mamba_d_state=8,
        mamba_chunk_size=16,
        **_GROUPED,
    ),
    "gemma4, per-layer inputs": lambda v: _gemma4(v, 8),
}
"""Decoders that only some tests need."""


@cache
def decoder_model(kind: str, dtype: torch.dtype = torch.float32) -> LlavaForConditionalGeneration:
    """49 visual tokens in front of a decoder of this kind."""
    vision = CLIPVisionConfig(
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=4,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config={**KINDS, **MORE}[kind](len(SPECIAL) + len(WORDS)),
        image_token_index=4,
        image_seq_length=49,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    attention = "eager" if "gemma2" in kind else "sdpa"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlavaForConditionalGeneration._from_config(config, attn_implementation=attention)
        for name, parameter in model.named_parameters():
            if "vision_tower" in name or "projector" in name:
                torch.nn.init.normal_(parameter, std=0.2)
    return model.to(dtype).eval()


@cache
def decoder_vlm(kind: str, dtype: torch.dtype = torch.float32) -> rs.VLM:
    """The same, loaded."""
    return rs.load(model=decoder_model(kind, dtype), processor=make_processor())
