"""One interface for maps of texts by models of every kind.

model = saliency.saliency_model(rs.load("pocket"))
pair = model.read(image, "a red car on a road")
pair.heat_map("chefer", segment_of(pair.text, "red car")).plot()
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic

from PIL import Image

from .. import arguments
from ..data import Segment
from ..encoders import Matcher, TwoTower
from ..engine import VLM, Run
from ..errors import CapabilityError, InputError
from . import contrastive, matching
from ._heat_map import HeatMap
from ._method import M, Method
from ._methods import METHODS
from ._target import SCORES, Exact, Goal, Target, TargetScore, resolve


@dataclass(frozen=True, eq=False)
class SaliencyModel(Generic[M]):
    """A model and the maps that it supports. Made by `saliency_model`.

    Attributes:
        model: the VLM, two-tower model or matcher itself.
        explains: what a map of a segment explains.
        kind: "VLM", "contrastive" or "matching".
        methods: the methods of its kind, by name.
        reads: its input for the map of a segment: "description", the whole text, with a map of the
            segment's tokens; or "segment", its words alone.
        fits_by: meaning of `ImageTextPair.fit`: "likelihood", "cosine" or "match-probability".
    """

    model: M
    explains: str
    kind: ClassVar[str]
    methods: ClassVar[Mapping[str, Method[Any]]]
    reads: ClassVar[str] = "segment"
    fits_by: ClassVar[str]
    _pair: ClassVar[type[ImageTextPair[Any]]]

    def refusal(self, method: str) -> str | None:
        """Returns the reason why this model does not support a method; None if it does."""
        return self.methods[method].refusal(self.model)

    def layers_of(self, method: str, chosen: Iterable[int] | None = None) -> tuple[int | None, ...]:
        """As `Method.layers_of`."""
        return self.methods[method].layers_of(self.model, chosen)

    def usual_layers(self, method: str) -> tuple[int | None]:
        """As `Method.usual_layers`."""
        return self.methods[method].usual_layers(self.model)

    def read(self, image: Image.Image, text: str) -> ImageTextPair[M]:
        """Reads a text over an image; raises `InputError` for a text that it cannot read."""
        return self._pair(self, image, text)


@dataclass(frozen=True, eq=False)
class ImageTextPair(ABC, Generic[M]):
    """One text over one image, as read by a model. Made by `SaliencyModel.read`.

    Maps are made from the model, the image and the text alone, without knowing where people looked.
    """

    by: SaliencyModel[M]
    """The model that reads them."""
    image: Image.Image
    text: str

    @property
    @abstractmethod
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of the map's locations, or None."""

    @property
    @abstractmethod
    def fit(self) -> float:
        """How well the whole text fits the image, according to the model; see `fits_by`."""

    @abstractmethod
    def check(self, segment: Segment) -> None:
        """Raises `InputError` for a segment that the model cannot read."""

    @abstractmethod
    def _explained(self, segment: Segment) -> tuple[Any, ...]:
        """Returns the arguments for the methods of this kind."""

    def heat_map(
        self,
        method: str,
        segment: Segment,
        *,
        layer: int | None = None,
        steps: int | None = None,
        seed: int = 0,
    ) -> HeatMap:
        """Makes the map of one segment; see `Method`. Raises as the method does."""
        explained = self._explained(segment)
        return self.by.methods[method](*explained, layer=layer, steps=steps, seed=seed)


@dataclass(frozen=True, eq=False)
class _VlmPair(ImageTextPair[VLM]):
    by: _VlmModel
    run: Run
    _goals: dict[tuple[int, int], Goal] = field(default_factory=dict)
    """By span of characters: maps of one segment share the passes of its goal."""

    @property
    def grid(self) -> tuple[int, int] | None:
        return self.run.image.grid

    @property
    def fit(self) -> float:
        """The log-probability of the whole text, averaged over its tokens; in nats."""
        goal = resolve(self.run, Target.segment((0, len(self.text.strip()))))
        return goal.value / len(goal.ids)

    def check(self, segment: Segment) -> None:
        """Allows every segment: the text was read as a whole."""

    def _explained(self, segment: Segment) -> tuple[Run, Goal]:
        lead = len(self.text) - len(self.text.lstrip())
        span = max(segment.start - lead, 0), segment.end - lead
        if span not in self._goals:
            target = Target.segment(span, self.by.explains)
            self._goals[span] = resolve(self.run, target, self.by.exact)
        return self.run, self._goals[span]


@dataclass(frozen=True, eq=False)
class _VlmModel(SaliencyModel[VLM]):
    """Reads a text as the model's own answer."""

    explains: TargetScore = "log-probability"
    exact: Exact = "incremental"
    question: str = ""

    kind = "VLM"
    methods = METHODS
    reads = "description"
    fits_by = "likelihood"

    def read(self, image: Image.Image, text: str) -> _VlmPair:
        vlm = self.model
        prompt = vlm.prompt(image, self.question)
        asked = prompt.inputs.input_ids.tolist()
        # The family decides how an answer follows a prompt, blanks included.
        whole = vlm.prompt(image, self.question, prefill=text).inputs.input_ids.tolist()
        if whole[: len(asked)] != asked:
            raise InputError(
                "the model's tokenizer joins the description with the prompt, so that it cannot be "
                f"read as an answer: {text!r}"
            )
        ids = whole[len(asked) :]
        special = set(vlm.tokenizer.all_special_ids)
        read = "".join(vlm.adapter.vocabulary.texts(i for i in ids if i not in special)).strip()
        if read.lower() != text.strip().lower():
            raise InputError(
                f"expected a description that the model's tokenizer can write, got {text!r}, which "
                f"it reads as {read!r}: use words that the model knows"
            )
        return _VlmPair(self, image, text, vlm.run(prompt, continuation=ids))


@dataclass(frozen=True, eq=False)
class _TwoTowerPair(ImageTextPair[TwoTower]):
    @property
    def grid(self) -> tuple[int, int] | None:
        return self.by.model.locations(self.image).grid

    @property
    def fit(self) -> float:
        two = self.by.model
        return float(two.image(self.image) @ two.text([self.text])[0])

    def check(self, segment: Segment) -> None:
        self.by.model.text([segment.text])

    def _explained(self, segment: Segment) -> tuple[TwoTower, Image.Image, str]:
        return self.by.model, self.image, segment.text


@dataclass(frozen=True, eq=False)
class _TwoTowerModel(SaliencyModel[TwoTower]):
    """Has one vector for a text, and none for its parts."""

    explains: str = "cosine"

    kind = "contrastive"
    methods = contrastive.METHODS
    fits_by = "cosine"
    _pair = _TwoTowerPair


@dataclass(frozen=True, eq=False)
class _MatcherPair(ImageTextPair[Matcher]):
    @property
    def grid(self) -> tuple[int, int]:
        shape = self.by.model.model.config.vision_config
        side = int(shape.image_size) // int(shape.patch_size)
        return side, side

    @property
    def fit(self) -> float:
        matcher = self.by.model
        return matching.probability(matcher.model, matcher.processor, self.image, self.text)

    def check(self, segment: Segment) -> None:
        tokenizer = self.by.model.processor.tokenizer
        if tokenizer.unk_token_id in tokenizer(segment.text)["input_ids"]:
            raise InputError(
                f"expected words that the model's tokenizer knows, got {segment.text!r}"
            )

    def _explained(self, segment: Segment) -> tuple[Any, Any, Image.Image, str]:
        return self.by.model.model, self.by.model.processor, self.image, segment.text


@dataclass(frozen=True, eq=False)
class _MatcherModel(SaliencyModel[Matcher]):
    """Scores whether a text matches."""

    explains: str = "match-logit"

    kind = "matching"
    methods = matching.METHODS
    fits_by = "match-probability"
    _pair = _MatcherPair


def saliency_model(
    model: Any,
    score: TargetScore = "log-probability",
    exact: Exact = "incremental",
    question: str = "Describe this image.",
) -> SaliencyModel:
    """Wraps a model to make maps of texts.

    Args:
        model: a VLM, or a model from `retinoscope.encoders.load_contrastive` or `.load_matching`.
        score: score of a VLM's words that maps explain.
        exact: how a VLM's interventions are computed, as in `run.counterfactuals`.
        question: question that a text answers when a VLM reads it.

    Raises:
        InputError: an unknown score, or a score of words for a model without probabilities of them.
        CapabilityError: the model reads no texts.
    """
    arguments.one_of(score, SCORES, "score")
    if isinstance(model, VLM):
        return _VlmModel(model, score, exact, question)
    if isinstance(model, TwoTower):
        wrapped: SaliencyModel = _TwoTowerModel(model)
    elif isinstance(model, Matcher):
        wrapped = _MatcherModel(model)
    else:
        raise CapabilityError(
            f"{model.name}: reads no texts, so it has no maps of them: give a VLM, a CLIP, a "
            "SigLIP, small:contrastive-max or BLIP for image-text matching"
        )
    if score != "log-probability":
        raise InputError(
            f"score {score!r} is about a VLM's words, and maps of {model.name} explain its "
            f"{wrapped.explains}: leave score out"
        )
    return wrapped
