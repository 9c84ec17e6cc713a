"""The embedded default: small vision-language models, their weights and their recipe.

`folder(name)` is the Hugging Face folder of a packaged model, `scores(name)` what it reached on
held-out scenes; `recipe` trains them anew. `planted` are models whose mechanism is known.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._folder import MODELS, folder, scores

if TYPE_CHECKING:
    from . import planted

__all__ = ["MODELS", "folder", "planted", "scores"]


def __getattr__(name: str) -> Any:
    # It needs transformers, which a report over packaged models does not.
    if name == "planted":
        return import_module(".planted", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
