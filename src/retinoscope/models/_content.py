"""Digests of a model's content: every byte of its weights, its tokenizer, its image processor."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import xxhash
from torch import Tensor, nn

from ._attributes import lasting_settings
from ._placement import stored_weights
from ._probes import model_owned

PASSING = (
    "_name_or_path",
    "architectures",
    "dtype",
    "name_or_path",
    "torch_dtype",
    "transformers_version",
)
"""Entries of a configuration about its file and how it was loaded rather than about the model."""

_PADDED = ("padding", "truncation")
"""Settings that a call with padding leaves in a tokenizer."""


def content_of(model: nn.Module) -> Mapping[str, str]:
    """A digest of each tensor's type, shape and bytes, by name.

    Includes buffers that are not saved, to three digits, and settings of modules that the
    configuration does not determine. An array shared by several names is read once.
    """
    # Only persistent tensors: the address of a temporary one is reused by the next.
    parts = (*model.parameters(), *model.buffers())
    staying = {part.data_ptr() for part in parts if not part.is_meta}
    digests: dict[object, str] = {}
    content: dict[str, str] = {}
    for name, tensor in _tensors(model):
        where = (tensor.data_ptr(), tensor.device, tensor.dtype, tensor.shape, tensor.stride())
        if tensor.data_ptr() not in staying:
            content[name] = _digest(tensor)
            continue
        if where not in digests:
            digests[where] = _digest(tensor)
        content[name] = digests[where]
    return {**content, **lasting_settings(model)}


def _digest(tensor: Tensor) -> str:
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    digest = xxhash.xxh3_128(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    digest.update(flat.numpy().data)
    return digest.hexdigest()


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from stored_weights(model)
    for name, tensor in _unsaved(model):
        # Computed at load time, with last bits that differ between devices.
        yield name, tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor


def _unsaved(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for home, module in model.named_modules():
        for name in sorted(module._non_persistent_buffers_set):
            tensor = module._buffers.get(name)
            if tensor is not None and not tensor.is_meta and not model_owned(module, name):
                yield f"{home}.{name}".lstrip("."), tensor


def described(thing: Any) -> object:
    """The class and the settings of a configuration or an image processor, as JSON."""
    return [type(thing).__name__, lasting(thing.to_dict())]


def lasting(config: object) -> object:
    """The entries of a configuration that concern the model rather than its file, as JSON."""
    if isinstance(config, dict):
        return {str(key): lasting(value) for key, value in config.items() if key not in PASSING}
    if isinstance(config, list | tuple):
        return [lasting(value) for value in config]
    return config if isinstance(config, str | int | float | bool | None) else str(config)


def digest_of(facts: object) -> str:
    """32 hexadecimal digits of a JSON value."""
    return xxhash.xxh3_128_hexdigest(json.dumps(facts, sort_keys=True).encode())


def processor_facts(processor: Any) -> object:
    """What prompts and pixels depend on: settings, conversation format, tokenizer, image processor.

    The image processor's class is included: its backends resize with different arithmetic.
    """
    images = getattr(processor, "image_processor", None)
    tokenizer = getattr(processor, "tokenizer", processor)
    own = {
        name: value
        for name, value in vars(processor).items()
        if isinstance(value, str | int | float | bool | None) and not name.startswith("_")
    }
    return [
        type(processor).__name__,
        own,
        getattr(tokenizer, "chat_template", None),
        None if images is None else described(images),
        None if tokenizer is images else tokenizer_facts(tokenizer),
    ]


def tokenizer_facts(tokenizer: Any) -> object:
    """Everything that determines a text's token ids, without the padding of batches."""
    inner = getattr(tokenizer, "backend_tokenizer", None)
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    if inner is not None:
        whole = json.loads(inner.to_str())
        return [special, {name: whole[name] for name in whole if name not in _PADDED}]
    pieces = getattr(getattr(tokenizer, "sp_model", None), "serialized_model_proto", bytes)
    added = {index: repr(token) for index, token in tokenizer.added_tokens_decoder.items()}
    options = {
        name: value for name, value in tokenizer.init_kwargs.items() if isinstance(value, bool)
    }
    model = xxhash.xxh3_128_hexdigest(pieces())
    return [special, type(tokenizer).__name__, tokenizer.get_vocab(), added, options, model]
