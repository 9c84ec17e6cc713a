"""The embedded default: small vision-language models and their weights.

`folder(name)` is the Hugging Face folder of a packaged model, `scores(name)` its results on
held-out scenes; `retinoscope.recipes` trains such models. `planted` are models with a known
mechanism, `smol` is a small model of real pretrained parts.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._folder import MODELS, folder, scores
from .world import KnownWorld, world_of

if TYPE_CHECKING:
    from . import planted, smol

__all__ = ["MODELS", "KnownWorld", "folder", "planted", "scores", "smol", "world_of"]


def __getattr__(name: str) -> Any:
    # These need transformers, which a report on packaged models does not.
    if name in ("planted", "smol"):
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
