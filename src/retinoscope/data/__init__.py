"""Images with what is known about them: drawn scenes, COCO, folders."""

from ._image import ImageSource, open_image
from ._sample import Object, Part, Question, Relation, Sample, Sign

__all__ = ["ImageSource", "Object", "Part", "Question", "Relation", "Sample", "Sign", "open_image"]
