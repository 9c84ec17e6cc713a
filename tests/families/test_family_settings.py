"""Processors and folders as people have them: old ones, incomplete ones, saved ones."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from checks import QUESTION, close, oracle, picture, pictures, run_of
from row import loaded
from table import FAMILY
from tiny_llava import llava_processor, vipllava
from transformers import AutoProcessor, LlavaConfig
from variants import VARIANTS

import retinoscope as rs
from retinoscope.models import ADAPTERS
from retinoscope.models._llava import LlavaAdapter
from retinoscope.models._pixtral import PixtralAdapter


def test_a_processor_that_cannot_count_is_no_hindrance():
    """Saved by an older version of the library: neither patch size nor class token."""
    vlm, images = loaded(FAMILY["LLaVA-1.5"]), pictures([(30, 70), (64, 20)])
    processor = llava_processor()
    processor.patch_size = None
    processor.num_additional_image_tokens = 0
    old = rs.load(model=vlm.model, processor=processor)
    assert torch.equal(run_of(old, images).logits, run_of(vlm, images).logits)


def test_a_prompt_without_a_chat_template():
    row, processor = FAMILY["VIP-LLaVA"], llava_processor()
    processor.chat_template = None
    vlm = rs.load(model=vipllava(), processor=processor)
    written = vlm.prompt([picture()], QUESTION, prefill="It is").formatted
    assert written.endswith(f"questions.###Human: <image>\n{QUESTION}###Assistant: It is")
    prompt = vlm.prompt([picture()], QUESTION)
    wanted = oracle(row, vlm, [picture()])["input_ids"][0]
    assert prompt.inputs.input_ids.tolist() == wanted.tolist()


def test_llava_s_configuration_with_other_vision_towers():
    config = LlavaConfig(vision_config={"model_type": "clip_vision_model"})
    assert not PixtralAdapter.takes(config)
    assert PixtralAdapter.takes(LlavaConfig(vision_config={"model_type": "pixtral"}))
    (first, *_) = [adapter for adapter in ADAPTERS if adapter.takes(config)]
    assert first is LlavaAdapter
    assert FAMILY["Pixtral"].model().config.model_type == "llava"


def test_a_family_without_adapter_says_what_it_refuses():
    (row,) = (row for row in VARIANTS if row.variant == "Llama 4")
    if row.missing:
        pytest.skip(row.missing)
    assert "attn_temperature_tuning" in str(loaded(row).capabilities)


def test_a_single_visual_token():
    (alone,) = loaded(FAMILY["Mistral 3"]).encode([picture((5, 4))])
    assert alone.shape == (1, loaded(FAMILY["Mistral 3"]).d_model)


def test_loads_from_a_folder(tmp_path):
    vlm, images = loaded(FAMILY["Idefics3"]), [picture()]
    vlm.model.save_pretrained(tmp_path)
    vlm.processor.save_pretrained(tmp_path)
    try:
        AutoProcessor.from_pretrained(tmp_path, backend="pil")
    except ValueError as error:
        # Without torchvision 5.10.1 does not find the family's PIL image processor, 5.23 does.
        if "Unrecognized image processor" not in str(error) or find_spec("torchvision"):
            raise
        with pytest.raises(rs.errors.InputError, match="expected a processor beside the model"):
            rs.load(tmp_path)
        pytest.skip("this version of the library opens no saved Idefics3 without torchvision")
    again = rs.load(tmp_path)
    assert again.capabilities.family == "Idefics3"
    mine, theirs = (run_of(one, images) for one in (vlm, again))
    assert torch.equal(mine.inputs.input_ids, theirs.inputs.input_ids)
    pixels = [run.inputs.pixels[0]["pixel_values"] for run in (mine, theirs)]
    assert torch.equal(*pixels)
    # Weights at other addresses in memory round otherwise.
    assert close(theirs.logits, mine.logits, 1e-5)
