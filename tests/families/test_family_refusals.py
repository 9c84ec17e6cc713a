"""What a family cannot do exactly is refused, with what was expected."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from checks import QUESTION, picture, pictures, run_of
from row import loaded
from table import FAMILY
from tiny_llava import (
    llava,
    llava_next,
    llava_next_processor,
    llava_onevision,
    llava_onevision_processor,
    llava_processor,
    vipllava,
)
from tiny_more import aria, aria_processor, fast_vlm, fast_vlm_processor, ovis2, ovis2_processor
from tiny_prefix import gemma3, gemma3_processor
from tiny_query import N_QUERIES, blip2, blip2_processor, instructblip, instructblip_processor
from tiny_tiles import internvl, internvl_processor, pixtral, pixtral_processor
from variants import VARIANTS

import retinoscope as rs
from retinoscope.errors import CapabilityError, InputError

PAIR = pictures([(60, 40), (30, 70)])


def changed(make: Callable[..., Any], part: str = "", **values: Any) -> Callable[[], Any]:
    """What `make` makes, with attributes of it, or of a part of it, set afterwards."""

    def made() -> Any:
        made = make()
        vars(getattr(made, part) if part else made).update(values)
        return made

    return made


def knocked_out(vlm: rs.VLM, layers: list[int] | None) -> None:
    run = run_of(vlm, [picture()])
    cut = rs.Knockout(run.positions["image"], "last", layers=layers)
    run.counterfactuals([cut]).logits  # noqa: B018


NEXT_TILES = {"image_grid_pinpoints": [[24, 32]]}
LOADING = {
    "BLIP-2 with T5": (partial(blip2, decoder="t5"), blip2_processor, "encoder-decoder"),
    "InstructBLIP with T5": (
        partial(instructblip, decoder="t5"),
        instructblip_processor,
        "Vicuna",
    ),
    "Gemma 3 with pan and scan": (
        gemma3,
        partial(gemma3_processor, do_pan_and_scan=True),
        "pan and scan",
    ),
    "InternVL with tiles that are not square": (
        internvl,
        partial(internvl_processor, size={"height": 16, "width": 32}),
        "square",
    ),
    "FastVLM without a patch size": (
        fast_vlm,
        changed(fast_vlm_processor, patch_size=None),
        "no patch_size",
    ),
    "Ovis2 that draws its words": (
        partial(ovis2, vision={"tokenize_function": "gumbel_argmax"}),
        ovis2_processor,
        "at random",
    ),
    "Ovis2 with a crop": (
        ovis2,
        partial(ovis2_processor, do_center_crop=True),
        "do_center_crop",
    ),
    "LLaVA-OneVision with another aspect ratio": (
        partial(llava_onevision, vision_aspect_ratio="square"),
        partial(llava_onevision_processor, "square"),
        "anyres_max_9",
    ),
    "LLaVA-NeXT with other resolutions": (
        llava_next,
        partial(llava_next_processor, image_grid_pinpoints=[[16, 32], [32, 16]]),
        "another model",
    ),
    "LLaVA-NeXT with two sizes": (
        llava_next,
        partial(llava_next_processor, size={"shortest_edge": 20}),
        "same square",
    ),
    "LLaVA-NeXT with other tiles": (
        llava_next,
        partial(llava_next_processor, size={"height": 8, "width": 8}, crop_size=None),
        "another model",
    ),
    "LLaVA-NeXT with its class token": (
        partial(llava_next, vision_feature_select_strategy="full"),
        llava_next_processor,
        "class token",
    ),
    "LLaVA-NeXT with parts of tiles": (
        partial(llava_next, **NEXT_TILES),
        partial(llava_next_processor, **NEXT_TILES),
        "whole tiles",
    ),
}


@pytest.mark.parametrize("case", LOADING)
def test_refused_when_it_is_loaded(case):
    model, processor, why = LOADING[case]
    with pytest.raises(CapabilityError, match=why):
        rs.load(model=model(), processor=processor())


OTHER_MODEL = {
    "LLaVA-1.5 without a class token": (
        partial(llava, tower="siglip"),
        partial(llava_processor, 0),
        "no class token",
    ),
    "VIP-LLaVA without a class token": (
        partial(vipllava, tower="siglip"),
        partial(llava_processor, 0),
        "no class token",
    ),
    "LLaVA-1.5": (partial(llava, image_token_index=5), llava_processor, "another model"),
    "InternVL": (
        internvl,
        partial(internvl_processor, size={"height": 8, "width": 8}),
        "another model",
    ),
    "Pixtral": (pixtral, partial(pixtral_processor, merge=2), "another model"),
    "FastVLM": (fast_vlm, changed(fast_vlm_processor, patch_size=16), "another model"),
    "BLIP-2": (blip2, changed(blip2_processor, num_query_tokens=N_QUERIES + 1), "another model"),
    "Aria": (
        changed(aria, "config", projector_patch_to_query_dict={4900: 256}),
        aria_processor,
        "another model",
    ),
    "Ovis2 with other indicators": (
        changed(ovis2, "config", visual_indicator_token_ids=[1, 2, 3, 4, 5]),
        ovis2_processor,
        "another model",
    ),
    "Ovis2 with fewer tokens": (ovis2, partial(ovis2_processor, tokens=9), "another model"),
}


@pytest.mark.parametrize("case", OTHER_MODEL)
def test_a_processor_of_another_model_is_refused_when_it_is_used(case):
    model, processor, why = OTHER_MODEL[case]
    vlm = rs.load(model=model(), processor=processor())
    with pytest.raises((CapabilityError, InputError), match=why):
        run_of(vlm, [picture()])


def test_pan_and_scan_switched_on_later_is_refused():
    vlm = FAMILY["Gemma 3"].fresh()
    vlm.processor.image_processor.do_pan_and_scan = True
    for ask in (lambda: vlm.prompt(picture((96, 32)), QUESTION), lambda: vlm.encode([picture()])):
        with pytest.raises(CapabilityError, match="pan and scan"):
            ask()


def test_crops_of_aria_are_refused():
    processor = aria_processor(split_resolutions=[[980, 1960], [1960, 980]])
    if not hasattr(processor, "images_kwargs"):
        pytest.skip("older versions of the library never split an image")
    processor.images_kwargs = {**processor.images_kwargs, "split_image": True}
    vlm = rs.load(model=aria(), processor=processor)
    with pytest.raises(CapabilityError, match="split_image"):
        vlm.prompt([picture()], QUESTION)


ASKED = {
    "an image of which Pixtral leaves nothing": (
        *("Pixtral", InputError, "crop it"),
        lambda vlm: vlm.prompt([picture((600, 2))], QUESTION),
    ),
    "an image that is too long for Qwen2-VL": (
        *("Qwen2-VL", InputError, "crop it"),
        lambda vlm: vlm.prompt([picture((900, 4))], QUESTION),
    ),
    "an image that LFM2-VL's processor fails on": (
        *("LFM2-VL", InputError, "crop it"),
        lambda vlm: vlm.prompt([picture((300, 14))], QUESTION),
    ),
    **{
        f"two images for {family}": (
            *(family, CapabilityError, "one image per prompt"),
            lambda vlm: vlm.prompt(PAIR, QUESTION),
        )
        for family in ("BLIP-2", "InstructBLIP", "Kosmos-2")
    },
    **{
        f"a placeholder inside a text for {family}": (
            *(family, CapabilityError, "at the beginning"),
            lambda vlm: vlm.prompt(picture(), "Describe <image> this", raw=True),
        )
        for family in ("BLIP-2", "Kosmos-2")
    },
    "a raw prompt without a placeholder": (
        *("BLIP-2", InputError, "expected one <image>"),
        lambda vlm: vlm.prompt(picture(), "Describe this image.", raw=True),
    ),
    "a raw prompt without Llama 3.2's placeholder": (
        *("Llama 3.2 Vision", InputError, r"expected one <\|image\|>"),
        lambda vlm: vlm.prompt(picture(), "Describe this image.", raw=True),
    ),
    "a question with a placeholder": (
        *("BLIP-2", InputError, "without <image>"),
        lambda vlm: vlm.prompt(picture(), "What is <image>?"),
    ),
    "an image without the question that InstructBLIP reads it with": (
        *("InstructBLIP", CapabilityError, r"fill\.noise"),
        lambda vlm: vlm.encode([picture()]),
    ),
    "gradients through DeepStack": (
        *("Qwen3-VL", CapabilityError, "DeepStack"),
        lambda vlm: rs.tokens.by_gradient(run_of(vlm, [picture()]), 5, n=3, steps=4),
    ),
    "gradients through a mixture of experts": (
        *("Aria", CapabilityError, "routed to experts"),
        lambda vlm: rs.tokens.by_gradient(run_of(vlm, [picture()]), 5, n=3, steps=4),
    ),
    "attention of a convolution": (
        *("LFM2-VL", CapabilityError, "choose"),
        lambda vlm: run_of(vlm, [picture()]).attention(1),
    ),
    **{
        f"a knockout in {which}": (
            *("LFM2-VL", CapabilityError, "choose among the layers 2, 4"),
            partial(knocked_out, layers=layers),
        )
        for which, layers in {"a convolution": [1], "all blocks": None}.items()
    },
}


@pytest.mark.parametrize("case", ASKED)
def test_refused_when_it_is_asked_for(case):
    family, error, why, asked = ASKED[case]
    row = FAMILY[family]
    if row.missing:
        pytest.skip(row.missing)
    with pytest.raises(error, match=why):
        asked(loaded(row))


def test_an_image_of_which_llava_onevision_makes_no_row():
    """2 rows of 40 features, of which the model would make less than one row."""
    (row,) = (row for row in VARIANTS if row.variant == "one row of tiles")
    with pytest.raises(InputError, match="crop it"):
        loaded(row).prompt([picture((600, 20))], QUESTION)
