"""What a model's language model read before it saw an image: the lens depends on it."""

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
    "smol": "language model read text at large (SmolLM2), frozen",
    "smol-lora": "language model read text at large, then trained on",
}
"""The same, and for the models of pretrained parts, which share scenes but not architecture."""

OF_PARTS = (
    "smol is put together from a language model and a vision tower that were pretrained apart and "
    "stayed as they were; only the two layers between them were trained, on captions and "
    "questions. Beside the pocket models it differs in size, vocabulary, vision tower and training "
    "too: what differs between the curves is not the language model's reading alone."
)

BUILT_IN = (
    "The curve of “pocket” must not be read as a discovery about language models in general. Its "
    "language model read maps of words before it ever saw an image, and such texts train it to "
    "predict an object's word while it stands on that object's place in a raster. The two contrast "
    "models have the same size and the same training on images; only what their language model "
    "read first differs."
)
