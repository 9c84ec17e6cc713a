"""`Effects`: a run under interventions, one row per condition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache

from .. import memory
from ..arguments import one_of, whole
from ..models import entering
from ._base_run import RunT
from ._base_vlm import BaseVLM
from ._forward import ConditionBatch, Trace, forward, new_cache
from ._generate import Generation, Generations, continue_greedily
from ._greedy import greedy
from ._incremental import Incremental
from ._interventions import Ablate, Condition, Knockout, Patch
from ._recompute import Recomputation, RecomputePlanner
from ._resolved import ResolvedCondition
from ._shared_prefix import SharedPrefix
from ._steps import IncrementalSteps, PlainSteps, Steps

if TYPE_CHECKING:
    import pyarrow


T = TypeVar("T")

PATHS = ("incremental", "reference")


@dataclass(frozen=True)
class Execution:
    """How counterfactuals are computed.

    Attributes:
        path: one of `PATHS`.
        memory: maximum bytes of a batch of conditions.
        batch_size: largest number of conditions in a batch; None for as many as fit.
    """

    path: str
    memory: int
    batch_size: int | None


def execution_for(
    vlm: BaseVLM, exact: str, amount: str | int | None, batch_size: int | None
) -> Execution:
    """Checks the user's settings; a model without the incremental path takes the other one.

    Raises:
        InputError: an unknown path, or an impossible amount of memory or batch size.
    """
    exact = one_of(exact, PATHS, "exact")
    if batch_size is not None:
        whole(batch_size, "batch_size", 1)
    supported = vlm.capabilities.supports("incremental")
    # Under autocast a block computes in other dtypes than those of its weights.
    if torch.is_autocast_enabled(vlm.device.type):
        supported = False
    path = exact if supported else "reference"
    return Execution(path, memory.budget(amount, vlm.device), batch_size)


class Effects(Generic[RunT]):
    """A run under interventions. Made by `run.counterfactuals`; computed on first use.

    Attributes:
        run: the clean run.
        conditions: the conditions, in order.
        path: the path that computes each row: "incremental", or "reference", the plain full forward
            pass.
        token_layers: number of position-block pairs computed so far for these conditions; a plain
            forward pass computes n x blocks for each.
    """

    def __init__(
        self,
        run: RunT,
        conditions: Sequence[Condition],
        resolved: Sequence[ResolvedCondition],
        execution: Execution,
        prefix: SharedPrefix | None = None,
    ) -> None:
        self.run = run
        self.conditions = tuple(conditions)
        self.path = (execution.path,) * len(conditions)
        self.token_layers = 0
        self._clean = run._clean
        self._resolved = tuple(resolved)
        self._execution = execution
        self._prefix = prefix

    def __len__(self) -> int:
        return len(self.conditions)

    @cached_property
    def logits(self) -> Float[Tensor, "intervention vocab"]:
        """float32 logits of the prompt's last position, one row per condition."""
        self.run.require_current()
        return torch.cat(self._in_batches(lambda batch: self._prompt(batch, 0)[0], 0))

    @property
    def last_hidden(self) -> Float[Tensor, "intervention d_model"]:
        """Residual stream of the prompt's last position after the last block; see `Run.hidden`.

        The final norm and the head make `logits` of it, so a lens can read many conditions without
        holding all of their logits.
        """
        return self._ends

    @cached_property
    def _ends(self) -> Float[Tensor, "intervention d_model"]:
        self.run.require_current()
        return torch.cat(self._in_batches(self._last_hidden, 0))

    def generate(self, max_new_tokens: int = 64, *, keep_logits: bool = False) -> Generations[RunT]:
        """Greedy continuations with the interventions active.

        Ablations and patches act on the prompt, whose keys and values carry their effect on. A
        knockout continues if its target names generated positions ("generated", "last+generated");
        the target "last" is the prompt's last position only.

        Settings that `Run.generate` takes from the model's generation_config apply here too.

        Raises:
            InputError: `max_new_tokens` is below 1.
            CapabilityError: as `Run.generate`.
        """
        rule = greedy(self.run, max_new_tokens)
        self.run.require_current()

        def work(batch: Sequence[int]) -> tuple[Tensor, list[Generation[RunT]]]:
            logits, steps = self._prompt(batch, max_new_tokens)
            assert steps is not None
            return logits, continue_greedily(
                self.run, logits, steps, rule, max_new_tokens, keep_logits
            )

        parts = self._in_batches(work, max_new_tokens)
        # The prompt's pass gave the logits as well, so a later `effects.logits` costs nothing.
        self.__dict__.setdefault("logits", torch.cat([logits for logits, _ in parts]))
        return Generations(tuple(text for _, part in parts for text in part))

    def to_frame(self) -> pyarrow.Table:
        """Returns a table with one row per condition.

        Columns: intervention (its number), kind, n_tokens (ablated, patched or hidden positions),
        first_layer and last_layer of the knockouts and patches, path, top_id, top_token, top_prob,
        and clean_prob, the clean run's probability of that token.
        """
        import pyarrow as pa

        probs = self.logits.softmax(-1)
        top = probs.max(-1)
        clean = self.run.logits.softmax(-1)[top.indices]
        flat = [_flattened(condition) for condition in self.conditions]
        spans = [_layers(interventions) for interventions in flat]
        return pa.table(
            {
                "intervention": list(range(len(self))),
                "kind": [
                    "+".join(type(edit).__name__ for edit in edits) or "none" for edits in flat
                ],
                "n_tokens": [sum(_count(edit) for edit in edits) for edits in flat],
                "first_layer": pa.array([span[0] for span in spans], pa.int64()),
                "last_layer": pa.array([span[1] for span in spans], pa.int64()),
                "path": list(self.path),
                "top_id": top.indices.tolist(),
                "top_token": self.run.adapter.vocabulary.texts(top.indices.tolist()),
                "top_prob": top.values.tolist(),
                "clean_prob": clean.tolist(),
            }
        )

    # Batches of conditions

    def _in_batches(self, work: Callable[[Sequence[int]], T], n_new: int) -> list[T]:
        with entering(self.run.vlm.model):
            return memory.in_batches(
                range(len(self)),
                lambda condition: self._cost(condition, n_new),
                self._execution.memory,
                work,
                self._execution.batch_size,
            )

    def _cost(self, condition: int, n_new: int) -> int:
        """Returns an upper bound of the bytes that a condition takes."""
        adapter = self.run.adapter
        if self._execution.path == "reference":
            rows = [self.run.n] * adapter.n_layers
        else:
            rows = [
                0 if recomputed is None else len(recomputed)
                for recomputed in self._recomputations[condition].rows
            ]
        config = adapter.text_config
        inner = int(getattr(config, "intermediate_size", 0) or 4 * adapter.d_model)
        numbers = max(rows) * (3 * inner + 8 * adapter.d_model + 2 * adapter.n_heads * self.run.n)
        if n_new:
            kept = sum(rows) + n_new * adapter.n_layers
            numbers += 2 * kept * self._clean.key_width
        return numbers * 4 + adapter.vocab_size * 8

    @cached_property
    def _recomputations(self) -> tuple[Recomputation, ...]:
        planner = RecomputePlanner(self._clean)
        return tuple(planner.plan(condition) for condition in self._resolved)

    def _prompt(self, batch: Sequence[int], n_new: int) -> tuple[Tensor, Steps | None]:
        """Returns logits of some conditions, and the steps after them if tokens are to follow."""
        resolved = [self._resolved[condition] for condition in batch]
        if self._execution.path == "reference":
            cache = new_cache(self.run.adapter) if n_new else None
            logits, plain = self._plain(resolved, cache)
            if cache is None:
                return logits, None
            return logits, PlainSteps(self.run.adapter, self.run.inputs, cache, plain)
        incremental = self._incremental(batch, resolved)
        logits = incremental.logits(keep=n_new > 0)
        self.token_layers += incremental.token_layers
        return logits, IncrementalSteps(incremental, n_new) if n_new else None

    def _last_hidden(self, batch: Sequence[int]) -> Float[Tensor, "batch d_model"]:
        resolved = [self._resolved[condition] for condition in batch]
        if self._execution.path == "reference":
            trace = Trace(only_last=True)
            self._plain(resolved, None, trace)
            return trace.hidden[-1][:, -1]
        incremental = self._incremental(batch, resolved)
        states = incremental.last_hidden()
        self.token_layers += incremental.token_layers
        return states

    def _incremental(
        self, batch: Sequence[int], resolved: Sequence[ResolvedCondition]
    ) -> Incremental:
        needed = [self._recomputations[condition] for condition in batch]
        if self._prefix is None:
            return Incremental(self._clean, resolved, needed)
        cache = self._prefix.cache_for(self._clean, batch)
        return Incremental(self._clean, resolved, needed, cache, self._prefix.stop)

    def _plain(
        self,
        resolved: Sequence[ResolvedCondition],
        cache: DynamicCache | None,
        trace: Trace | None = None,
    ) -> tuple[Float[Tensor, "batch vocab"], ConditionBatch]:
        """A plain pass over the prompt, which fills `cache` and `trace` if given."""
        run = self.run
        batch = ConditionBatch(run.adapter, run.n, resolved)
        arguments = run.adapter.arguments(run.inputs, 0, run.n)
        embeds = batch.embeds(run.embeddings)
        logits = forward(run.adapter, embeds, arguments, batch=batch, cache=cache, trace=trace)
        self.token_layers += len(resolved) * run.n * run.adapter.n_layers
        return logits, batch

    def __repr__(self) -> str:
        return f"Effects({len(self)} conditions of {self.run!r})"


def _flattened(condition: Condition) -> tuple[Ablate | Knockout | Patch, ...]:
    return tuple(condition) if isinstance(condition, Sequence) else (condition,)


def _count(edit: Ablate | Knockout | Patch) -> int:
    if isinstance(edit, Ablate):
        return len(edit.tokens)
    return len(edit.source if isinstance(edit, Knockout) else edit.positions)


def _layers(edits: Sequence[Ablate | Knockout | Patch]) -> tuple[int | None, int | None]:
    named = [edit.layers for edit in edits if not isinstance(edit, Ablate)]
    numbers = [n for layers in named if isinstance(layers, tuple) for n in layers]
    return (min(numbers), max(numbers)) if numbers else (None, None)
