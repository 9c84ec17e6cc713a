"""The interfaces by name; each module is imported when one of its interfaces is built."""

from __future__ import annotations

from importlib import import_module

from ..errors import InputError
from ._interface import Settings, VisualInterface

INTERFACES = {
    "projector": ("_projector", "Projector"),
    "qformer": ("_qformer", "QFormer"),
    "lyrics": ("_lyrics", "Lyrics"),
    "scl": ("_scl", "SemanticCompletion"),
    "x-former": ("_x_former", "XFormer"),
    "visionlan": ("_visionlan", "VisionLan"),
    "lavit": ("_lavit", "Lavit"),
}
"""Name -> (module, class)."""


def build_interface(name: str, settings: Settings, d_model: int) -> VisualInterface:
    """An untrained interface.

    Args:
        name: from `INTERFACES`.
        settings: of its class.
        d_model: width of the language model.

    Raises:
        InputError: no such interface, or settings that it does not know.
    """
    if name not in INTERFACES:
        raise InputError(f"expected an interface of {', '.join(INTERFACES)}, got {name!r}")
    module, kind = INTERFACES[name]
    made = getattr(import_module(f".{module}", __package__), kind)
    try:
        interface = made(d_model=d_model, **settings)
    except TypeError as error:
        raise InputError(f"expected settings of the interface {name}, got {error}") from error
    interface.system, interface.settings = name, dict(settings)
    return interface
