"""Objects that a user passes: recognised, unwrapped, or refused with what to do instead."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import PreTrainedModel

from ..errors import CapabilityError, InputError, RetinoscopeError
from ..memory import is_out_of_memory


def plain_model(model: Any) -> PreTrainedModel:
    """The `PreTrainedModel` itself, out of what compiles it or carries adapters in it.

    Raises:
        InputError: something else, or a wrapper that hides the model.
        CapabilityError: a wrapper that changes what goes into the model.
    """
    if hasattr(model, "_orig_mod"):
        model = model._orig_mod
    if hasattr(model, "peft_config") and hasattr(model, "get_base_model"):
        if getattr(model, "_is_prompt_learning", False) or getattr(
            getattr(model, "active_peft_config", None), "is_prompt_learning", False
        ):
            raise CapabilityError(
                f"{type(model).__name__}: learned prompts put positions in front of the text, "
                "which are not known here: give a model with LoRA or another adapter in its layers"
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
            f"expected a model by itself, got it inside {type(model).__name__}: give model.module"
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
    """The error to raise for one that a model raised while its parts were called one by one."""
    if isinstance(error, RetinoscopeError) or is_out_of_memory(error):
        return error
    hooked = [
        name or type(model).__name__
        for name, module in model.named_modules()
        if module._forward_hooks or module._forward_pre_hooks
    ]
    advice = "this family, or what was changed in it, needs an adapter of its own"
    if getattr(getattr(model, "config", None), "return_dict", True) is False:
        advice = "set config.return_dict = True, also in the text_config"
    elif hooked:
        where = ", ".join(hooked[:3])
        advice = f"look at the hooks on {where}: they have to return what the module does"
    text = " ".join(str(error).split())
    return CapabilityError(
        f"{type(model).__name__}: called part by part it fails "
        f"({type(error).__name__}: {text}): {advice}"
    )
