"""Weights in 4 and 8 bits, and weights that wait on disk: exact for that model, or refused."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

import retinoscope as rs
from retinoscope.errors import CapabilityError, InputError, MissingExtraError
from retinoscope.models import _placement
from retinoscope.pocket import folder

TEXT = "Is there a cat in this image?"
BLOCKS = "model.language_model.layers"


@pytest.fixture(autouse=True)
def _quiet():
    # bitsandbytes warns of every product.
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def picture(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (96, 96, 3), np.uint8))


def spread(model: nn.Module, on_disk: str) -> dict[str, Any]:
    """A device map of CPU, but for one module."""
    found: dict[str, Any] = {}

    def visit(module: nn.Module, prefix: str) -> None:
        for name, child in module.named_children():
            full = prefix + name
            if on_disk.startswith(f"{full}."):
                visit(child, f"{full}.")
            else:
                found[full] = "disk" if full == on_disk else "cpu"

    visit(model, "")
    return found


def conditions(run: rs.Run, donor: rs.Run) -> list[Any]:
    few = rs.tokens.random(run, n=12, seed=0)
    return [
        rs.Ablate(few),
        rs.Knockout(few, "last", layers=[2, 3]),
        rs.Knockout(few, run.positions["question"]),
        rs.Patch(few, layers=[3], donor=donor),
    ]


def effects(vlm: rs.VLM, path: Any = "incremental") -> tuple[rs.Run, rs.Effects]:
    run, donor = (vlm.run(vlm.prompt(picture(seed), TEXT)) for seed in (0, 1))
    return run, run.counterfactuals(conditions(run, donor), exact=path)


@pytest.mark.filterwarnings("ignore::retinoscope.errors.UnknownWordsWarning")
@pytest.mark.parametrize("kind", ["4bit", "8bit"])
def test_quantised_weights_are_exact_for_that_model(kind):
    vlm = rs.load("pocket", quantization=kind)
    classes = {type(module).__name__ for module in vlm.model.modules()}
    assert {"4bit": "Linear4bit", "8bit": "Linear8bitLt"}[kind] in classes
    # A product with 4-bit weights on a CPU depends on how many rows there are.
    assert kind != "4bit" or not vlm.capabilities.supports("incremental")
    run, found = effects(vlm)
    call: Any = vlm.processor
    given = call(text=[run.prompt.formatted], images=[picture()], return_tensors="pt")
    with torch.no_grad():
        plain = vlm.model(**given).logits[0, -1].float()
    scale = float(plain.abs().max())
    assert float((run.logits - plain).abs().max()) <= 1e-5 * scale
    _, wanted = effects(vlm, "reference")
    assert float((found.logits - wanted.logits).abs().max()) <= 1e-4 * scale
    assert float((wanted.logits - run.logits).abs().amax(-1).min()) > 1e-4 * scale
    lens = run.lens(positions="last")
    assert torch.allclose(lens.probs[-1, 0], run.logits.softmax(-1).topk(5).values, atol=1e-5)
    assert vlm.fingerprint != rs.load("pocket").fingerprint


def test_outlier_columns_are_refused():
    settings = BitsAndBytesConfig(load_in_8bit=True)
    model = AutoModelForImageTextToText.from_pretrained(
        folder("pocket"), quantization_config=settings, dtype=torch.float32
    ).eval()
    with pytest.raises(CapabilityError, match=r"quantization='8bit'"):
        rs.load(model=model, processor=rs.load("pocket").processor)


@pytest.mark.filterwarnings("ignore::retinoscope.errors.IntegrationWarning")
@pytest.mark.filterwarnings("ignore::retinoscope.errors.UnknownWordsWarning")
def test_blocks_on_disk_give_the_same():
    whole = rs.load("pocket")
    device_map = spread(whole.model, f"{BLOCKS}.1")
    vlm = rs.load("pocket", device_map=device_map, dtype=torch.float32)
    assert next(vlm.model.get_submodule(f"{BLOCKS}.1").parameters()).is_meta
    run, found = effects(vlm)
    same, wanted = effects(whole)
    scale = float(wanted.logits.abs().max())
    assert float((run.logits - same.logits).abs().max()) <= 1e-5 * scale
    assert float((found.logits - wanted.logits).abs().max()) <= 1e-5 * scale
    assert found.path == wanted.path
    assert run.generate(5).text == same.generate(5).text
    ours, theirs = (rs.tokens.integrated_gradients(one, "yes", steps=2) for one in (run, same))
    assert torch.allclose(ours.signed, theirs.signed, atol=1e-5 * float(theirs.signed.abs().max()))
    assert vlm.fingerprint == whole.fingerprint


def test_other_weights_on_disk_are_refused():
    device_map = spread(rs.load("pocket").model, "lm_head")
    with pytest.raises(CapabilityError, match="only the decoder's blocks may be"):
        rs.load("pocket", device_map=device_map)


def test_bad_input(monkeypatch):
    with pytest.raises(InputError, match="a device or a device_map, got both"):
        rs.load("pocket", device="cpu", device_map="auto")
    with pytest.raises(InputError, match="'4bit' or '8bit', got '3bit'"):
        rs.load("pocket", quantization="3bit")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="set them on the model"):
        rs.load(model=rs.load("pocket").model, processor=object(), quantization="4bit")  # type: ignore[arg-type]
    monkeypatch.setattr(_placement, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"bitsandbytes.*retinoscope\[quantization\]"):
        rs.load("pocket", quantization="4bit")
    with pytest.raises(MissingExtraError, match=r"accelerate.*retinoscope\[devices\]"):
        rs.load("pocket", device_map="auto")
