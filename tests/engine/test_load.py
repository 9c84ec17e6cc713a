"""Loading: from a folder, from objects, and everything that is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load, save_file
from transformers import AutoConfig

import retinoscope as rs


@pytest.fixture
def copied(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def test_a_folder_gives_the_same_logits(
    tiny: rs.VLM, tiny_folder: Path, square: Image.Image
) -> None:
    vlm = rs.load(tiny_folder)
    assert type(vlm.processor.image_processor).__name__ == "CLIPImageProcessorPil"
    assert vlm.dtype == torch.float32
    found = vlm.run(vlm.prompt(square, "Describe this image."))
    assert torch.equal(found.logits, tiny.run(tiny.prompt(square, "Describe this image.")).logits)
    assert vlm.fingerprint == tiny.fingerprint


def test_dtype_and_attention(tiny_folder: Path, square: Image.Image) -> None:
    vlm = rs.load(str(tiny_folder), dtype=torch.bfloat16, attention="eager")
    run = vlm.run(vlm.prompt(square, "Describe this image."))
    assert run.hidden(1).dtype == torch.bfloat16
    assert run.logits.dtype == torch.float32
    obj = run.image.at(range(20))
    assert run.counterfactuals([rs.Knockout(obj, "last"), rs.Ablate(obj)]).logits.isfinite().all()


def _refused(source: object, match: str, **options: object) -> None:
    with pytest.raises(rs.RetinoscopeError, match=match) as error:
        rs.load(source, **options)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_folders_that_are_no_model(tmp_path: Path, copied: Path) -> None:
    _refused(tmp_path / "nowhere", "no such folder")
    _refused(tmp_path, "config.json")
    (copied / "model.safetensors").unlink()
    _refused(copied, "expected weights")


def test_pickle_is_refused_unless_allowed(copied: Path, square: Image.Image) -> None:
    weights = load((copied / "model.safetensors").read_bytes())
    (copied / "model.safetensors").unlink()
    torch.save(weights, copied / "pytorch_model.bin")
    _refused(copied, "pickle")
    vlm = rs.load(copied, allow_pickle=True)
    assert vlm.run(vlm.prompt(square, "a cat")).logits.isfinite().all()


def test_damaged_weights(copied: Path) -> None:
    weights = load((copied / "model.safetensors").read_bytes())
    whole = (copied / "model.safetensors").read_bytes()
    (copied / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    _refused(copied, "damaged")
    name = sorted(weights)[0]
    del weights[name]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    _refused(copied, "got none for 1 tensors")


def test_an_unknown_id_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("We couldn't connect to the Hub\nand could not find it in the cached files")

    monkeypatch.setattr(AutoConfig, "from_pretrained", offline)
    _refused("nobody/no-such-model", "check the name and the network")


def test_another_family(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    config["model_type"] = "gpt2"
    (copied / "config.json").write_text(json.dumps(config))
    _refused(copied, "no adapter .*supported families: .*LLaVA-1.5")


def test_a_folder_without_a_processor(copied: Path) -> None:
    for name in ("processor_config.json", "tokenizer.json", "tokenizer_config.json"):
        (copied / name).unlink(missing_ok=True)
    _refused(copied, "processor")


def test_wrong_use(tiny: rs.VLM) -> None:
    _refused(None, "got neither")
    _refused("pocket", "got both", model=tiny.model)
    with pytest.raises(rs.InputError, match="with a loaded model"):
        rs.load(model=tiny.model, processor=tiny.processor, device="cpu")


def test_the_self_check_finds_a_head_that_the_adapter_does_not_know(build) -> None:
    model = build.model()
    model.lm_head.register_forward_hook(lambda _, __, out: out * (1.5 if out.ndim == 3 else 1.0))
    with pytest.raises(rs.CapabilityError, match="the model's own"):
        rs.load(model=model, processor=build.processor())


def test_the_self_check_finds_attention_that_ignores_masks(build) -> None:
    model = build.model()

    forward = type(model.model.language_model.layers[0].self_attn).forward

    class Deaf:
        def __init__(self, module: object) -> None:
            self.module = module

        def __call__(self, *args: object, **kwargs: object) -> object:
            return forward(self.module, *args, **{**kwargs, "attention_mask": None})

    for layer in model.model.language_model.layers:
        layer.self_attn.forward = Deaf(layer.self_attn)
    with pytest.raises(rs.CapabilityError, match="ignores the mask"):
        rs.load(model=model, processor=build.processor())
