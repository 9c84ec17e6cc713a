"""`load`: a model by name, folder, Hub id, or as Hugging Face objects."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from transformers import PreTrainedModel, ProcessorMixin

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
            `pocket.planted`), "smol" or "smol-lora" (see `pocket.smol`; `retinoscope fetch smol`
            first), a folder that `retinoscope train smol` or `save_pretrained` wrote, or a Hub id.
        model, processor: Hugging Face objects instead of a source. Of a PEFT model with adapters in
            its layers, or a compiled one, the model inside is taken: it is `vlm.model`.
        dtype: float32 on the CPU unless given; elsewhere the dtype that the weights are saved in.
        device: "cpu" unless given.
        device_map: spreads the weights over devices, as `transformers` does, in place of `device`:
            "auto", or a device, "cpu" or "disk" by module. Only the decoder's blocks may wait on
            the CPU or on disk for their turn.
        quantization: "4bit" or "8bit" weights by bitsandbytes. Everything is then exact for the
            quantised model; the fast path is claimed where the self-check finds it so.
        allow_pickle: also load weights in pickle format, which can run any code.
        attention: "sdpa" or "eager"; the model's own choice unless given.
        check: run the self-check, a few forward passes over 8 positions.

    Raises:
        InputError: neither a source nor model and processor, or a source that cannot be loaded.
        CapabilityError: a family without an adapter, a model that fails the self-check, or weights
            that are kept in a way that is not exact.
        MissingExtraError: a package that `device_map` or `quantization` needs is not installed.
    """
    if source is not None:
        if model is not None or processor is not None:
            raise InputError("expected a source or model and processor, got both")
        if not isinstance(source, str | os.PathLike):
            raise InputError(
                f"expected a name or a folder, got a {type(source).__name__}: give a loaded model "
                "and its processor as model= and processor="
            )
        name = os.fspath(source)
        if name.startswith(planted.PREFIX):
            if device_map is not None or quantization is not None:
                raise InputError("expected no device_map and no quantization for a planted model")
            model, processor = planted.build(name, dtype=dtype, device=device, attention=attention)
        elif name in smol.NAMES or smol.is_adapter(name):
            if device_map is not None or quantization is not None:
                raise InputError(f"expected no device_map and no quantization for {name}")
            adapter = name if name in smol.NAMES else Path(name).expanduser()
            model, processor = smol.build(adapter, dtype=dtype, device=device, attention=attention)
        else:
            model, processor = open_model(
                folder(name) if isinstance(source, str) and source in MODELS else source,
                dtype=dtype,
                device=device,
                device_map=device_map,
                quantization=quantization,
                allow_pickle=allow_pickle,
                attention=attention,
            )
    elif model is None or processor is None:
        raise InputError("expected a source, or both model and processor, got neither")
    else:
        given = (dtype, device, device_map, quantization, attention)
        if any(option is not None for option in given) or allow_pickle:
            raise InputError(
                "expected no dtype, device, device_map, quantization, attention or allow_pickle "
                "beside a loaded model: set them on the model"
            )
        model = plain_model(model)
        check_processor(processor)
        name = str(getattr(model.config, "name_or_path", "") or type(model).__name__)
    try:
        # What holds at load must not depend on where the model is loaded.
        place = "cpu" if model.device.type == "meta" else model.device.type
        with torch.autocast(place, enabled=False):
            vlm = VLM(adapter_for(model, processor), name)
            if check:
                vlm.check()
    # A model that is called in a way it does not expect can fail with anything.
    except Exception as error:
        raise failed(model, error) from error
    return vlm
