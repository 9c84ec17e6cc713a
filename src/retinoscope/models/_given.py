"""Objects passed by the user: recognised, unwrapped, or refused with advice."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import PreTrainedModel

from ..errors import CapabilityError, InputError, RetinoscopeError
from ..memory import is_out_of_memory


def plain_model(model: Any) -> PreTrainedModel:
    """Returns the `PreTrainedModel` itself, without what compiles it or adds adapters to it.

    Raises:
        InputError: something else, or a wrapper that hides the model.
        CapabilityError: a wrapper that changes the model's input.
    """
    if hasattr(model, "_orig_mod"):
        model = model._orig_mod
    if hasattr(model, "peft_config") and hasattr(model, "get_base_model"):
        if getattr(model, "_is_prompt_learning", False) or getattr(
            getattr(model, "active_peft_config", None), "is_prompt_learning", False
        ):
            raise CapabilityError(
                f"{type(model).__name__}: learned prompts insert positions before the text, which "
                "is not supported: give a model with LoRA or another adapter in its layers"
            )
        model = model.get_base_model()
    if isinstance(model, PreTrainedModel):
        return model
    if isinstance(model, str):
        raise InputError(
            f"expected a loaded model as model=, got the name {model!r}: write "
            f"retinoscope.load({model!r})"
        )
    if isinstance(getattr(model, "module", None), PreTrainedModel):
        raise InputError(
            f"expected the model itself, got it inside {type(model).__name__}: give model.module"
        )
    raise InputError(
        f"expected a PreTrainedModel of transformers as model=, got a {type(model).__name__}"
    )


def check_processor(processor: Any) -> None:
    """Raises `InputError` unless it prepares both images and text."""
    missing = [
        what
        for name, what in (("image_processor", "images"), ("tokenizer", "text"))
        if getattr(processor, name, None) is None
    ]
    if missing or isinstance(processor, str):
        raise InputError(
            "expected a processor for images and text, such as AutoProcessor.from_pretrained "
            f"gives, got a {type(processor).__name__}, which has none for {' and '.join(missing)}"
        )


def failed(model: nn.Module, error: Exception) -> Exception:
    """Turns an error raised by a model whose parts were called one by one into a refusal."""
    if isinstance(error, RetinoscopeError) or is_out_of_memory(error):
        return error
    hooked = [
        name or type(model).__name__
        for name, module in model.named_modules()
        if module._forward_hooks or module._forward_pre_hooks
    ]
    advice = "this family, or a change that was made to it, needs its own adapter"
    if getattr(getattr(model, "config", None), "return_dict", True) is False:
        advice = "set config.return_dict = True, also in the text_config"
    elif hooked:
        where = ", ".join(hooked[:3])
        advice = f"check the hooks on {where}: they must return what the module returns"
    text = " ".join(str(error).split())
    return CapabilityError(
        f"{type(model).__name__}: it fails when its parts are called one by one "
        f"({type(error).__name__}: {text}): {advice}"
    )
