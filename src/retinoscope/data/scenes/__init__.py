"""A drawn world with complete ground truth: 24 kinds, 8 colours, signs with words.

Scene k of a seed is the same on every machine and does not depend on how many are drawn.
"""

from ._export import export_coco
from ._font import SIGN_WORDS
from ._kinds import COLORS, KINDS, MORE_KINDS
from ._scene import Scenes, draw_arrays, scene, scene_texts
from ._world import SceneOptions

__all__ = [
    "COLORS",
    "KINDS",
    "MORE_KINDS",
    "SIGN_WORDS",
    "SceneOptions",
    "Scenes",
    "draw_arrays",
    "export_coco",
    "scene",
    "scene_texts",
]
