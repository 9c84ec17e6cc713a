"""Names for who looked; only people are called people."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Record

WHO = {
    "human": "people",
    "simulated": "simulated observers",
    "mask": "the true masks",
}
ONE = {"human": "a person", "simulated": "a simulated observer", "mask": "a true mask"}
GRANULARITIES = {"word": "words", "phrase": "phrases", "sentence": "sentences", "text": "texts"}
KINDS = {
    "VLM": "vision-language model",
    "contrastive": "contrastive model",
    "matching": "image-text matching model",
}
READS = {
    "VLM": "The model reads the description as its own answer to “Describe this image.”; a map is "
    "of the segment's tokens.",
    "contrastive": "The model has one vector for a text: the segment's words alone are the prompt "
    "of its map, without the rest of the description. Its untrained copy has a vision tower of "
    "random weights; texts keep their vectors.",
    "matching": "The model says of an image and a text whether they match: the segment's words "
    "alone are the text of its map, without the rest of the description.",
}
FITS = {
    "likelihood": "the model's own probability",
    "cosine": "the cosine of image and text",
    "match-probability": "the probability that they match",
}
"""How the model itself ranks descriptions, used in place of a method."""
UNTRAINED = "untrained copy"


def kind_of(rows: Sequence[Record]) -> str:
    """A key of `KINDS`; runs from before kinds were recorded are of VLMs."""
    return next((str(kind) for row in rows if (kind := row.get("kind"))), "VLM")


def method_name(row: object) -> str:
    """A method, with its layer if it has one."""
    get = row.get  # type: ignore[attr-defined]
    layer = get("layer")
    name = str(get("method"))
    return name if layer is None else f"{name}, layer {layer}"


def ranked_by(row: Record) -> str:
    """The score by which a row of the ranking ranks descriptions."""
    return FITS.get(str(row["method"])) or method_name(row)
