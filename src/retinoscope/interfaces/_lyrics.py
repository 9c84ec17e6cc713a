"""Lyrics: queries that read a tower's patches, and queries that read the objects in the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ._interface import InterfaceTokens, Seen, VisualInterface
from ._mq_former import MQFormerLayer, Sources
from ._qformer import Reading, TextInput, reading_mask
from ._refiner import BINS, build_refiner
from ._tower import TowerShape, build_tower, tower_tokens


class Lyrics(VisualInterface):
    """MQ-Former in front of a linear layer.

    A refiner finds objects, each with features, a box and a score. Some queries read the tower's
    tokens and the others these objects, with weights of their own; all read each other. Objects
    stand behind one learned slot, so that queries of an image without any have something to read.

    The release pads to 900 objects of any score; here a slot without an object is hidden.

    Source: Lu et al. 2023, "Lyrics: Boosting Fine-grained Language-Vision Alignment and
    Comprehension via Semantic-aware Visual Objects" (arXiv 2312.05278).

    Args:
        d_model: width of the language model.
        tower: sizes of the tower.
        refiner: settings for `build_refiner`.
        patch_queries, object_queries: the number of queries that read each source.
        layers, heads, ff: of the transformer.
        read_every: queries read their sources in the first layer and in each such layer after it.
        n_words: size of the vocabulary of the texts that it can read; 0 without a text side. There
            are further ids: `n_words` starts a caption, `n_words + 1` hides a word, and the next
            `BINS` are coordinates.
        longest: the longest text.
    """

    frozen = ("tower", "refiner")
    needs = ("contrastive", "objects", "objects_mask", "phrases")
    adding: ClassVar[tuple[str, ...]] = ("attention.out_proj.weight", "ff.outer.weight")

    def __init__(
        self,
        d_model: int,
        tower: Mapping[str, int],
        refiner: Mapping[str, Any] | None = None,
        patch_queries: int = 6,
        object_queries: int = 10,
        layers: int = 4,
        heads: int = 4,
        ff: int = 234,
        read_every: int = 2,
        n_words: int = 0,
        longest: int = 96,
    ) -> None:
        super().__init__()
        self.shape = shape = TowerShape(**tower)
        self.tower = build_tower(shape)
        self.refiner = build_refiner({"name": "regions"} if refiner is None else refiner, shape)
        self.groups = (patch_queries, object_queries)
        self.n_tokens = sum(self.groups)
        self.n_words = n_words
        self.query_tokens = nn.Parameter(torch.randn(1, self.n_tokens, shape.width))
        self.empty = nn.Parameter(torch.randn(1, 1, shape.width))
        self.objects = nn.Sequential(
            nn.Linear(self.refiner.d_object, shape.width), nn.LayerNorm(shape.width)
        )
        self.text = TextInput(n_words + 2 + BINS, shape.width, longest) if n_words else None
        self.norm = nn.LayerNorm(shape.width)
        self.layers = nn.ModuleList(
            MQFormerLayer(shape.width, heads, ff, reads=number % read_every == 0, text=n_words > 0)
            for number in range(layers)
        )
        self.language_projection = nn.Linear(shape.width, d_model)

    def see(self, pixels: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        tokens = tower_tokens(self.tower, pixels)
        refined = self.refiner(pixels, tokens)
        return {
            "contrastive": tokens,
            "objects": refined.read.tokens(),
            "objects_mask": refined.read.mask,
            "objects_patches": refined.read.patches,
            "phrases": refined.objects.phrases(),
        }

    def forward(self, seen: Seen, *, origin: bool = False) -> InterfaceTokens:
        embeddings = self.language_projection(self.queries(seen))
        return InterfaceTokens(embeddings, origin=self._origin(seen) if origin else None)

    def queries(self, seen: Seen) -> Float[Tensor, "batch query width"]:
        """The queries after they have read, without a text."""
        sources = self._sources(seen)
        return self._read(self._start(len(sources.patches)), sources, None)

    def texts(
        self, ids: Int[Tensor, "batch word"], present: Bool[Tensor, "batch word"]
    ) -> Float[Tensor, "batch word width"]:
        """A text that sees no queries."""
        return self._read(self._embedded(ids), None, ~reading_mask(0, present, "apart")[:, 0])

    def both(
        self,
        seen: Seen,
        ids: Int[Tensor, "batch word"],
        present: Bool[Tensor, "batch word"],
        reading: Reading,
    ) -> tuple[Float[Tensor, "batch query width"], Float[Tensor, "batch word width"]]:
        """Queries and text, which see each other as `reading` says."""
        n, hidden = self.n_tokens, ~reading_mask(self.n_tokens, present, reading)[:, 0]
        start = torch.cat([self._start(len(ids)), self._embedded(ids)], 1)
        done = self._read(start, self._sources(seen), hidden)
        return done[:, :n], done[:, n:]

    def _start(self, n_images: int) -> Float[Tensor, "batch query width"]:
        return self.query_tokens.expand(n_images, -1, -1)

    def _embedded(self, ids: Int[Tensor, "batch word"]) -> Float[Tensor, "batch word width"]:
        if self.text is None:
            raise ValueError("expected an MQ-Former with a text side, got one without")
        return self.text(ids)

    def _sources(self, seen: Seen) -> Sources:
        patches, mask = seen["contrastive"], seen["objects_mask"]
        objects = self.objects(seen["objects"].to(self.empty.dtype))
        return Sources(
            patches,
            torch.cat([self.empty.expand(len(objects), -1, -1), objects], 1),
            ~nn.functional.pad(mask, (1, 0), value=True),
        )

    def _read(
        self,
        start: Float[Tensor, "batch token width"],
        sources: Sources | None,
        hidden: Bool[Tensor, "batch token token"] | None,
    ) -> Float[Tensor, "batch token width"]:
        states = self.norm(start)
        groups = (0, 0) if sources is None else self.groups
        for layer in self.layers:
            states = layer(states, groups, sources, hidden)
        return states

    @torch.no_grad()
    def _origin(self, seen: Seen) -> Float[Tensor, "batch query patch"]:
        """Attention of the last reading to each patch, an object's divided among its patches."""
        sources = self._sources(seen)
        states = self.norm(self._start(len(sources.patches)))
        last = max(n for n, layer in enumerate(self.layers) if layer.patches is not None)
        for layer in self.layers[:last]:
            states = layer(states, self.groups, sources, None)
        reader = self.layers[last]
        assert isinstance(reader, MQFormerLayer)
        patches, objects = reader.looks(states, self.groups, sources, None)
        spread = objects[..., 1:] @ seen["objects_patches"].to(objects.dtype)
        return torch.cat([patches[..., 1:], spread], 1)
