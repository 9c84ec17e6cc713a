"""How a model is loaded: the options, and the loading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from ..engine import VLM

_GROUP = Group("The model", sort_key=3)
"""The group of these options in `--help`."""


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True, kw_only=True)
class Loading:
    """How the model is loaded."""

    device: Annotated[str | None, Parameter(help="where to compute, such as cuda or cpu.")] = None
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        Parameter(help="precision; float32 on a CPU, elsewhere that of the weights."),
    ] = None
    device_map: Annotated[
        str | None,
        Parameter(help="distribute the weights: auto, balanced or sequential (replaces --device)."),
    ] = None
    quantization: Annotated[
        Literal["4bit", "8bit"] | None, Parameter(help="weights in 4 or 8 bits (bitsandbytes).")
    ] = None
    allow_pickle: Annotated[
        bool,
        Parameter(negative=(), help="also load pickled weights, which can run any code."),
    ] = False


def quiet() -> None:
    """Keeps everything but our own progress off the terminal."""
    import os

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from transformers.utils import logging

    logging.disable_progress_bar()


def load_model(model: str, loading: Loading, gpu: bool = False) -> VLM:
    """Loads the model that the options name.

    Args:
        gpu: use a GPU, if there is one and the options name no device.
    """
    import torch

    from ..engine import load

    default = "cuda" if gpu and loading.device_map is None and torch.cuda.is_available() else None
    return load(
        model,
        device=loading.device or default,
        dtype=None if loading.dtype is None else getattr(torch, loading.dtype),
        device_map=loading.device_map,
        quantization=loading.quantization,
        allow_pickle=loading.allow_pickle,
    )


def open_any(model: str, loading: Loading, gpu: bool = False) -> Any:
    """Opens a model of any kind; VLMs are loaded as the options say.

    Args:
        gpu: see `load_model`.

    Raises:
        InputError: loading options for a model that is not a VLM.
    """
    from ..engine import VLM
    from ..errors import InputError
    from ..studies import open_subject

    opened = open_subject(model, lambda name: load_model(name, loading, gpu))
    names = [field.name for field in fields(loading)]
    given = [name for name in names if getattr(loading, name) not in (None, False)]
    if given and not isinstance(opened, VLM):
        raise InputError(
            f"--{given[0].replace('_', '-')} is for loading a vision-language model, which "
            f"{model} is not: leave it out"
        )
    return opened


Opened = Callable[[str, Loading, bool], Any]
"""`load_model` or `open_any`."""
