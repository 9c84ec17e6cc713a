"""How a model's weights are kept: in 4 or 8 bits, on several devices, in memory or on disk."""

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
    """bitsandbytes' settings for weights in `kind`.

    8 bits come without the outlier columns of LLM.int8 (Dettmers et al. 2022, section 3.2): what is
    an outlier is decided over all rows of a batch, so that a position's result would depend on the
    other counterfactuals beside it. 4 bits are NF4 (Dettmers et al. 2023, section 3).

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
    """In what the weights of its products are kept, in words; None where nothing is quantised."""
    settings: Any = getattr(model.config, "quantization_config", None)
    if settings is None:
        return None
    if getattr(settings, "load_in_4bit", False):
        return "4 bits"
    return "8 bits" if getattr(settings, "load_in_8bit", False) else "quantised form"


def need_device_map() -> None:
    """Raises `MissingExtraError` where a device map cannot be followed."""
    _need("accelerate", "devices")


def check_placement(model: PreTrainedModel, blocks: Sequence[nn.Module]) -> None:
    """Refuses what would be inexact or would fail in the middle of a study.

    Raises:
        CapabilityError: 8-bit weights with outlier columns, or weights outside the decoder's blocks
            that wait in memory or on disk.
    """
    settings: Any = getattr(model.config, "quantization_config", None)
    if getattr(settings, "load_in_8bit", False) and settings.llm_int8_threshold > 0:
        raise CapabilityError(
            "8-bit weights with outlier columns (llm_int8_threshold above 0) give a position "
            "another result beside other rows, so no counterfactual is exact: load the model with "
            "llm_int8_threshold=0.0, which quantization='8bit' does"
        )
    inside = {id(part) for block in blocks for part in block.parameters()}
    for name, part in model.named_parameters():
        if part.is_meta and id(part) not in inside:
            raise CapabilityError(
                f"{name} is offloaded, and only the decoder's blocks may be: give everything else "
                "a device in device_map"
            )


def stored_weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every stored tensor with its name in order of the names, one in memory at a time."""
    homes = dict(model.named_modules())
    for name, tensor in sorted(model.state_dict().items()):
        if not tensor.is_meta:
            yield name, tensor
            continue
        from accelerate.utils import align_module_device

        home, _, own = name.rpartition(".")
        with align_module_device(homes[home], torch.device("cpu")):
            yield name, getattr(homes[home], own).detach()


def _need(package: str, extra: str) -> None:
    if find_spec(package) is None:
        raise MissingExtraError(package, extra)
