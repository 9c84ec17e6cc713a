"""`load`: a model by name, folder, Hub id, or as Hugging Face objects."""

from __future__ import annotations

import os

import torch
from transformers import PreTrainedModel, ProcessorMixin

from ..errors import InputError
from ..models import adapter_for, open_model
from ..pocket import MODELS, folder, planted
from ._check import self_check
from ._vlm import VLM


def load(
    source: str | os.PathLike[str] | None = None,
    *,
    model: PreTrainedModel | None = None,
    processor: ProcessorMixin | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    allow_pickle: bool = False,
    attention: str | None = None,
    check: bool = True,
) -> VLM:
    """Loads a vision-language model and checks that it can be edited exactly.

    Args:
        source: "pocket", "pocket-sentences" or "pocket-none" (packaged), "planted:NAME" (see
            `pocket.planted`), a folder that `save_pretrained` wrote, or a Hub id.
        model, processor: Hugging Face objects instead of a source.
        dtype: float32 on the CPU unless given; elsewhere the dtype that the weights are saved in.
        device: "cpu" unless given.
        allow_pickle: also load weights in pickle format, which can run any code.
        attention: "sdpa" or "eager"; the model's own choice unless given.
        check: run the self-check, a few forward passes over 8 positions.

    Raises:
        InputError: neither a source nor model and processor, or a source that cannot be loaded.
        CapabilityError: a family without an adapter, or a model that fails the self-check.
    """
    if source is not None:
        if model is not None or processor is not None:
            raise InputError("expected a source or model and processor, got both")
        name = os.fspath(source)
        if name.startswith(planted.PREFIX):
            model, processor = planted.build(name, dtype=dtype, device=device, attention=attention)
        else:
            model, processor = open_model(
                folder(name) if isinstance(source, str) and source in MODELS else source,
                dtype=dtype,
                device=device,
                allow_pickle=allow_pickle,
                attention=attention,
            )
    elif model is None or processor is None:
        raise InputError("expected a source, or both model and processor, got neither")
    else:
        given = (dtype, device, attention)
        if any(option is not None for option in given) or allow_pickle:
            raise InputError(
                "expected no dtype, device, attention or allow_pickle beside a loaded model: "
                "set them on the model"
            )
        name = str(getattr(model.config, "name_or_path", "") or type(model).__name__)
    vlm = VLM(adapter_for(model, processor), name)
    if check:
        vlm.capabilities = self_check(vlm)
    return vlm
