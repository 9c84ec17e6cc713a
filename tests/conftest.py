"""A tiny LLaVA with random weights, its tokenizer and processor: nothing is downloaded."""

from __future__ import annotations

import os

# Before torch is imported, for what the tests start as well: two workers with two threads each
# on two cores wait for one another, and take several times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import named, word_tokenizer
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

from . import shapes

# Names of the package are loaded on first use, so nothing that it checks is loaded yet.
shapes.install()
# Until all tests are collected: these objects stay to the end.
gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no worker is alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """From here on objects are collected; no collection looks at the millions from before."""
    gc.freeze()
    gc.enable()


SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<image>")
WORDS = (
    *("USER:", "ASSISTANT:", "Describe", "this", "image.", "Is", "there", "a", "an", "in"),
    *("image?", "What", "is", "the", "color", "of", "yes", "no", "cat", "car", "red", "blue"),
    *("green", "dog", "tree", "It", "left", "right", "car?", "cat?", "and", "two", "fish"),
)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word."""
    extra = {"image_token": "<image>"}
    return word_tokenizer(SPECIAL, named("<s>", "</s>"), extra, template="<s> $A", words=WORDS)


def make_processor(side: int = 28, patch: int = 4, **options: object) -> LlavaProcessor:
    """CLIP's resize and crop to `side`, with patches of `patch` pixels; `options` change it."""
    settings: dict[str, object] = {
        "size": {"shortest_edge": side},
        "crop_size": {"height": side, "width": side},
    }
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(**{**settings, **options}),
        tokenizer=make_tokenizer(),
        patch_size=patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


def make_model(
    side: int = 28,
    patch: int = 4,
    attention: str = "sdpa",
    seed: int = 0,
    kv_heads: int = 2,
    layers: int = 4,
) -> LlavaForConditionalGeneration:
    """Decoder layers of width 32 with 4 heads; weights large enough that edits show."""
    vision = CLIPVisionConfig(
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=side,
        patch_size=patch,
    )
    text = LlamaConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        max_position_embeddings=512,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
        initializer_range=0.25,
        tie_word_embeddings=False,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=4,
        image_seq_length=(side // patch) ** 2,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration._from_config(config, attn_implementation=attention)
        for name, parameter in model.named_parameters():
            if "vision_tower" in name or "projector" in name:
                torch.nn.init.normal_(parameter, std=0.2)
            if name.endswith("norm.weight") or ("layernorm" in name and name.endswith("weight")):
                torch.nn.init.ones_(parameter)
    return model.float().eval()


@pytest.fixture(scope="session")
def build() -> SimpleNamespace:
    """The makers above, for tests that need other settings."""
    return SimpleNamespace(model=make_model, processor=make_processor, tokenizer=make_tokenizer)


@pytest.fixture(scope="session")
def tiny_model() -> LlavaForConditionalGeneration:
    return make_model()


@pytest.fixture(scope="session")
def tiny_processor() -> LlavaProcessor:
    return make_processor()


@pytest.fixture(scope="session")
def tiny(tiny_model: LlavaForConditionalGeneration, tiny_processor: LlavaProcessor) -> rs.VLM:
    """The tiny model, loaded: 49 visual tokens (7 x 7), 4 layers."""
    return rs.load(model=tiny_model, processor=tiny_processor)


@pytest.fixture(scope="session")
def tiny_eager(tiny_processor: LlavaProcessor) -> rs.VLM:
    """The same weights under eager attention."""
    return rs.load(model=make_model(attention="eager"), processor=tiny_processor)


@pytest.fixture(scope="session")
def tiny_folder(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model: LlavaForConditionalGeneration,
    tiny_processor: LlavaProcessor,
) -> Path:
    """The tiny model in the ordinary Hugging Face format."""
    folder = tmp_path_factory.mktemp("tiny-llava")
    tiny_model.save_pretrained(folder)
    tiny_processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def noise_image() -> Callable[..., Image.Image]:
    """Makes a smooth random image of a given width and height."""

    def make(width: int = 56, height: int = 56, seed: int = 0) -> Image.Image:
        rng = np.random.default_rng(seed)
        small = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)

    return make


@pytest.fixture
def square(noise_image: Callable[..., Image.Image]) -> Image.Image:
    return noise_image(56, 56)


@pytest.fixture
def portrait(noise_image: Callable[..., Image.Image]) -> Image.Image:
    return noise_image(50, 83)
