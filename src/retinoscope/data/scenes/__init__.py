"""A drawn world with complete ground truth: 24 kinds, 8 colours, signs with words.

Scene k of a seed is the same on every machine and does not depend on the number drawn.
"""

from ._export import export_coco
from ._font import SIGN_WORDS, sign_letters
from ._grounds import Grounded, grounded, grounded_arrays
from ._kinds import AT_HOME, COLORS, KINDS, MORE_KINDS
from ._layout import layout as scene_layout
from ._pairs import draw_pairs
from ._scene import Scenes, draw_arrays, scene, scene_texts, scene_without, scenes
from ._text import MORE_WORDS, article, directions, plural
from ._world import GROUNDS, VARIED, SceneItem, SceneLayout, SceneOptions

__all__ = [
    "AT_HOME",
    "COLORS",
    "GROUNDS",
    "KINDS",
    "MORE_KINDS",
    "MORE_WORDS",
    "SIGN_WORDS",
    "VARIED",
    "Grounded",
    "SceneItem",
    "SceneLayout",
    "SceneOptions",
    "Scenes",
    "article",
    "directions",
    "draw_arrays",
    "draw_pairs",
    "export_coco",
    "grounded",
    "grounded_arrays",
    "plural",
    "scene",
    "scene_layout",
    "scene_texts",
    "scene_without",
    "scenes",
    "sign_letters",
]
