"""Small stand-ins for the parts of smol: a byte-pair tokenizer, a Llama of two blocks, a tower."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from retinoscope.data.scenes import scene_texts
from retinoscope.pocket.smol import LiteConfig, LiteTower

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<empty_output>")


def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level pairs learned from a few scenes, with SmolLM2's special tokens."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([scene_texts(index)[0] for index in range(60)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
    )


def language(vocabulary: int, spread: float = 0.2) -> LlamaForCausalLM:
    """Random weights of a spread; the shape of SmolLM2 in small."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        tie_word_embeddings=True,
        initializer_range=spread,
    )
    return LlamaForCausalLM(config).eval()


def language_folder(folder: Path) -> Path:
    """A Hugging Face folder of the two."""
    words = tokenizer()
    words.save_pretrained(folder)
    language(len(words)).save_pretrained(folder)
    return folder


def published(tower: LiteTower) -> dict[str, torch.Tensor]:
    """The tower's weights under the names of the published file, and its classifier."""
    depths = (1, 2, 2, 3, 3, 4, 1)
    numbers = {
        (stage, block): sum(depths[:stage]) + block
        for stage, depth in enumerate(depths)
        for block in range(depth)
    }
    top = {"stem.conv": "_conv_stem", "stem.norm": "_bn0", "head.conv": "_conv_head"}
    top["head.norm"] = "_bn1"
    inside = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1")}
    inside["project"] = ("_project_conv", "_bn2")
    out = {}
    for key, value in tower.backbone.state_dict().items():
        parts = key.split(".")
        if parts[0] == "stages":
            number = numbers[int(parts[1]), int(parts[2])]
            name = inside[parts[3]][parts[4] == "norm"]
            out[f"_blocks.{number}.{name}.{parts[5]}"] = value
        else:
            out[f"{top['.'.join(parts[:2])]}.{parts[2]}"] = value
    return out | {"_fc.weight": torch.zeros(10, 1280), "_fc.bias": torch.zeros(10)}


def vision_file(file: Path) -> Path:
    """A file as it is published, with random weights."""
    torch.manual_seed(1)
    torch.save(published(LiteTower(LiteConfig(image_size=96))), file)
    return file
