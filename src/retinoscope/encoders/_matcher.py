"""`Matcher`: a model that reads image and text together and scores whether they match."""

from __future__ import annotations

from typing import Any

from transformers import BlipForImageTextRetrieval

from ..errors import CapabilityError
from ..models import described, processor_facts, refuse_training, watch_of
from ..store import fingerprint_json


class Matcher:
    """A frozen BLIP for image-text matching. Made by `load_matching`.

    Its locations have no vectors in a space of texts, since image and text meet in the text
    encoder's cross-attention. `retinoscope.saliency.matching` computes its maps.

    Attributes:
        name: what it was loaded from.
        model, processor: the transformers objects, unchanged.
    """

    model: Any

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        """Raises `CapabilityError` for another family, `InputError` for one in training mode."""
        if not isinstance(model, BlipForImageTextRetrieval):
            raise CapabilityError(
                f"{name}: expected BLIP for image-text matching (BlipForImageTextRetrieval of "
                f"transformers), got a {type(model).__name__}"
            )
        refuse_training(model)
        self.model, self.processor, self.name = model, processor, name
        self._watch = watch_of(model)

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with the weights, the architecture or the processor."""
        facts = ["matching", described(self.model.config), processor_facts(self.processor)]
        return fingerprint_json([facts, self._watch.content()])

    def __repr__(self) -> str:
        return f"Matcher({self.name!r})"
