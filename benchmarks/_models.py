"""Models with random weights, at the sizes that the figures are given for; nothing is downloaded.

Times do not depend on the values of the weights, so random ones do. They are drawn wider than for
training, so that interventions show in the logits and an equality of results means something.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from torch import nn
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

import retinoscope as rs

from ._bench import Options

SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<image>")

QUESTIONS = (
    "Describe this image in as much detail as you can and name all that is in it.",
    "Is there a cat somewhere in this image or is there none to be seen?",
    "What is the person in the middle of this image holding in the left hand?",
)
"""As long in words as the paper's prompts are in LLaVA's tokens: about 24 beside the image."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a LLaVA: decoder first, then vision tower."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    ff: int
    vocabulary: int
    side: int
    patch: int
    tower_layers: int
    tower_width: int
    tower_heads: int
    tower_ff: int
    spread: float
    """Standard deviation of the decoder's weights."""


SHAPES: Mapping[str, Shape] = {
    "small": Shape(6, 64, 4, 2, 96, 256, 28, 4, 2, 48, 2, 96, 0.2),
    "135m": Shape(30, 576, 9, 3, 1536, 49_152, 336, 14, 12, 768, 12, 3072, 0.06),
    "7b": Shape(32, 4096, 32, 32, 11_008, 32_064, 336, 14, 24, 1024, 16, 4096, 0.03),
}
"""135m: the decoder of SmolLM-135M, with a tower of ViT-B's size, as this decoder has in
SmolVLM-256M, at 336 pixels and patches of 14. CLIP ViT-L/14 would take three times the decoder's
own time, and would flatter whoever runs it once. 7b: LLaVA-1.5, CLIP ViT-L/14 included."""


@dataclass(frozen=True, eq=False)
class Setup:
    """A model, its processor and one image.

    Attributes:
        facts: what the result says of the model.
    """

    model: LlavaForConditionalGeneration
    processor: LlavaProcessor
    image: Image.Image
    shape: Shape
    facts: Mapping[str, Any]

    def vlm(self) -> rs.VLM:
        """Loaded anew, so that no image is encoded yet."""
        return rs.load(model=self.model, processor=self.processor, check=False)

    @property
    def tower(self) -> Sequence[nn.Module]:
        """What encodes an image: vision tower and projector."""
        return (self.model.model.vision_tower, self.model.model.multi_modal_projector)


def make_setup(options: Options, words: Sequence[str] = (), shape: Shape | None = None) -> Setup:
    """The model of `options.size` on its device, and an image.

    Args:
        words: further words that the tokenizer knows.
        shape: another one than that size's.
    """
    shape = shape or SHAPES[options.size]
    model = make_model(shape, options)
    counts = {
        "decoder": sum(p.numel() for p in model.model.language_model.parameters()),
        "tower": sum(p.numel() for p in model.model.vision_tower.parameters()),
    }
    facts = {
        "weights": "random",
        "decoder": f"{shape.layers} blocks, width {shape.width}, {shape.heads} heads, "
        f"{shape.kv_heads} key-value heads, feed-forward {shape.ff}",
        "vocabulary": shape.vocabulary,
        "visual_tokens": (shape.side // shape.patch) ** 2,
        "vision_tower": f"{shape.tower_layers} blocks, width {shape.tower_width}, "
        f"{shape.side} pixels, patches of {shape.patch}",
        "decoder_parameters": counts["decoder"],
        "tower_parameters": counts["tower"],
    }
    return Setup(model, make_processor(shape, words), make_image(shape.side), shape, facts)


def decoder_config(shape: Shape) -> LlamaConfig:
    """Of the decoder alone."""
    return LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.ff,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=2048,
        bos_token_id=2,
        # No end token: every generation has the same length, so times compare like with like.
        eos_token_id=None,
        pad_token_id=0,
        initializer_range=shape.spread,
        tie_word_embeddings=False,
    )


def random_llavas(n: int, attention: str = "sdpa") -> Iterator[rs.VLM]:
    """LLaVAs of the size "small", each with other weights."""
    options = Options("", "small", 1, 1, "cpu", "float32", Path(), "")
    words = ("cat", "in", "this", "image?", "yes", "no", "Yes")
    for seed in range(n):
        model = make_model(SHAPES["small"], options, seed, attention)
        yield rs.load(model=model, processor=make_processor(SHAPES["small"], words), check=False)


def make_model(
    shape: Shape, options: Options, seed: int = 0, attention: str = "sdpa"
) -> LlavaForConditionalGeneration:
    """Random weights, the same at every call."""
    vision = CLIPVisionConfig(
        hidden_size=shape.tower_width,
        intermediate_size=shape.tower_ff,
        num_hidden_layers=shape.tower_layers,
        num_attention_heads=shape.tower_heads,
        image_size=shape.side,
        patch_size=shape.patch,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=decoder_config(shape),
        image_token_index=SPECIAL.index("<image>"),
        image_seq_length=(shape.side // shape.patch) ** 2,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    torch.manual_seed(seed)
    with torch.device(options.device):
        model = LlavaForConditionalGeneration._from_config(
            config, dtype=options.torch_dtype, attn_implementation=attention
        )
    # A visual token has about the length of a word's embedding, as after training.
    nn.init.normal_(model.model.multi_modal_projector.linear_2.weight, std=0.5 * shape.width**-0.5)
    return model.eval().requires_grad_(False)


def make_processor(shape: Shape, words: Sequence[str] = ()) -> LlavaProcessor:
    """One token per word; the vocabulary is filled up with words that no prompt has."""
    known = {word for text in QUESTIONS for word in text.split()} | {"USER:", "ASSISTANT:", *words}
    entries = [*SPECIAL, *(f"▁{word}" for word in sorted(known))]
    entries += [f"▁word{index}" for index in range(len(entries), shape.vocabulary)]
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace("\n", " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    tokenizer.add_special_tokens(
        [AddedToken(entry, special=True, normalized=False) for entry in SPECIAL]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        pad_token="<pad>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
    )
    pixels = CLIPImageProcessorPil(
        size={"shortest_edge": shape.side}, crop_size={"height": shape.side, "width": shape.side}
    )
    return LlavaProcessor(
        image_processor=pixels,
        tokenizer=fast,
        patch_size=shape.patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


def make_image(side: int) -> Image.Image:
    """Smooth noise."""
    small = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)
