"""What reads a text over an image: a VLM, a contrastive model, or one that matches the two."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Protocol

from ...encoders import Matcher, TwoTower
from ...engine import VLM
from ...errors import CapabilityError, InputError
from ...saliency import METHODS, SCORES, Exact, HeatMap, TargetScore, contrastive, matching
from .._map_options import untaken
from .._untrained import untrained_copy, untrained_matcher, untrained_two_tower
from .pairs import MatcherPair, TwoTowerPair
from .vlm_pair import VlmPair

if TYPE_CHECKING:
    from PIL import Image

    from ...data import Segment
    from .._models import Model

MethodAtLayer = tuple[str, int | None]
"""A method and its layer."""


class ImageTextPair(Protocol):
    """One text over one image.

    Maps are made from the model, the image and the text alone: where people looked is not known
    here.

    Attributes:
        text: the whole.
        grid: rows and columns of the map's locations, or None.
        fit: how well the whole text fits the image, by the model itself; see
            `SaliencyModel.fits_by`.
    """

    @property
    def text(self) -> str: ...
    @property
    def grid(self) -> tuple[int, int] | None: ...
    @property
    def fit(self) -> float: ...

    def check(self, segment: Segment) -> None:
        """Raises `InputError` for a segment that the model cannot read."""

    def heat_map(
        self,
        method: str,
        layer: int | None,
        segment: Segment,
        seed: int = 0,
        steps: int | None = None,
    ) -> HeatMap:
        """The map of one segment; what a method does not take is not handed to it.

        Raises as the method does.
        """
        ...


class SaliencyModel(ABC):
    """A model of one kind, and what it can be asked.

    Attributes:
        kind: "VLM", "contrastive" or "matching".
        reads: what it is given for the map of a segment: "description", all of it, the map being of
            the segment's tokens; or "segment", its words alone.
        fits_by: what descriptions are ranked by: "likelihood", "cosine", "match-probability".
        methods: those that there are for its kind.
        usual: those of them that take no more than two passes a segment.
        stepping, intervening: those that take a number of steps; that make interventions.
    """

    kind: ClassVar[str]
    reads: ClassVar[str]
    fits_by: ClassVar[str]
    methods: ClassVar[tuple[str, ...]]
    usual: ClassVar[tuple[str, ...]]
    stepping: ClassVar[tuple[str, ...]] = ()
    intervening: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def explains(self) -> str:
        """What of a segment a map explains."""

    @abstractmethod
    def read(self, image: Image.Image, text: str) -> ImageTextPair:
        """Raises `InputError` for a text that the model cannot read at all."""

    @abstractmethod
    def refusal(self, method: str) -> str | None:
        """Why this model does not allow a method, or None where it does."""

    @abstractmethod
    def layers_of(self, method: str, layers: Sequence[int] | None) -> tuple[int | None, ...]:
        """Those of `layers` that the method has here; (None,) where it takes none.

        Args:
            layers: the method's own choice if None, and the block in the middle for Grad-CAM.
        """

    @abstractmethod
    def untrained(self, seed: int) -> SaliencyModel:
        """The same with random weights."""

    def asked(
        self, methods: Sequence[str], layers: Sequence[int] | None
    ) -> tuple[MethodAtLayer, ...]:
        """Methods, each with its layers.

        Args:
            methods: if there are none the usual ones, as far as this model allows them.

        Raises:
            InputError: an unknown method, layers that a named method lacks, or layers where no
                method takes one.
            CapabilityError: a method that this model does not allow.
        """
        allowed = [name for name in self.methods if self.refusal(name) is None]
        for name in methods:
            if name not in self.methods:
                raise InputError(
                    f"expected methods of {', '.join(allowed)}, which a {self.kind} model has, got "
                    f"{name!r}"
                )
        chosen = methods or [name for name in self.usual if name in allowed]
        refused = [name for name in methods or self.usual if name not in allowed]
        if refused and (methods or not chosen):
            raise CapabilityError(
                f"{refused[0]} is not possible ({self.refusal(refused[0])}): choose from "
                f"{', '.join(allowed)}"
            )
        ordered = [name for name in self.methods if name in chosen]
        pairs = tuple((name, layer) for name in ordered for layer in self.layers_of(name, layers))
        if layers is not None:
            found = {name for name, _ in pairs}
            lacking = [name for name in ordered if name not in found]
            # Of methods that nobody named, those without such a layer are left out.
            if lacking and (methods or not pairs):
                raise InputError(
                    f"expected layers that {lacking[0]} has in this model, got "
                    f"{', '.join(map(str, layers)) or 'none'}: choose others"
                )
            if all(layer is None for _, layer in pairs):
                raise untaken("layers", "takes a layer", ordered, ())
        return pairs


@dataclass(frozen=True, eq=False)
class VlmSaliencyModel(SaliencyModel):
    """Reads a description as its own answer."""

    vlm: VLM
    score: TargetScore = "log-probability"
    exact: Exact = "incremental"

    kind = "VLM"
    reads = "description"
    fits_by = "likelihood"
    methods = tuple(METHODS)
    usual = ("attention", "rollout", "chefer", "grad-cam", "gradient-input")
    stepping = tuple(name for name, method in METHODS.items() if method.steps is not None)
    intervening = tuple(name for name, method in METHODS.items() if method.intervenes)

    @property
    def explains(self) -> str:
        return self.score

    def read(self, image: Image.Image, text: str) -> VlmPair:
        return VlmPair(self.vlm, image, text, self.score, self.exact)

    def refusal(self, method: str) -> str | None:
        return METHODS[method].refusal(self.vlm)

    def layers_of(self, method: str, layers: Sequence[int] | None) -> tuple[int | None, ...]:
        if layers is not None or METHODS[method].layers == "none":
            return METHODS[method].layers_of(self.vlm, layers)
        return (self.vlm.n_layers // 2 if method == "grad-cam" else None,)

    def untrained(self, seed: int) -> VlmSaliencyModel:
        return replace(self, vlm=untrained_copy(self.vlm, seed))


@dataclass(frozen=True, eq=False)
class TwoTowerSaliencyModel(SaliencyModel):
    """Has one vector for each text."""

    two: TwoTower

    kind = "contrastive"
    reads = "segment"
    fits_by = "cosine"
    methods = tuple(contrastive.METHODS)
    usual = ("similarity", "rollout", "chefer", "grad-cam")

    @property
    def explains(self) -> str:
        return "cosine"

    def read(self, image: Image.Image, text: str) -> TwoTowerPair:
        return TwoTowerPair(self.two, image, text)

    def refusal(self, method: str) -> str | None:
        return contrastive.refusal(self.two, method)

    def layers_of(self, method: str, layers: Sequence[int] | None) -> tuple[int | None, ...]:
        if method != "grad-cam":
            return (None,)
        n = len(self.two.encoder.layers) - 1
        return (n // 2,) if layers is None else _within(layers, n)

    def untrained(self, seed: int) -> TwoTowerSaliencyModel:
        return TwoTowerSaliencyModel(untrained_two_tower(self.two, seed))


@dataclass(frozen=True, eq=False)
class MatcherSaliencyModel(SaliencyModel):
    """Says of each text whether it matches."""

    matcher: Matcher

    kind = "matching"
    reads = "segment"
    fits_by = "match-probability"
    methods = usual = tuple(matching.METHODS)

    @property
    def explains(self) -> str:
        return "match-logit"

    def read(self, image: Image.Image, text: str) -> MatcherPair:
        return MatcherPair(self.matcher, image, text)

    def refusal(self, method: str) -> str | None:
        return None

    def layers_of(self, method: str, layers: Sequence[int] | None) -> tuple[int | None, ...]:
        config = self.matcher.model.config
        if method == "grad-cam":
            n = int(config.vision_config.num_hidden_layers)
            return (n // 2,) if layers is None else _within(layers, n)
        n = int(config.text_config.num_hidden_layers)
        # Where ALBEF and BLIP read it: block 8 of 12.
        return (max(2 * n // 3 - 1, 0),) if layers is None else _within(layers, n)

    def untrained(self, seed: int) -> MatcherSaliencyModel:
        return MatcherSaliencyModel(untrained_matcher(self.matcher, seed))


def saliency_model_of(
    model: Model, score: TargetScore = "log-probability", exact: Exact = "incremental"
) -> SaliencyModel:
    """The reader of a model.

    Args:
        score: what is explained of a VLM's words.
        exact: how a VLM's interventions are computed, as of `Study`.

    Raises:
        InputError: an unknown score, or one of words for a model that has no probabilities of them.
        CapabilityError: a model that reads no texts.
    """
    if score not in SCORES:
        raise InputError(f"expected a score of {', '.join(SCORES)}, got {score!r}")
    if isinstance(model, VLM):
        return VlmSaliencyModel(model, score, exact)
    if isinstance(model, TwoTower):
        found: SaliencyModel = TwoTowerSaliencyModel(model)
    elif isinstance(model, Matcher):
        found = MatcherSaliencyModel(model)
    else:
        raise CapabilityError(
            f"{model.name}: reads no texts, so it has no maps of them: give a VLM, a CLIP, a "
            "SigLIP, small:contrastive-max or BLIP for image-text matching"
        )
    if score != "log-probability":
        raise InputError(
            f"score {score!r} is about a VLM's words, and maps of {model.name} explain its "
            f"{found.explains}: leave score out"
        )
    return found


def _within(layers: Sequence[int], n: int) -> tuple[int, ...]:
    return tuple(sorted(set(layers) & set(range(n))))
