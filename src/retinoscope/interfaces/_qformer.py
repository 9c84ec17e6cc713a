"""BLIP-2's Q-Former: learned queries that read a tower, beside a text or alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import Blip2QFormerConfig, Blip2QFormerModel

from ._attention import attention_weights
from ._interface import InterfaceTokens, Seen, VisualInterface
from ._tower import TowerShape, build_tower, tower_tokens

Reading = Literal["apart", "together", "behind", "causal"]
"""How queries and a text see each other: not at all; fully; the text sees the queries, and they do
not see it; or as before, but each word sees only the earlier ones of its text."""


class TextInput(nn.Module):
    """Embeds a text for a transformer whose queries and texts share self-attention."""

    def __init__(self, n_words: int, width: int, longest: int) -> None:
        super().__init__()
        self.words = nn.Embedding(n_words, width)
        self.places = nn.Embedding(longest, width)

    def forward(self, ids: Int[Tensor, "batch word"]) -> Float[Tensor, "batch word width"]:
        return self.words(ids) + self.places.weight[: ids.shape[1]]


def reading_mask(
    n_queries: int, present: Bool[Tensor, "batch word"], reading: Reading
) -> Bool[Tensor, "batch 1 token token"]:
    """True where a token (queries first, then words) may read another.

    Args:
        present: True for each word that is not padding.

    Source: Li et al. 2023, "BLIP-2", section 3.2 and figure 2.
    """
    n_words = present.shape[1]
    allowed = torch.zeros(
        n_queries + n_words, n_queries + n_words, dtype=torch.bool, device=present.device
    )
    queries, words = slice(n_queries), slice(n_queries, None)
    allowed[queries, queries] = allowed[words, words] = True
    if reading == "together":
        allowed[:] = True
    elif reading != "apart":
        allowed[words, queries] = True
    if reading == "causal":
        allowed[words, words] = torch.ones_like(allowed[words, words]).tril()
    there = torch.cat([present.new_ones(len(present), n_queries), present], 1)
    return (allowed & there[:, None, :])[:, None]


class QFormer(VisualInterface):
    """`Blip2QFormerModel` in front of a linear layer; `assemble` makes it an ordinary BLIP-2.

    Source: Li et al. 2023, "BLIP-2", section 3.1. The queries are drawn at random: transformers
    starts them at zero, and equal queries stay equal.

    Args:
        d_model: width of the language model.
        tower: sizes of the tower.
        n_words: size of the vocabulary of the texts that it can read; 0 without a text side, as
            BLIP-2 is in front of a language model.
    """

    needs = ("contrastive",)
    adding: ClassVar[tuple[str, ...]] = ("output.dense.weight", "output_query.dense.weight")

    def __init__(
        self,
        d_model: int,
        tower: Mapping[str, int],
        queries: int = 16,
        layers: int = 4,
        heads: int = 4,
        ff: int = 384,
        read_every: int = 2,
        n_words: int = 0,
        longest: int = 64,
    ) -> None:
        super().__init__()
        self.shape = shape = TowerShape(**tower)
        self.tower = build_tower(shape)
        self.n_tokens = queries
        self.query_tokens = nn.Parameter(torch.randn(1, queries, shape.width))
        self.qformer: Any = Blip2QFormerModel(
            Blip2QFormerConfig(
                vocab_size=max(n_words, 1),
                hidden_size=shape.width,
                intermediate_size=ff,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                encoder_hidden_size=shape.width,
                cross_attention_frequency=read_every,
                use_qformer_text_input=n_words > 0,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            )
        )
        widen(self.qformer)
        self.text = TextInput(n_words, shape.width, longest) if n_words else None
        self.language_projection = nn.Linear(shape.width, d_model)

    def see(self, pixels: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        return {"contrastive": tower_tokens(self.tower, pixels)}

    def forward(self, seen: Seen, *, origin: bool = False) -> InterfaceTokens:
        queries = self.queries(seen)
        embeddings = self.language_projection(queries)
        return InterfaceTokens(embeddings, origin=self._origin(seen) if origin else None)

    def source(self, seen: Seen) -> Float[Tensor, "batch token width"]:
        """What the queries read."""
        return seen["contrastive"]

    def queries(self, seen: Seen) -> Float[Tensor, "batch query width"]:
        """The queries after they have read, without a text."""
        read = self.source(seen)
        start = self.query_tokens.expand(len(read), -1, -1)
        return self.qformer(query_embeds=start, encoder_hidden_states=read).last_hidden_state

    def texts(
        self, ids: Int[Tensor, "batch word"], present: Bool[Tensor, "batch word"]
    ) -> Float[Tensor, "batch word width"]:
        """A text that sees no queries."""
        mask = reading_mask(0, present, "apart")
        return self._read(self._embedded(ids), 0, mask, None)

    def both(
        self,
        seen: Seen,
        ids: Int[Tensor, "batch word"],
        present: Bool[Tensor, "batch word"],
        reading: Reading,
    ) -> tuple[Float[Tensor, "batch query width"], Float[Tensor, "batch word width"]]:
        """Queries and text, which see each other as `reading` says."""
        read, n = self.source(seen), self.n_tokens
        start = torch.cat([self.query_tokens.expand(len(read), -1, -1), self._embedded(ids)], 1)
        done = self._read(start, n, reading_mask(n, present, reading), read)
        return done[:, :n], done[:, n:]

    def _embedded(self, ids: Int[Tensor, "batch word"]) -> Float[Tensor, "batch word width"]:
        if self.text is None:
            raise ValueError("expected a Q-Former with a text side, got one without")
        return self.text(ids)

    def _read(self, start: Tensor, n: int, mask: Tensor, read: Tensor | None) -> Tensor:
        return self.qformer(
            query_embeds=start, query_length=n, attention_mask=mask, encoder_hidden_states=read
        ).last_hidden_state

    def _origin(self, seen: Seen) -> Float[Tensor, "batch query patch"]:
        return self._looked(seen)[..., 1:]

    @torch.no_grad()
    def _looked(self, seen: Seen) -> Float[Tensor, "batch query token"]:
        """Attention of the last reading to each token of `source`, averaged over the heads."""
        reader = next(
            layer for layer in reversed(self.qformer.encoder.layer) if layer.has_cross_attention
        ).crossattention.attention
        calls: list[tuple[Tensor, Tensor]] = []

        def record(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            hidden = args[0] if args else kwargs["hidden_states"]
            calls.append((hidden, kwargs["encoder_hidden_states"]))

        handle = reader.register_forward_pre_hook(record, with_kwargs=True)
        try:
            self.queries(seen)
        finally:
            handle.remove()
        hidden, read = calls[-1]
        weights = attention_weights(
            reader.query(hidden), reader.key(read), int(reader.num_attention_heads)
        )
        return weights.mean(1)


def widen(qformer: nn.Module) -> None:
    """Draws the weights for a narrow width; the library's 0.02 hardly moves the queries."""
    for module in qformer.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            nn.init.zeros_(module.bias)
