"""Features of the probed layers: computed once, cached on disk, brought to one width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from ...encoders import CachedFeatures, cached_features
from .._executor import Tell
from .gather import Gathered, gather
from .grids import Grids
from .heads import projection
from .sources import PIXELS, CachedLayer, Layer, PixelLayer, Source


@dataclass(frozen=True, eq=False)
class Layers:
    """The features of each layer, as probes read them.

    Attributes:
        folder: cache of the features.
        precision: of the cache.
    """

    grids: Grids
    sources: Mapping[str, Source]
    folder: Path
    precision: Literal["float16", "float32"]

    @cached_property
    def widths(self) -> dict[str, dict[str, int]]:
        """Source -> layer -> number of dimensions."""
        images = self.grids.data.images
        widths: dict[str, dict[str, int]] = {}
        for name, source in self.sources.items():
            if source.kind == "pixels":
                widths[name] = {PIXELS: self._pixels(source)[0].shape[1]}
            else:
                first = source.encoder.features(images[0], source.layers)
                widths[name] = {k: int(values.shape[1]) for k, values in first.layers.items()}
        return widths

    @cached_property
    def width(self) -> int:
        """The common width of all features: that of the narrowest layer."""
        encoders = [name for name, source in self.sources.items() if source.kind == "encoder"]
        return min(width for name in encoders for width in self.widths[name].values())

    def gathered(self, name: str, layer: str, tell: Tell | None = None) -> Gathered:
        """The features of one layer of a source; the latest is kept in memory.

        Raises:
            InputError: features that cannot be used.
        """
        if (name, layer) not in self._last:
            source = self.sources[name]
            gathered = gather(
                self._layer(source, layer, tell or (lambda what: None)),
                self.grids.data.truths,
                self.grids.data.located[source.of],
                self.grids.plan(source.of),
                projection(self.widths[name][layer], self.width, self.grids.seed),
                f"{name} {layer}",
            )
            self._last.clear()
            self._last[name, layer] = gathered
        return self._last[name, layer]

    def _layer(self, source: Source, layer: str, tell: Tell) -> Layer:
        if source.kind == "pixels":
            return self._pixels(source)
        if source.name not in self._cached:
            self._cached[source.name] = cached_features(
                source.encoder,
                self.grids.data.images,
                source.layers,
                self.folder,
                precision=self.precision,
                progress=lambda done, n: tell(f"features of {source.name}: image {done} of {n}"),
            )
        return CachedLayer.of(self._cached[source.name], layer)

    def _pixels(self, source: Source) -> PixelLayer:
        return PixelLayer(self.grids.data.images, self.grids.data.boxes[source.of])

    @cached_property
    def _cached(self) -> dict[str, CachedFeatures]:
        return {}

    @cached_property
    def _last(self) -> dict[tuple[str, str], Gathered]:
        return {}
