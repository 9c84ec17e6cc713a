"""Processors from a folder: with PIL, and without a part for videos where that cannot be had."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from checks import check_forward, check_generate, picture
from table import FAMILY
from tiny_rotary import qwen2_vl, qwen_processor
from transformers import Qwen2VLProcessor, Qwen3VLProcessor
from transformers.utils import is_torchvision_available

import retinoscope as rs
from retinoscope.models import open_model

KINDS = {"Qwen2-VL": Qwen2VLProcessor, "Qwen3-VL": Qwen3VLProcessor}
loading = sys.modules[open_model.__module__]


def saved(folder: Path, model, processor, nested: bool) -> Path:
    """As released: one file per part (`nested` False), or all in processor_config.json."""
    model.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(processor.chat_template)
    images = processor.image_processor.to_dict()
    kind = {"processor_class": type(processor).__name__}
    if nested:
        written = {**kind, "image_processor": images}
        (folder / "processor_config.json").write_text(json.dumps(written))
    else:
        (folder / "preprocessor_config.json").write_text(json.dumps({**images, **kind}))
    return folder


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("family", KINDS)
def test_a_processor_with_a_part_for_videos(tmp_path, family, nested):
    row, kind = FAMILY[family], KINDS[family]
    processor = row.processor()
    vlm = rs.load(saved(tmp_path, row.model(), processor, nested))
    assert vlm.capabilities.family == family
    assert isinstance(vlm.processor, kind)
    found = vlm.processor.image_processor
    assert type(found).__name__.endswith("Pil")
    assert found.size == processor.image_processor.size
    assert vlm.processor.chat_template == processor.chat_template
    assert (vlm.processor.video_processor is None) == (not is_torchvision_available())
    check_forward(row, vlm, [picture(), picture((30, 70), seed=1)])
    check_generate(row, vlm, [picture()])


def test_what_needs_torchvision_says_so(tmp_path, monkeypatch):
    def fails(*_):
        raise ImportError("\nLfm2VlImageProcessor requires the Torchvision library")

    folder = saved(tmp_path, qwen2_vl(), qwen_processor(), nested=False)
    monkeypatch.setattr(loading, "open_processor", fails)
    monkeypatch.setattr(loading, "is_torchvision_available", lambda: False)
    with pytest.raises(rs.InputError, match="expected the package torchvision"):
        rs.load(folder)
    monkeypatch.setattr(loading, "is_torchvision_available", lambda: True)
    with pytest.raises(rs.InputError, match="save the processor with the model"):
        rs.load(folder)


@pytest.mark.skipif(is_torchvision_available(), reason="torchvision is there")
def test_a_processor_that_cannot_be_made_without_torchvision(tmp_path):
    from tiny import word_tokenizer
    from tiny_prefix import LFM_SPECIAL, lfm2_vl

    lfm2_vl().save_pretrained(tmp_path)
    names = {"pad_token": "<pad>", "unk_token": "<unk>"}
    word_tokenizer(LFM_SPECIAL, names).save_pretrained(tmp_path)
    kinds = {
        "processor_class": "Lfm2VlProcessor",
        "image_processor_type": "Lfm2VlImageProcessorFast",
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(kinds))
    with pytest.raises(rs.InputError, match="expected the package torchvision"):
        rs.load(tmp_path)
