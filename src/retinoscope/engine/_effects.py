"""`Effects`: a run under interventions, one row per condition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache

from ._forward import Batch, forward, new_cache
from ._generate import Generation, Generations, check_length, continue_greedily
from ._interventions import Ablate, Condition, Knockout, Patch
from ._plan import Plan

if TYPE_CHECKING:
    import pyarrow

    from ._run import Run

_ROWS_TIMES_TOKENS = 8192
"""Positions in one forward pass unless a batch size is given."""


class Effects:
    """What a run becomes under interventions. Made by `run.counterfactuals`; computed when asked.

    Attributes:
        run: the clean run.
        conditions: what was asked for, in order.
        path: which path computes each row: "reference", the plain full forward pass.
    """

    def __init__(
        self,
        run: Run,
        conditions: Sequence[Condition],
        plans: Sequence[Plan],
        batch_size: int | None,
    ) -> None:
        self.run = run
        self.conditions = tuple(conditions)
        self.path = ("reference",) * len(conditions)
        self._plans = tuple(plans)
        self._size = batch_size or max(1, min(64, _ROWS_TIMES_TOKENS // run.n))

    def __len__(self) -> int:
        return len(self.conditions)

    @cached_property
    def logits(self) -> Float[Tensor, "intervention vocab"]:
        """float32 logits of the prompt's last position, one row per condition."""
        return torch.cat([self._prefill(batch, None) for batch in self._batches()])

    def generate(self, max_new_tokens: int = 64, *, keep_logits: bool = False) -> Generations:
        """Greedy continuations with the interventions active.

        Ablations and patches act on the prompt, whose keys and values carry them on. A knockout
        goes on where its target names generated positions ("generated", "last+generated"); the
        target "last" is the prompt's last position only.

        Raises:
            InputError: `max_new_tokens` below 1.
        """
        check_length(max_new_tokens)
        done: list[Generation] = []
        rows: list[Tensor] = []
        for batch in self._batches():
            cache = new_cache(self.run.adapter)
            logits = self._prefill(batch, cache)
            rows.append(logits)
            done += continue_greedily(self.run, logits, cache, batch, max_new_tokens, keep_logits)
        # The prefill gave the logits as well: a later `effects.logits` costs nothing.
        self.__dict__.setdefault("logits", torch.cat(rows))
        return Generations(tuple(done))

    def to_frame(self) -> pyarrow.Table:
        """One row per condition.

        Columns: intervention (its number), kind, n_tokens (ablated, patched or hidden positions),
        layers (first and last of the knockouts and patches), path, top_id, top_token, top_prob, and
        clean_prob, the clean run's probability of that token.
        """
        import pyarrow as pa

        probs = self.logits.softmax(-1)
        top = probs.max(-1)
        clean = self.run.logits.softmax(-1)[top.indices]
        flat = [_together(condition) for condition in self.conditions]
        spans = [_layers(together) for together in flat]
        return pa.table(
            {
                "intervention": list(range(len(self))),
                "kind": ["+".join(type(one).__name__ for one in part) or "none" for part in flat],
                "n_tokens": [sum(_count(one) for one in part) for part in flat],
                "first_layer": pa.array([span[0] for span in spans], pa.int64()),
                "last_layer": pa.array([span[1] for span in spans], pa.int64()),
                "path": list(self.path),
                "top_id": top.indices.tolist(),
                "top_token": self.run.adapter.vocabulary.texts(top.indices.tolist()),
                "top_prob": top.values.tolist(),
                "clean_prob": clean.tolist(),
            }
        )

    def _batches(self) -> Iterator[Batch]:
        for start in range(0, len(self._plans), self._size):
            plans = self._plans[start : start + self._size]
            yield Batch(self.run.adapter, self.run.n, plans)

    def _prefill(
        self, batch: Batch, cache: DynamicCache | None
    ) -> Float[Tensor, "intervention vocab"]:
        run = self.run
        embeds = batch.embeds(run.embeddings)
        extra = dict(run.inputs.extra)
        return forward(run.adapter, embeds, batch=batch, cache=cache, extra=extra)

    def __repr__(self) -> str:
        return f"Effects({len(self)} conditions of {self.run!r})"


def _together(condition: Condition) -> tuple[Ablate | Knockout | Patch, ...]:
    return tuple(condition) if isinstance(condition, Sequence) else (condition,)


def _count(one: Ablate | Knockout | Patch) -> int:
    if isinstance(one, Ablate):
        return len(one.tokens)
    return len(one.source if isinstance(one, Knockout) else one.positions)


def _layers(together: Sequence[Ablate | Knockout | Patch]) -> tuple[int | None, int | None]:
    named = [one.layers for one in together if not isinstance(one, Ablate)]
    numbers = [number for layers in named if layers is not None for number in layers]
    return (min(numbers), max(numbers)) if numbers else (None, None)
