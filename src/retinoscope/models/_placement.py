"""How a model's weights are stored: in 4 or 8 bits, on several devices, in memory or on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import BitsAndBytesConfig, PreTrainedModel

from ..errors import CapabilityError, MissingExtraError

Quantization = Literal["4bit", "8bit"]
DeviceMap = str | dict[str, str | int | torch.device]


def quantizer(kind: Quantization, dtype: torch.dtype) -> BitsAndBytesConfig:
    """The bitsandbytes settings for weights in `kind`.

    8 bits are used without the outlier columns of LLM.int8 (Dettmers et al. 2022, section 3.2):
    outliers are determined over all rows of a batch, so a position's result would depend on the
    other counterfactuals in it. 4 bits are NF4 (Dettmers et al. 2023, section 3).

    Args:
        dtype: of the products.

    Raises:
        MissingExtraError: bitsandbytes or accelerate is not installed.
    """
    _need("bitsandbytes", "quantization")
    _need("accelerate", "devices")
    if kind == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=0.0)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )


def quantized(model: PreTrainedModel) -> str | None:
    """How the weights are quantised, in words; None if they are not."""
    settings: Any = getattr(model.config, "quantization_config", None)
    if settings is None:
        return None
    if getattr(settings, "load_in_4bit", False):
        return "4 bits"
    return "8 bits" if getattr(settings, "load_in_8bit", False) else "quantised form"


def need_device_map() -> None:
    """Raises `MissingExtraError` if device maps are not supported by what is installed."""
    _need("accelerate", "devices")


def check_placement(model: PreTrainedModel, blocks: Sequence[nn.Module]) -> None:
    """Refuses weights that would give inexact results or fail in the middle of a study.

    Raises:
        CapabilityError: 8-bit weights with outlier columns, or weights outside the decoder's blocks
            that are offloaded to memory or disk.
    """
    settings: Any = getattr(model.config, "quantization_config", None)
    if getattr(settings, "load_in_8bit", False) and settings.llm_int8_threshold > 0:
        raise CapabilityError(
            "8-bit weights with outlier columns (llm_int8_threshold above 0) make a position's "
            "result depend on other rows, so no counterfactual is exact: load the model with "
            "llm_int8_threshold=0.0, as quantization='8bit' does"
        )
    inside = {id(part) for block in blocks for part in block.parameters()}
    for name, part in model.named_parameters():
        if part.is_meta and id(part) not in inside:
            raise CapabilityError(
                f"{name} is offloaded, which only the decoder's blocks may be: give everything "
                "else a device in device_map"
            )


def stored_weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yields every stored tensor, ordered by name, with one at a time in memory."""
    homes = dict(model.named_modules())
    for name, tensor in sorted(model.state_dict().items()):
        if not tensor.is_meta:
            yield name, tensor
            continue
        from accelerate.utils import align_module_device

        home, _, attribute = name.rpartition(".")
        with align_module_device(homes[home], torch.device("cpu")):
            yield name, getattr(homes[home], attribute).detach()


def _need(package: str, extra: str) -> None:
    if find_spec(package) is None:
        raise MissingExtraError(package, extra)
