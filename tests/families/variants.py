"""Settings in which a family is computed otherwise: further rows, held against the library too."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial
from importlib.util import find_spec

import tiny_generic as generic
import tiny_llava as llava
import tiny_more as more
import tiny_prefix as prefix
import tiny_rotary as rotary
import tiny_tiles as tiles
from patches import behind_class_tokens, unfolded
from row import GRID, NONE, ONE, PAIR, SIZES, Row
from table import FAMILY
from transformers import Llama4ForConditionalGeneration, TimmWrapperConfig


def _of(family: str, variant: str, **changed: object) -> Row:
    return replace(FAMILY[family], variant=variant, tests=(), **{"images": ONE, **changed})


def _timm_processor():
    settings = {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}
    processor = more.fast_vlm_processor(**settings)
    processor.patch_size = 32
    return processor


def _timm_model(attention: str):
    """The tower of the released models."""
    tower = TimmWrapperConfig(
        architecture="fastvit_mci0", model_args={"inference_mode": False}, hidden_size=1024
    )
    return more.fast_vlm(attention, vision=tower)


def _old_llama4() -> str:
    asked = inspect.signature(Llama4ForConditionalGeneration.get_image_features).parameters
    strategy = asked.get("vision_feature_select_strategy")
    if strategy is not None and strategy.default is inspect.Parameter.empty:
        return "this release's get_image_features has no default strategy: the model is refused"
    return ""


_RATIO = {"image_grid_pinpoints": [[18, 180]]}
_NOWHERE = {"embedding": "", "places": NONE}

VARIANTS = (
    _of(
        "LLaVA-1.5",
        "stretched",
        processor=partial(
            llava.llava_processor, size={"height": 28, "width": 28}, do_center_crop=False
        ),
        cropped=False,
    ),
    _of(
        "LLaVA-1.5",
        "with its class token",
        model=partial(llava.llava, vision_feature_select_strategy="full"),
        processor=partial(llava.llava_processor, 1, "full"),
        patches=behind_class_tokens,
        shape=(50, 1, (7, 7)),
    ),
    _of(
        "LLaVA-1.5",
        "without a class token",
        model=partial(llava.llava, tower="siglip", vision_feature_select_strategy="full"),
        processor=partial(llava.llava_processor, 0, "full"),
    ),
    _of(
        "LLaVA-OneVision",
        "one row of tiles",
        model=partial(llava.llava_onevision, vision_aspect_ratio="anyres_max_1", **_RATIO),
        processor=partial(llava.llava_onevision_processor, "anyres_max_1", **_RATIO),
        shape=(29, 1, None),
        images={"one": [(180, 18)]},
        sizes=[(180, 18)],
    ),
    _of(
        "Pixtral",
        "with windows",
        model=partial(tiles.pixtral, sliding_window=24),
        images={"one": [(40, 24)]},
        windows=True,
    ),
    _of(
        "Idefics3",
        "without tiles",
        processor=partial(tiles.idefics3_processor, do_image_splitting=False),
        places=GRID,
        shape=(4, 0, (2, 2)),
    ),
    _of(
        "Idefics3",
        "no larger than a tile",
        processor=partial(tiles.idefics3_processor, size={"longest_edge": 16}),
        places=GRID,
        # Of a very long one a single row of pixels is left.
        sizes=SIZES[:4],
        shape=(4, 0, (2, 2)),
    ),
    _of(
        "Qwen2-VL",
        "with windows",
        model=partial(
            rotary.qwen2_vl, use_sliding_window=True, sliding_window=16, max_window_layers=2
        ),
        windows=True,
    ),
    _of(
        "Gemma 3",
        "without windows",
        model=partial(prefix.gemma3, layer_types=["full_attention"] * 4),
        images=PAIR,
        windows=False,
    ),
    # The caps of PaliGemma 2's decoder are in eager attention only.
    _of(
        "PaliGemma",
        "2",
        model=partial(prefix.paligemma, decoder="gemma2"),
        attention="eager",
        images=PAIR,
        windows=True,
    ),
    _of(
        "FastVLM",
        "stretched",
        processor=partial(
            more.fast_vlm_processor, size={"height": 48, "width": 48}, do_center_crop=False
        ),
        cropped=False,
    ),
    _of(
        "FastVLM",
        "as released",
        model=_timm_model,
        processor=_timm_processor,
        embedding="",
        shape=(4, 0, (2, 2)),
        missing="" if find_spec("timm") else "its vision tower is timm's",
    ),
    _of(
        "generic",
        "Aya Vision in tiles",
        processor=partial(generic.aya_processor, max_patches=4),
        shape=(48, 48, None),
        images={"one": [(70, 30)]},
        **_NOWHERE,
    ),
    _of(
        "generic",
        "DeepSeek-VL",
        model=generic.deepseek,
        processor=generic.deepseek_processor,
        shape=(64, 64, None),
        images=PAIR,
        **_NOWHERE,
    ),
    _of(
        "generic",
        "Llama 4",
        model=generic.llama4,
        processor=generic.llama4_processor,
        embedding="vision_model.patch_embedding",
        patches=unfolded,
        attention="eager",
        incremental=False,
        weights=False,
        missing=_old_llama4(),
    ),
)
