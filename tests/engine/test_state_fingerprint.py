"""A fingerprint covers every byte of the weights, the tokenizer and the image processor."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

import retinoscope as rs
from retinoscope.models._content import content_of


@pytest.fixture
def vlm(build: Any) -> rs.VLM:
    return rs.load(model=build.model(), processor=build.processor())


@torch.no_grad()
def test_a_single_number_counts(vlm: rs.VLM) -> None:
    before = vlm.fingerprint
    assert vlm.fingerprint == before
    weight = vlm.adapter.decoder.layers[1].mlp.down_proj.weight
    kept = weight[2, 3].clone()
    weight[2, 3] += 1e-6
    assert vlm.fingerprint != before
    weight[2, 3] = kept
    assert vlm.fingerprint == before
    # Every odd neuron of a block: the answer moves.
    weight[:, 1::2] = 0
    assert vlm.fingerprint != before


def test_the_same_files_give_the_same(tiny_folder: Path, tmp_path: Path) -> None:
    """Wherever they lie, and whatever was run before."""
    copied = shutil.copytree(tiny_folder, tmp_path / "copied")
    one, two = (rs.load(str(folder)) for folder in (tiny_folder, copied))
    before = one.fingerprint
    one.run(one.prompt(Image.new("RGB", (60, 40)), "Is there a cat in this image?"))
    one.tokenizer(["a", "a cat in this image"], padding=True)
    assert one.fingerprint == before == two.fingerprint


def _epsilon(vlm: rs.VLM) -> None:
    vlm.adapter.decoder.final_norm.variance_epsilon = 0.1


def _scale(vlm: rs.VLM) -> None:
    vlm.adapter.decoder.layers[0].self_attn.scaling *= 2


def _norm(vlm: rs.VLM) -> None:
    """Another module with an epsilon, which no configuration knows."""
    decoder: Any = vlm.adapter.language_model
    kept = decoder.norm
    decoder.norm = torch.nn.RMSNorm(vlm.d_model, eps=0.1)
    decoder.norm.weight = kept.weight


def _other_norm(vlm: rs.VLM) -> None:
    _norm(vlm)
    decoder: Any = vlm.adapter.language_model
    decoder.norm.eps = 0.2


def test_settings_of_modules_count(build: Any, square: Image.Image) -> None:
    """Also of the library's own, where they are not as the configuration makes them."""
    plain = [rs.load(model=build.model(), processor=build.processor()) for _ in range(2)]
    plain[0].run(plain[0].prompt(square, "Is there a cat?"))
    plain[0].model.train()
    plain[0].model.eval()
    plain[0].model.name_or_path = "elsewhere"
    found = [one.fingerprint for one in plain]
    assert found[0] == found[1]
    logits = [plain[0].run(plain[0].prompt(square, "Is there a cat?")).logits]
    for edit in (_epsilon, _scale, _norm, _other_norm):
        vlm = rs.load(model=build.model(), processor=build.processor())
        edit(vlm)
        found.append(vlm.fingerprint)
        logits.append(vlm.run(vlm.prompt(square, "Is there a cat?")).logits)
        assert not torch.equal(logits[-1], logits[0])
    assert len(set(found)) == 5


def test_a_model_in_another_process_has_the_same(tiny_folder: Path) -> None:
    code = f"import retinoscope as rs; print(rs.load({str(tiny_folder)!r}).fingerprint)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split()[-1] == rs.load(str(tiny_folder)).fingerprint


def test_a_fingerprint_draws_no_random_numbers(vlm: rs.VLM) -> None:
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    assert vlm.fingerprint
    assert torch.equal(torch.rand(3), wanted)


def _swapped(processor: Any) -> None:
    """Two ids of the tokenizer."""
    tokenizer = processor.tokenizer
    inner = json.loads(tokenizer.backend_tokenizer.to_str())
    words = inner["model"]["vocab"]
    words["▁cat"], words["▁dog"] = words["▁dog"], words["▁cat"]
    changed = Tokenizer.from_str(json.dumps(inner))
    special = {name: str(value) for name, value in tokenizer.special_tokens_map.items()}
    image = special.pop("image_token", "<image>")
    processor.tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=changed, extra_special_tokens={"image_token": image}, **special
    )


def _template(processor: Any) -> None:
    processor.chat_template = str(processor.chat_template) + " "


def _size(processor: Any) -> None:
    processor.image_processor.image_mean = [0.1, 0.2, 0.3]


def _backend(processor: Any) -> None:
    """Another class with the same settings."""
    images = processor.image_processor
    processor.image_processor = type("OtherBackend", (type(images),), {})(
        **{k: v for k, v in images.to_dict().items() if k != "image_processor_type"}
    )


@pytest.mark.parametrize("edit", [_swapped, _template, _size, _backend])
def test_the_processor_counts(build: Any, edit: Callable[[Any], None]) -> None:
    model = build.model()
    before = rs.load(model=model, processor=build.processor()).fingerprint
    assert rs.load(model=model, processor=build.processor()).fingerprint == before
    processor = build.processor()
    edit(processor)
    assert rs.load(model=model, processor=processor).fingerprint != before


@torch.no_grad()
def test_a_mean_on_disk_is_that_of_these_weights(
    build: Any, square: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything but 512 numbers of each tensor, spread evenly, is zeroed in the tower."""
    monkeypatch.setenv("RETINOSCOPE_CACHE", str(tmp_path))
    model = build.model()
    before = rs.fill.mean(rs.load(model=model, processor=build.processor()), [square])
    for weight in model.model.vision_tower.parameters():
        flat = weight.data.view(-1)
        kept = flat[:: max(1, len(flat) // 512)].clone()
        flat.zero_()
        flat[:: max(1, len(flat) // 512)] = kept
    after = rs.fill.mean(rs.load(model=model, processor=build.processor()), [square])
    assert (after.vector - before.vector).abs().max() > 1e-3
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2


def test_tensors_that_are_made_to_be_read_have_their_own_digest() -> None:
    """Each lies where the one before it lay: digests go by content, not by address."""
    module = torch.nn.Module()
    for number in range(6):
        module.register_buffer(f"part{number}", torch.full((64,), float(number)), persistent=False)
    found = content_of(module)
    assert len(set(found.values())) == 6
    module.register_buffer("again", module.part3, persistent=False)
    assert content_of(module)["again"] == content_of(module)["part3"]


def test_buffers_that_are_not_saved_count(vlm: rs.VLM) -> None:
    before = vlm.fingerprint
    name, frequencies = next(
        (name, part) for name, part in vlm.model.named_buffers() if name.endswith("inv_freq")
    )
    assert name not in vlm.model.state_dict()
    frequencies.data[1] *= 2
    assert vlm.fingerprint != before
