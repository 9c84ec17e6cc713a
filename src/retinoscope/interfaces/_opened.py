"""The packaged interfaces, put together as Hugging Face models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    ProcessorMixin,
)

from ..device import device_of
from ..errors import InputError, one_line
from ..pocket.vocabulary import token_id
from ._interface import VisualInterface
from ._model import InterfaceConfig, InterfaceForConditionalGeneration, require_room
from ._qformer import QFormer
from ._systems import INTERFACES
from ._towers_file import open_towers
from ._trained import TrainedInterface, read_trained
from ._vocabulary import interface_processor, interface_tokenizer, n_codes_of

PREFIX = "interface:"
"""Prefix of the names of the packaged interfaces."""
WEIGHTS = Path(__file__).parent / "weights"


def packaged_names() -> tuple[str, ...]:
    """The packaged interfaces, as `rs.load` takes them."""
    return tuple(f"{PREFIX}{name}" for name in INTERFACES if _file(name).is_file())


def packaged(name: str) -> TrainedInterface:
    """A packaged interface; `name` with or without the prefix.

    Raises:
        InputError: no such interface in this installation.
    """
    file = _file(name.removeprefix(PREFIX))
    if not file.is_file():
        known = ", ".join(packaged_names()) or "(none is packaged)"
        raise InputError(
            f"expected an interface of {known}, got {name!r}: "
            "choose one of these, or train it with `retinoscope train interface`"
        )
    return read_trained(file)


def open_packaged(
    name: str,
    *,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    attention: str | None = None,
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """A packaged interface in front of its language model, and the processor.

    Args:
        name: "interface:qformer" and the like.
        dtype: float32 by default.
        device: "cpu" by default.
        attention: "sdpa" or "eager", for the language model.

    Raises:
        InputError: no such interface, or a device that does not exist.
    """
    place = device_of(device)
    found = packaged(name)
    decoder = open_decoder(WEIGHTS / "decoder")
    interface = found.interface(open_towers(WEIGHTS), decoder.config.hidden_size)
    model, processor = assemble(interface, found.decoder(decoder))
    if attention is not None:
        model.set_attn_implementation({"text_config": attention})
    return model.to(place, dtype or torch.float32).eval(), processor  # type: ignore[arg-type]


def assemble(
    interface: VisualInterface, decoder: LlamaForCausalLM
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """The whole model, which `save_pretrained` writes as an ordinary folder; and its processor.

    A `QFormer` becomes an ordinary BLIP-2, which transformers alone opens.
    """
    image = token_id(interface_tokenizer(), "<image>")
    # Apart from the attention with which it may have been trained.
    text = LlamaConfig.from_dict(decoder.config.to_dict())
    require_room(interface, text)
    if isinstance(interface, QFormer):
        model = _as_blip2(interface, decoder, text, image)
    else:
        config = InterfaceConfig(interface.system, interface.settings, text, image_token_id=image)
        shell: Any = InterfaceForConditionalGeneration(config)
        shell.interface.load_state_dict(interface.state_dict())
        shell.language_model.load_state_dict(decoder.state_dict())
        model = shell
    processor = interface_processor(
        interface.n_tokens, interface.shape.image, n_codes_of(text.vocab_size)
    )
    return model.float().eval(), processor


def _as_blip2(
    interface: QFormer, decoder: LlamaForCausalLM, text: LlamaConfig, image: int
) -> Blip2ForConditionalGeneration:
    config = Blip2Config(
        vision_config=interface.tower.config,
        qformer_config=interface.qformer.config,
        text_config=text,
        num_query_tokens=interface.n_tokens,
        image_token_index=image,
    )
    model: Any = Blip2ForConditionalGeneration(config)
    parts = {
        "vision_model": interface.tower,
        "qformer": interface.qformer,
        "language_projection": interface.language_projection,
        "language_model": decoder,
    }
    for name, part in parts.items():
        model.get_submodule(name).load_state_dict(part.state_dict())
    with torch.no_grad():
        model.query_tokens.copy_(interface.query_tokens)
    return model


def open_decoder(folder: Path) -> LlamaForCausalLM:
    """The language model that all interfaces share, in float32.

    Raises:
        InputError: no language model of these words in this folder.
    """
    again = "train it with `retinoscope train interface decoder`"
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{folder}: expected the interfaces' language model, got no config.json: {again}"
        )
    try:
        model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"{folder}: expected the interfaces' language model, got {one_line(error)}: {again}"
        ) from error
    n_words = len(interface_tokenizer())
    if model.config.vocab_size != n_words:
        raise InputError(
            f"{folder}: expected a language model of {n_words} words, got one of "
            f"{model.config.vocab_size}: {again}"
        )
    return model


def _file(name: str) -> Path:
    return WEIGHTS / f"{name}.safetensors"
