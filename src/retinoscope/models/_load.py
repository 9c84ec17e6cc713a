"""Opens a model and its processor from a folder or the Hub, with one-line errors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    PreTrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
)
from transformers.utils import is_torchvision_available

from ..device import device_of
from ..errors import CapabilityError, InputError
from ..hub import unreachable
from ._adapter import Adapter
from ._entering import entering
from ._families import ADAPTERS
from ._foreign_code import NO_CODE, foreign_code, is_config, refuse_kernels
from ._generic import GenericAdapter, unfit
from ._placement import DeviceMap, Quantization, check_placement, need_device_map, quantizer
from ._processor import open_processor
from ._watch import refuse_training


def families() -> dict[str, tuple[str, ...]]:
    """The supported families, with the `config.model_type`s of each."""
    return {adapter.family: adapter.model_types for adapter in ADAPTERS}


def adapter_for(model: PreTrainedModel, processor: ProcessorMixin) -> Adapter:
    """Returns the adapter of a loaded model.

    A family without its own adapter gets the generic one, which is always compared with the model's
    own forward pass on prompts with images.

    Raises:
        CapabilityError: no adapter for this family, and the generic one does not fit; weights
            stored in a way that is not exact; or a wrapped embedding or head.
        InputError: the model is in training mode (dropout would change every pass).
    """
    kind = _adapter_class(model.config)
    if getattr(model.config.get_text_config(), "hidden_size_per_layer_input", 0):
        raise CapabilityError(
            f"{type(model).__name__}: its decoder also makes an embedding of each token id for "
            "every block (hidden_size_per_layer_input), which visual tokens do not have: use "
            "another model"
        )
    refuse_training(model)
    if kind is not GenericAdapter:
        adapter = kind(model, processor)
        _ = adapter.embedding, adapter.unembedding
        check_placement(model, adapter.decoder.layers)
        return adapter
    try:
        adapter = GenericAdapter(model, processor)
        _ = adapter.embedding, adapter.unembedding
        check_placement(model, adapter.decoder.layers)
        with entering(model):
            adapter.verify()
    except CapabilityError as error:
        raise _no_adapter(model.config, f"the generic one does not fit: {error}") from error
    return adapter


def open_model(
    source: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    device_map: DeviceMap | None = None,
    quantization: Quantization | None = None,
    allow_pickle: bool = False,
    attention: str | None = None,
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Opens a Hugging Face model in evaluation mode, and its processor.

    Args:
        source: a folder or a Hub id.
        dtype: by default float32 on the CPU, elsewhere the dtype in which the weights are saved.
        device: by default "cpu".
        device_map: distributes the weights, as in `transformers`: "auto", or a device, "cpu" or
            "disk" per module. Replaces `device`.
        quantization: "4bit" or "8bit" weights by bitsandbytes.
        allow_pickle: also load `pytorch_model.bin`, which can run any code when it is read.
        attention: "sdpa" or "eager"; by default the model's own choice.

    Raises:
        InputError: a folder without a model, an unknown id (or no network), weights in pickle
            format that were not allowed, damaged or incomplete weights; a device that does not
            exist, or both a device and a device map.
        CapabilityError: a model family without an adapter.
        MissingExtraError: a package that `device_map` or `quantization` needs is not installed.
    """
    if device is not None and device_map is not None:
        raise InputError("expected a device or a device_map, got both")
    if quantization not in (None, "4bit", "8bit"):
        raise InputError(f"expected quantization '4bit' or '8bit', got {quantization!r}")
    name = located(source, allow_pickle)
    place = device_of(device)
    config = read_config(name)
    _adapter_class(config)
    here = place.type == "cpu" and device_map is None
    chosen = dtype or (torch.float32 if here else "auto")
    options: dict[str, Any] = {} if attention is None else {"attn_implementation": attention}
    if device_map is not None:
        need_device_map()
        options["device_map"] = device_map
    if quantization is not None:
        stored = getattr(config.get_text_config(), "dtype", None) or torch.float32
        products = chosen if isinstance(chosen, torch.dtype) else stored
        options["quantization_config"] = quantizer(quantization, products)
        options.setdefault("device_map", {"": place})
    model = read_weights(AutoModelForImageTextToText, name, config, chosen, allow_pickle, options)
    if "device_map" not in options:
        torch.nn.Module.to(model, place)
    return model.eval(), read_processor(name, config)


def located(source: str | os.PathLike[str], allow_pickle: bool) -> str:
    """Returns a folder's path, checked, or a Hub id.

    Raises:
        InputError: a folder without a model, a folder that does not exist, or an id while the Hub
            cannot be reached and this machine has no cached copy.
    """
    name = os.fspath(source)
    folder = Path(name).expanduser()
    if folder.is_dir():
        _check_folder(folder, allow_pickle)
        return str(folder)
    if folder.exists() or name.startswith((".", "~", os.sep)) or name.count("/") > 1:
        raise InputError(
            f"expected a folder with a model or a Hub id, got {name!r}: no such folder"
        )
    if (error := unreachable(name, "model")) is not None:
        raise _not_opened(name, error) from error
    return name


def _adapter_class(config: PreTrainedConfig) -> type[Adapter]:
    for adapter in ADAPTERS:
        if adapter.takes(config):
            return adapter
    why = unfit(config)
    if why is not None:
        raise _no_adapter(config, why)
    return GenericAdapter


def _no_adapter(config: PreTrainedConfig, why: str) -> CapabilityError:
    known = ", ".join(f"{name} ({'/'.join(types)})" for name, types in families().items())
    return CapabilityError(
        f"models of type {config.model_type!r} have no adapter ({why}); supported families: {known}"
    )


def _check_folder(folder: Path, allow_pickle: bool) -> None:
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{folder}: expected a model, got a folder without config.json: "
            "give a folder written by save_pretrained"
        )
    if any(folder.glob("*.safetensors")):
        return
    if not any(folder.glob("*.bin")):
        raise InputError(f"{folder}: expected weights in *.safetensors, got none: copy them there")
    if not allow_pickle:
        raise _pickled(str(folder))


def _pickled(name: str) -> InputError:
    return InputError(
        f"{name}: expected weights in safetensors, got pickle files, which can run any code: "
        "convert them with save_pretrained, or pass allow_pickle=True if you trust their source"
    )


def read_config(name: str) -> PreTrainedConfig:
    """Reads the model's configuration.

    Raises:
        InputError: a name that is neither a model's folder nor a Hub id.
        CapabilityError: a model that needs code of its own.
    """
    try:
        config = AutoConfig.from_pretrained(name, **NO_CODE)
    except Exception as error:
        raise foreign_code(name, error) or _not_opened(name, error) from error
    refuse_kernels(name, config)
    return config


_SIZES = ("hidden_size", "intermediate_size", "vocab_size")
_SLACK = 4
"""Sizes that a model does not use may exceed those in its weights by this factor."""


def check_sizes(name: str, config: PreTrainedConfig) -> None:
    """Checks a configuration's sizes against the weights beside it, before allocating memory.

    The library allocates what the configuration says, fills it with random numbers, and only then
    notices that the weights have other shapes.

    Raises:
        InputError: a size far above every shape in the folder's weights, or more blocks than these
            have tensors; weights whose header cannot be read.
    """
    shapes: list[tuple[int, ...]] = []
    for file in Path(name).glob("*.safetensors"):
        try:
            with safe_open(file, framework="np") as weights:
                names = weights.keys()
                shapes += [tuple(weights.get_slice(name).get_shape()) for name in names]
        except (SafetensorError, OSError) as error:
            raise InputError(
                f"{file}: expected weights in safetensors, got a damaged file ({short(error)}): "
                "copy it again"
            ) from error
    if not shapes or getattr(config, "quantization_config", None):
        return
    most = max((size for shape in shapes for size in shape), default=0)
    bounds = {**dict.fromkeys(_SIZES, _SLACK * most), "num_hidden_layers": len(shapes)}
    for part in (config, *(value for value in vars(config).values() if is_config(value))):
        for key, bound in bounds.items():
            size = getattr(part, key, None)
            if isinstance(size, int) and size > bound:
                raise InputError(
                    f"{name}: config.json says {key} = {size}, but the weights beside it are "
                    f"{len(shapes)} tensors of at most {most} rows or columns: it belongs to "
                    "another model"
                )


def read_processor(name: str, config: PreTrainedConfig) -> ProcessorMixin:
    """Opens the processor beside a model, or says in one line why there is none."""
    try:
        done = open_processor(name, config)
    except Exception as error:
        if (refusal := foreign_code(name, error)) is not None:
            raise refusal from error
        if "torchvision" in str(error).lower() and not is_torchvision_available():
            raise InputError(
                f"{name}: expected the package torchvision, which this model's processor needs "
                "even for images and which is not installed: install the torchvision that matches "
                "your torch"
            ) from error
        raise InputError(
            f"{name}: expected a processor beside the model, got none that loads "
            f"({short(error)}): save the processor with the model"
        ) from error
    if not hasattr(done, "image_processor"):
        raise InputError(f"{name}: expected a processor for images and text, got only a tokenizer")
    return done


def read_weights(
    kind: Any,
    name: str,
    config: PreTrainedConfig,
    dtype: torch.dtype | str,
    allow_pickle: bool,
    options: dict[str, Any],
) -> PreTrainedModel:
    """Loads a complete model of the class `kind`, or says in one line why it cannot."""
    check_sizes(name, config)
    try:
        loaded: Any = kind.from_pretrained(
            name,
            config=config,
            dtype=dtype,
            use_safetensors=None if allow_pickle else True,
            output_loading_info=True,
            **NO_CODE,
            **options,
        )
    except Exception as error:
        if (refusal := foreign_code(name, error)) is not None:
            raise refusal from error
        if not allow_pickle and "safetensors" in str(error) and isinstance(error, OSError):
            raise _pickled(name) from error
        raise InputError(
            f"{name}: expected weights that fit the model's config.json, got some that do not load "
            f"({short(error)})"
        ) from error
    model, info = loaded
    missing = [*info["missing_keys"], *info["mismatched_keys"]]
    if missing:
        # The library fills these with random numbers and only logs a warning.
        raise InputError(
            f"{name}: expected complete weights, got none for {len(missing)} tensors "
            f"(such as {missing[0]}): the files are damaged or belong to another model"
        )
    return model


def _not_opened(name: str, error: Exception) -> InputError:
    if (Path(name) / "config.json").is_file():
        return InputError(
            f"{name}: expected a config.json of a model that transformers knows, got another "
            f"({short(error)}): restore the file"
        )
    return InputError(
        f"{name}: expected a folder with a model or the id of a model on the Hub, got neither "
        f"({short(error)}): check the name and the network"
    )


def short(error: Exception) -> str:
    """The first line of an error, at most 120 characters."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:120].rstrip(" .:")
