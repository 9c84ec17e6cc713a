"""`Matcher`: a model that reads image and text together and says whether they match."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from transformers import BlipForImageTextRetrieval

from ..errors import CapabilityError, InputError
from ..store import fingerprint_json
from ._encoder import checksum_of
from ._tower import lasting


class Matcher:
    """A frozen BLIP for image-text matching. Made by `load_matching`.

    Its locations have no vectors in a space of texts: image and text meet in the text encoder's
    cross-attention. `retinoscope.attribution.matching` makes its maps.

    Attributes:
        name: what it was loaded from.
        model, processor: the transformers objects, untouched.
    """

    model: Any

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        """Raises `CapabilityError` for another family, `InputError` for one in training mode."""
        if not isinstance(model, BlipForImageTextRetrieval):
            raise CapabilityError(
                f"{name}: only BLIP for image-text matching (BlipForImageTextRetrieval of "
                f"transformers) is known to match, got a {type(model).__name__}"
            )
        if model.training:
            raise InputError("expected a model in evaluation mode: call model.eval() first")
        self.model, self.processor, self.name = model, processor, name

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with the weights or the architecture."""
        images = getattr(self.processor, "image_processor", self.processor)
        facts = ["matching", lasting(self.model.config), lasting(images)]
        return fingerprint_json([facts, checksum_of((self.model,))])

    def __repr__(self) -> str:
        return f"Matcher({self.name!r})"
