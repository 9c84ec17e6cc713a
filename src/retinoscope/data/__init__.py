"""Images with what is known about them: drawn scenes, COCO, Pascal VOC, ADE20K, folders, tables.

    samples = scenes(100, seed=0)           # or coco(folder), folder(path), open_source(spec), ...
    samples[0].image, samples[0].objects    # read or drawn when asked for
    samples[:10].fingerprint

`scenes` is both this function and the package of its parts (`from retinoscope.data.scenes import
KINDS`).
"""

from ._ade20k import ade20k
from ._by_color import ByColor, by_color
from ._coco import coco
from ._contents import Contents, advice, require_objects, source_name
from ._datasets import dataset
from ._folder import folder, table
from ._image import ImageSource, open_image, several_images
from ._labels import BACKGROUND, IGNORE, class_names, label_map
from ._lazy import LazySamples
from ._sample import Object, Part, Question, Relation, Sample, Sign
from ._segmentation import Segmentation, decode_segmentation, run_lengths
from ._source import open_source, reopen_source, source_of
from ._squares import SQUARE_COLORS, SQUARE_GRID, SQUARE_PATCH, Squares, squares
from ._visual_genome import visual_genome
from ._voc import voc
from .scenes import Grounded, SceneOptions, Scenes, export_coco, grounded
from .viewing import (
    Gaze,
    GazeOptions,
    Segment,
    Viewport,
    collected,
    gaze,
    mask_attention,
    simulated,
    vista,
    write_simulated,
)

# Last: the first import of the package `scenes` binds that name to it, later ones do not.
from ._source import scenes  # isort: skip

__all__ = [
    "BACKGROUND",
    "IGNORE",
    "SQUARE_COLORS",
    "SQUARE_GRID",
    "SQUARE_PATCH",
    "ByColor",
    "Contents",
    "Gaze",
    "GazeOptions",
    "Grounded",
    "ImageSource",
    "LazySamples",
    "Object",
    "Part",
    "Question",
    "Relation",
    "Sample",
    "SceneOptions",
    "Scenes",
    "Segment",
    "Segmentation",
    "Sign",
    "Squares",
    "Viewport",
    "ade20k",
    "advice",
    "by_color",
    "class_names",
    "coco",
    "collected",
    "dataset",
    "decode_segmentation",
    "export_coco",
    "folder",
    "gaze",
    "grounded",
    "label_map",
    "mask_attention",
    "open_image",
    "open_source",
    "reopen_source",
    "require_objects",
    "run_lengths",
    "scenes",
    "several_images",
    "simulated",
    "source_name",
    "source_of",
    "squares",
    "table",
    "vista",
    "visual_genome",
    "voc",
    "write_simulated",
]
