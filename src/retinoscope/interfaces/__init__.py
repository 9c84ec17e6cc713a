"""Visual interfaces: what stands between frozen towers and a language model."""

from ._interface import InterfaceTokens, Seen, VisualInterface
from ._tower import TowerShape, build_tower, to_pixels, tower_tokens

__all__ = [
    "InterfaceTokens",
    "Seen",
    "TowerShape",
    "VisualInterface",
    "build_tower",
    "to_pixels",
    "tower_tokens",
]
