"""What packaged models' language models read before they saw an image, which shapes the lens."""

from __future__ import annotations

PRETRAINING = {
    "pocket": "maps of words: object words on a two-dimensional raster, with questions about them",
    "pocket-sentences": "plain sentences about scenes, no maps",
    "pocket-none": "nothing: it starts from random weights",
}
"""Packaged model -> its language model's pretraining."""

SHORT = {
    "pocket": "language model read maps of words first",
    "pocket-sentences": "language model read plain sentences first",
    "pocket-none": "language model read nothing first",
}

READ = SHORT | {
    "smol": "language model read general text (SmolLM2), frozen",
    "smol-lora": "language model read general text, then was trained",
}
"""The same, with the models of pretrained parts, which share scenes but not architecture."""

OF_PARTS = (
    "smol consists of a language model and a vision tower that were pretrained separately and "
    "stayed frozen; only the two layers between them were trained, on captions and questions. It "
    "also differs from the pocket models in size, vocabulary, vision tower and training, so the "
    "difference between the curves is not due to the language model's reading alone."
)

BUILT_IN = (
    "The curve of “pocket” says nothing about language models in general. Its language model read "
    "maps of words before it saw any image, and such texts train it to predict an object's word at "
    "that object's position in a grid. The two contrast models have the same size and the same "
    "training on images and differ only in what their language model read first."
)
