"""Images with their annotations: drawn scenes, COCO, Pascal VOC, ADE20K, folders, tables.

    samples = scenes(100, seed=0)           # or coco(folder), folder(path), ...
    samples[0].image, samples[0].objects    # read or drawn on access
    samples[:10].fingerprint

`scenes` is both this function and the package of its parts (`from retinoscope.data.scenes import
KINDS`); so is `words`. `retinoscope.gaze` reads where people looked; `retinoscope.sources` opens
any source by name.
"""

from ._ade20k import ade20k
from ._by_color import ByColor, by_color
from ._coco import coco
from ._datasets import dataset, open_dataset
from ._folder import folder, table
from ._gaze import GRANULARITIES, PROVENANCES, Gaze, Granularity, Provenance, Segment
from ._labels import BACKGROUND, IGNORE, class_names, label_map
from ._sample import Object, Part, Question, Relation, Sample, Sign
from ._segmentation import Segmentation, decode_segmentation, run_lengths
from ._squares import SQUARE_COLORS, SQUARE_GRID, SQUARE_PATCH, Squares, squares
from ._visual_genome import visual_genome
from ._voc import voc
from .images import ImageSource, open_image, several_images
from .lazy import LazySamples
from .scenes import Grounded, SceneOptions, Scenes, export_coco, grounded, scenes
from .words import BoardOptions, WordBoards, words

__all__ = [
    "BACKGROUND",
    "GRANULARITIES",
    "IGNORE",
    "PROVENANCES",
    "SQUARE_COLORS",
    "SQUARE_GRID",
    "SQUARE_PATCH",
    "BoardOptions",
    "ByColor",
    "Gaze",
    "Granularity",
    "Grounded",
    "ImageSource",
    "LazySamples",
    "Object",
    "Part",
    "Provenance",
    "Question",
    "Relation",
    "Sample",
    "SceneOptions",
    "Scenes",
    "Segment",
    "Segmentation",
    "Sign",
    "Squares",
    "WordBoards",
    "ade20k",
    "by_color",
    "class_names",
    "coco",
    "dataset",
    "decode_segmentation",
    "export_coco",
    "folder",
    "grounded",
    "label_map",
    "open_dataset",
    "open_image",
    "run_lengths",
    "scenes",
    "several_images",
    "squares",
    "table",
    "visual_genome",
    "voc",
    "words",
]
