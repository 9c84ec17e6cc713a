"""retinoscope: see how a vision-language model sees.

    import retinoscope as rs

    vlm = rs.load("pocket")
    sample = rs.data.scenes(1)[0]
    run = vlm.run(vlm.prompt(sample.image, "Describe this image."))
    run.generate().text

Names are loaded on first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import (
        answers,
        curation,
        data,
        encoders,
        engine,
        gaze,
        grouping,
        lens,
        models,
        pocket,
        recipes,
        saliency,
        sources,
        stats,
        store,
        studies,
        tokens,
    )
    from . import viewer as viewer
    from .engine import VLM, Ablate, Knockout, Patch, fill, load
    from .errors import (
        CapabilityError,
        InputError,
        MissingExtraError,
        NonFiniteError,
        RetinoscopeError,
    )
    from .viewer import show

__version__ = "0.1.0"

_NAMES = {
    "VLM": "engine",
    "Ablate": "engine",
    "Knockout": "engine",
    "Patch": "engine",
    "fill": "engine",
    "load": "engine",
    "show": "viewer",
    "CapabilityError": "errors",
    "InputError": "errors",
    "MissingExtraError": "errors",
    "NonFiniteError": "errors",
    "RetinoscopeError": "errors",
}
_ROOMS = (
    "answers",
    "curation",
    "data",
    "encoders",
    "engine",
    "gaze",
    "grouping",
    "lens",
    "models",
    "pocket",
    "recipes",
    "saliency",
    "sources",
    "stats",
    "store",
    "studies",
    "tokens",
    "viewer",
)

__all__ = [
    "VLM",
    "Ablate",
    "CapabilityError",
    "InputError",
    "Knockout",
    "MissingExtraError",
    "NonFiniteError",
    "Patch",
    "RetinoscopeError",
    "answers",
    "curation",
    "data",
    "encoders",
    "engine",
    "fill",
    "gaze",
    "grouping",
    "lens",
    "load",
    "models",
    "pocket",
    "recipes",
    "saliency",
    "show",
    "sources",
    "stats",
    "store",
    "studies",
    "tokens",
    "viewer",
]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(import_module(f".{_NAMES[name]}", __name__), name)
    elif name in _ROOMS:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES, *_ROOMS})
