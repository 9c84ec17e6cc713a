"""Who looked, in words: only people are ever called people."""

from __future__ import annotations

WHO = {
    "human": "people",
    "simulated": "simulated observers",
    "mask": "the true masks",
}
ONE = {"human": "a person", "simulated": "a simulated observer", "mask": "a true mask"}
GRANULARITIES = {"word": "words", "phrase": "phrases", "sentence": "sentences", "text": "texts"}
UNTRAINED = "untrained copy"


def method_name(row: object) -> str:
    """A method with its layer, where it was asked at one."""
    get = row.get  # type: ignore[attr-defined]
    layer = get("layer")
    name = str(get("method"))
    return name if layer is None else f"{name}, layer {layer}"
