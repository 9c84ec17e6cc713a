"""Images with what is known about them: drawn scenes, COCO, folders."""

from ._sample import Object, Part, Question, Relation, Sample, Sign

__all__ = ["Object", "Part", "Question", "Relation", "Sample", "Sign"]
