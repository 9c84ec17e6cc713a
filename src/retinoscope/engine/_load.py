"""`load`: a model by name, folder or Hub id, or from Hugging Face objects."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel, ProcessorMixin

from .. import interfaces
from ..errors import InputError
from ..models import (
    DeviceMap,
    Quantization,
    adapter_for,
    check_processor,
    failed,
    open_model,
    plain_model,
)
from ..pocket import MODELS, folder, planted, smol
from ._vlm import VLM


def load(
    source: str | os.PathLike[str] | None = None,
    *,
    model: PreTrainedModel | None = None,
    processor: ProcessorMixin | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    device_map: DeviceMap | None = None,
    quantization: Quantization | None = None,
    allow_pickle: bool = False,
    attention: str | None = None,
    check: bool = True,
) -> VLM:
    """Loads a vision-language model and checks that it can be edited exactly.

    Args:
        source: "pocket", "pocket-sentences" or "pocket-none" (packaged), "planted:NAME" (see
            `pocket.planted`), "interface:NAME" (see `retinoscope.interfaces`), "smol" or
            "smol-lora" (see `pocket.smol`; run `retinoscope fetch smol` first), a folder written by
            `retinoscope train smol` or `save_pretrained`, or a Hub id.
        model, processor: Hugging Face objects instead of a source. Of a PEFT model with adapters in
            its layers, or a compiled one, the inner model is used: it is `vlm.model`.
        dtype: float32 on the CPU by default; elsewhere the dtype in which the weights are saved.
        device: "cpu" by default.
        device_map: spreads the weights over devices, as `transformers` does, in place of `device`:
            "auto", or a device, "cpu" or "disk" by module. Only the decoder's blocks may be
            offloaded to the CPU or to disk.
        quantization: "4bit" or "8bit" weights by bitsandbytes. Results are then exact for the
            quantised model; the incremental path is used if the self-check finds it exact.
        allow_pickle: also load weights in pickle format, which can run any code.
        attention: "sdpa" or "eager"; the model's own choice by default.
        check: run the self-check, a few forward passes over 8 positions.

    Raises:
        InputError: there is neither a source nor a model with its processor, or the source cannot
            be loaded.
        CapabilityError: the family has no adapter, the model fails the self-check, or its weights
            are stored in a way that does not allow exact results.
        MissingExtraError: a package needed by `device_map` or `quantization` is not installed.
    """
    settings = _LoadSettings(dtype, device, device_map, quantization, attention, allow_pickle)
    if source is not None:
        if model is not None or processor is not None:
            raise InputError("expected a source or model and processor, got both")
        name, model, processor = _opened(source, settings)
    elif model is None or processor is None:
        raise InputError("expected a source, or both model and processor, got neither")
    else:
        model = _loaded(model, processor, settings)
        name = str(getattr(model.config, "name_or_path", "") or type(model).__name__)
    try:
        # The result of the checks must not depend on an active autocast.
        place = "cpu" if model.device.type == "meta" else model.device.type
        with torch.autocast(place, enabled=False):
            vlm = VLM(adapter_for(model, processor), name)
            if check:
                vlm.check()
    # A model called in an unexpected way can raise anything.
    except Exception as error:
        raise failed(model, error) from error
    return vlm


@dataclass(frozen=True)
class _LoadSettings:
    """Settings for opening weights; see `load`."""

    dtype: torch.dtype | None = None
    device: str | torch.device | None = None
    device_map: DeviceMap | None = None
    quantization: Quantization | None = None
    attention: str | None = None
    allow_pickle: bool = False

    def refuse_placement(self, name: str) -> None:
        """Raises `InputError` for settings that only the library's models accept."""
        if self.device_map is not None or self.quantization is not None:
            raise InputError(f"expected no device_map and no quantization for {name}")


def _loaded(
    model: PreTrainedModel, processor: ProcessorMixin, settings: _LoadSettings
) -> PreTrainedModel:
    """Returns the plain model of Hugging Face objects, for which no setting may be given."""
    if settings != _LoadSettings():
        raise InputError(
            "expected no dtype, device, device_map, quantization, attention or allow_pickle "
            "with a loaded model: set them on the model"
        )
    plain = plain_model(model)
    check_processor(processor)
    return plain


def _opened(source: object, settings: _LoadSettings) -> tuple[str, PreTrainedModel, ProcessorMixin]:
    """Returns name, model and processor of a source."""
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"expected a name or a folder, got a {type(source).__name__}: give a loaded model "
            "and its processor as model= and processor="
        )
    name = os.fspath(source)
    plain = {
        "dtype": settings.dtype,
        "device": settings.device,
        "attention": settings.attention,
    }
    if name.startswith(planted.PREFIX):
        settings.refuse_placement("a planted model")
        return name, *planted.build(name, **plain)
    if name.startswith(interfaces.PREFIX):
        settings.refuse_placement("a packaged interface")
        return name, *interfaces.open_packaged(name, **plain)
    if name in smol.NAMES or smol.is_adapter(name):
        settings.refuse_placement(name)
        adapter = name if name in smol.NAMES else Path(name).expanduser()
        return name, *smol.build(adapter, **plain)
    return name, *open_model(
        folder(name) if isinstance(source, str) and source in MODELS else source,
        device_map=settings.device_map,
        quantization=settings.quantization,
        allow_pickle=settings.allow_pickle,
        **plain,
    )


def is_packaged(name: str) -> bool:
    """Whether `load` makes this model itself, from the package or from fetched parts."""
    made = (planted.PREFIX, interfaces.PREFIX)
    return name in MODELS or name in smol.NAMES or name.startswith(made)
