"""The probed sources: encoders, and their baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from jaxtyping import Float
from PIL import Image

from ...encoders import SMALL, CachedFeatures, Encoder, Matcher, TwoTower, load
from ...errors import CapabilityError, InputError
from .._models import shown_name
from .._training_runs import run_columns
from .._untrained import untrained_encoder
from ..summary import Record
from .labels import LeftOut

if TYPE_CHECKING:
    from .read import Images

Kind = Literal["encoder", "untrained", "pixels"]

PIXELS = "pixels"
SIDE = 6
"""Raw patches are resized to this many pixels a side; its square times 3 are their dimensions."""
_FEW = 3
"""Number of layers of each part that are probed by default."""


class Layer(Protocol):
    """The features of one layer, by image number."""

    def __getitem__(self, image: int, /) -> Float[np.ndarray, "n d"]: ...


@dataclass(frozen=True, eq=False)
class Source:
    """Something whose layers are probed.

    Attributes:
        name: as shown in tables.
        of: name of the encoder that a baseline belongs to; an encoder's own name.
        layers: those that are probed, starting at the image.
    """

    name: str
    kind: Kind
    of: str
    layers: tuple[str, ...]
    encoder: Encoder

    @property
    def fingerprint(self) -> str:
        if self.kind == "pixels":
            return f"pixels-{SIDE}"
        return self.encoder.fingerprint

    @property
    def run_columns(self) -> Record:
        """The training run of an encoder; empty for a baseline."""
        return run_columns(self.encoder) if self.kind == "encoder" else {}

    def boxes(self, image: Image.Image) -> Float[np.ndarray, "n 4"]:
        """Boxes of an image's locations."""
        layer = next((name for name in self.layers if name in self.encoder.layers), None)
        return self.encoder.features(image, [layer or self.encoder.layers[0]]).boxes


@dataclass(frozen=True, eq=False)
class CachedLayer:
    """One layer of the cached features."""

    features: CachedFeatures
    name: str

    def __getitem__(self, image: int, /) -> Float[np.ndarray, "n d"]:
        return self.features[image][self.name]

    @classmethod
    def of(cls, features: CachedFeatures, name: str) -> CachedLayer:
        # Only this layer is read.
        return cls(replace(features, names=(name,)), name)


@dataclass(frozen=True, eq=False)
class PixelLayer:
    """The raw pixels of each location."""

    images: Images
    boxes: Mapping[tuple[int, int], Float[np.ndarray, "n 4"]]

    def __getitem__(self, image: int, /) -> Float[np.ndarray, "n d"]:
        opened = self.images[image]
        return raw_patches(opened, self.boxes[opened.size])


def raw_patches(
    image: Image.Image, boxes: Float[np.ndarray, "n 4"], side: int = SIDE
) -> Float[np.ndarray, "n d"]:
    """Each location's pixels averaged to `side` x `side`, three channels from 0 to 1."""
    rgb = image.convert("RGB")
    patches = np.zeros((len(boxes), side * side * 3), np.float32)
    for number, box in enumerate(boxes):
        if np.isfinite(box).all():
            edge = (
                float(np.clip(box[0], 0, rgb.width)),
                float(np.clip(box[1], 0, rgb.height)),
                float(np.clip(box[2], 0, rgb.width)),
                float(np.clip(box[3], 0, rgb.height)),
            )
            if edge[2] - edge[0] > 0 and edge[3] - edge[1] > 0:
                small = rgb.resize((side, side), Image.Resampling.BOX, box=edge)
                patches[number] = np.asarray(small, np.float32).ravel() / 255
    return patches


def short_name(name: str) -> str:
    """The last part of a path, all of a Hub id; encoders of the comparison lose their folder."""
    return shown_name(name).removeprefix(SMALL)


def default_layers(parts: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The first, the middle and the last layer of each part of an encoder.

    The decoder's input is the projector's output: behind a projector, only its middle and last
    layer.
    """
    kept: list[str] = []
    for part, names in parts.items():
        places = np.linspace(0, len(names) - 1, min(_FEW, len(names))).round().astype(int).tolist()
        if part == "decoder" and "projector" in parts and len(places) > 1:
            places = places[1:]
        kept += [names[place] for place in places]
    return tuple(kept)


def last_layers(source: Source) -> tuple[str, ...]:
    """The last layer of each part that is probed."""
    parts = source.encoder.parts.values()
    probed = [[name for name in names if name in source.layers] for names in parts]
    return tuple(names[-1] for names in probed if names)


def sources_of(models: Sequence[Any], layers: Sequence[str] | None) -> tuple[Source, ...]:
    """The encoders of these models, each with its probed layers.

    Args:
        layers: layer names, used wherever an encoder has them; by default `default_layers`.

    Raises:
        InputError: an encoder is given twice, or no encoder has a layer.
        CapabilityError: the locations of a model have no meaning of their own.
    """
    sources: dict[str, Source] = {}
    known: dict[str, None] = {}
    for model in models:
        encoder = _encoder_of(model)
        name = short_name(encoder.name)
        if name in sources:
            raise InputError(f"expected different encoders, got {name!r} twice")
        known |= dict.fromkeys(encoder.layers)
        chosen = (
            default_layers(encoder.parts)
            if layers is None
            else tuple(layer for layer in encoder.layers if layer in layers)
        )
        sources[name] = Source(name, "encoder", name, chosen, encoder)
    missing = sorted(set(layers or ()) - set(known))
    if missing:
        raise InputError(f"expected layers of {', '.join(known)}, got {missing[0]!r}")
    return tuple(sources.values())


def _encoder_of(model: Any) -> Encoder:
    if isinstance(model, Matcher):
        raise CapabilityError(
            f"{model.name}: reads image and text together, so its locations stand for nothing by "
            "themselves: give a VLM, a CLIP, a SigLIP or an encoder"
        )
    return load(model.encoder if isinstance(model, TwoTower) else model)


def baselines_of(
    sources: Sequence[Source], seed: int
) -> tuple[tuple[Source, ...], tuple[LeftOut, ...]]:
    """Encoders with random weights, and raw pixels; and those that could not be made."""
    baselines: list[Source] = []
    left: list[LeftOut] = []
    for source in sources:
        name = f"{source.name}, untrained"
        try:
            fresh = untrained_encoder(source.encoder, seed)
        except CapabilityError as error:
            left.append(LeftOut("all", name, str(error), 1))
            continue
        if fresh.fingerprint != source.fingerprint:
            baselines.append(Source(name, "untrained", source.name, last_layers(source), fresh))
    first = sources[0]
    baselines.append(Source(PIXELS, "pixels", first.name, (PIXELS,), first.encoder))
    return tuple(baselines), tuple(left)


def checksums_of(sources: Mapping[str, Source]) -> dict[str, str]:
    """Checksum of all parameters of each source."""
    known = {id(source.encoder): source.encoder for source in sources.values()}
    checksums = {key: encoder.checksum() for key, encoder in known.items()}
    return {name: checksums[id(source.encoder)] for name, source in sources.items()}
