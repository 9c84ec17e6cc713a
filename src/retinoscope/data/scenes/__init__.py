"""A drawn world with complete ground truth: what is where, in which colour, made of which parts.

`Scenes(n, seed)` is a sequence of samples; scene k depends on seed and k alone and is the same,
byte for byte, on every machine.
"""

from ._export import export_coco
from ._kinds import COLORS, KINDS, SIGN_WORDS
from ._layout import SIZE, SceneOptions
from ._scene import Scenes, draw_arrays, scene, scene_texts

__all__ = [
    "COLORS",
    "KINDS",
    "SIGN_WORDS",
    "SIZE",
    "SceneOptions",
    "Scenes",
    "draw_arrays",
    "export_coco",
    "scene",
    "scene_texts",
]
