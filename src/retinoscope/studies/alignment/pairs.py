"""Texts as prompts: maps of a contrastive model and of an image-text matching model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from ...errors import InputError
from ...saliency import HeatMap, contrastive, matching

if TYPE_CHECKING:
    from ...data import Segment
    from ...encoders import Matcher, TwoTower


@dataclass(frozen=True, eq=False)
class TwoTowerPair:
    """A description over an image, by a contrastive model.

    These models have one vector for a text and none for its parts, so a segment's own words are the
    prompt of its map: the rest of the description is not read.
    """

    two: TwoTower
    image: Image.Image
    text: str

    @property
    def grid(self) -> tuple[int, int] | None:
        return self.two.locations(self.image).grid

    def check(self, segment: Segment) -> None:
        """Raises `InputError` for words that the text tower does not know, or too many."""
        self.two.text([segment.text])

    def heat_map(
        self,
        method: str,
        layer: int | None,
        segment: Segment,
        seed: int = 0,
        steps: int | None = None,
    ) -> HeatMap:
        """The map of one segment; raises as the method does."""
        at = {} if layer is None else {"layer": layer}
        return contrastive.METHODS[method](self.two, self.image, segment.text, **at)

    @property
    def fit(self) -> float:
        """The cosine of the image and the whole text."""
        return float(self.two.image(self.image) @ self.two.text([self.text])[0])


@dataclass(frozen=True, eq=False)
class MatcherPair:
    """As `TwoTowerPair`, by a model that says whether image and text match."""

    matcher: Matcher
    image: Image.Image
    text: str

    @property
    def grid(self) -> tuple[int, int]:
        shape = self.matcher.model.config.vision_config
        side = int(shape.image_size) // int(shape.patch_size)
        return side, side

    def check(self, segment: Segment) -> None:
        """Raises `InputError` for words that the tokenizer does not know."""
        tokenizer = self.matcher.processor.tokenizer
        if tokenizer.unk_token_id in tokenizer(segment.text)["input_ids"]:
            raise InputError(
                f"expected words that the model's tokenizer knows, got {segment.text!r}"
            )

    def heat_map(
        self,
        method: str,
        layer: int | None,
        segment: Segment,
        seed: int = 0,
        steps: int | None = None,
    ) -> HeatMap:
        """The map of one segment; raises as the method does."""
        model, processor = self.matcher.model, self.matcher.processor
        return matching.METHODS[method](model, processor, self.image, segment.text, layer=layer)

    @property
    def fit(self) -> float:
        """The probability that image and whole text match."""
        model, processor = self.matcher.model, self.matcher.processor
        return matching.probability(model, processor, self.image, self.text)
