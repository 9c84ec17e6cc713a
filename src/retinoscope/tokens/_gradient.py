"""Gradients of the answer's logit to the visual tokens, and integrated gradients of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from .. import memory as budgets
from ..errors import CapabilityError, InputError
from ..models import Adapter
from ._choose import RunLike, top, visual
from ._set import Positions, TokenSet


class Filling(Protocol):
    """Something that has a value for each position: a fill of `Ablate`."""

    def values(
        self, run: RunLike, positions: tuple[int, ...]
    ) -> Float[Tensor, "token d_model"]: ...


class RunWithStates(RunLike, Protocol):
    """A run whose residual stream can be read, which says what its gradients must belong to."""

    def hidden(self, layer: int) -> Float[Tensor, "token d_model"]: ...


Baseline = Filling | Tensor | str | None

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
"""Of the largest number: what two batch shapes of one pass may differ by; 5e-2 below float32."""


class Slopes(NamedTuple):
    """Values of a logit, and its gradients.

    Attributes:
        values: (batch,) float32 logits.
        gradients: (batch, n, d_model) to the visual embeddings.
    """

    values: Float[Tensor, " batch"]
    gradients: Float[Tensor, "batch token d_model"]


class LogitGradient:
    """A logit of the last position, or the difference of two, by the n visual embeddings of a run.

    The parameters get no gradients. What lies before the first visual token is computed once; of
    the vocabulary only the rows asked for are read, and only at the last position.

    Attributes:
        run: whose other embeddings stay as they are.
        target, versus: token ids; `versus` is None, or what is taken off the target's logit.
        places: the positions of the visual tokens of all images.
        embeddings: (n, d_model) the run's own.
        here: value and gradient there, a batch of 1.
    """

    def __init__(
        self, run: RunWithStates, target: str | int, versus: str | int | None = None
    ) -> None:
        """One forward and one backward pass, at the run's own embeddings.

        Raises:
            InputError: an unknown word, no such token id, one token twice, or a run without an
                image.
            CapabilityError: the model does not allow gradients, or its decoder called by itself
                does not give the run's states.
        """
        adapter = run.adapter
        adapter.capabilities().require("gradients")
        visual(run)
        self.run = run
        self.target = _token(adapter, target)
        self.versus = None if versus is None else _token(adapter, versus)
        if self.versus == self.target:
            raise InputError(f"expected two different tokens, got {self.target} twice")
        self.places = tuple(position for image in run.images for position in image.positions)
        self._n = len(run.embeddings)
        self._index = torch.tensor(self.places, device=run.embeddings.device)
        self.embeddings: Float[Tensor, "token d_model"] = run.embeddings[self._index]
        self._prefix = self._fixed_prefix()
        self.here = self._at_the_run()

    def at(self, embeddings: Float[Tensor, "batch token d_model"]) -> Slopes:
        """At other visual embeddings; one batch through the decoder."""
        return self._pass(embeddings, self._prefix)[0]

    @property
    def cost(self) -> int:
        """Bytes that one row of a batch takes, from above: what the backward pass needs kept."""
        adapter, rows = self.run.adapter, self._n - self._start(self._prefix)
        inner = int(getattr(adapter.text_config, "intermediate_size", 0) or 4 * adapter.d_model)
        numbers = 16 * adapter.d_model + 5 * inner
        if adapter.attention_implementation == "eager":
            numbers += 3 * adapter.n_heads * self._n
        return adapter.n_layers * rows * numbers * 4

    def _at_the_run(self) -> Slopes:
        """Only a pass that gives the run's own last state has the run's gradients."""
        with torch.no_grad():
            states = self.run.hidden(self.run.adapter.n_layers)
            wanted = self.run.adapter.decoder.final_norm(states[-1:])
        found, last = self._pass(self.embeddings[None], self._prefix)
        if self._prefix is not None and not _close(last, wanted):
            # Some decoders take what says which tokens are an image only without a cache.
            self._prefix = None
            found, last = self._pass(self.embeddings[None], None)
        if _close(last, wanted):
            return found
        raise CapabilityError(
            f"{type(self.run.adapter.model).__name__}: the decoder called with the run's input "
            "does not give the run's states, so its gradients would be another function's: this "
            "family needs an adapter of its own"
        )

    @torch.no_grad()
    def _fixed_prefix(self) -> DynamicCache | None:
        """Keys and values before the first visual token.

        None where there is nothing before it, where a block keeps something else than keys and
        values, and where the text before an image reads the image.
        """
        adapter, first = self.run.adapter, min(self.places)
        if not first or not _attends_everywhere(adapter):
            return None
        cache = DynamicCache()
        arguments = adapter.arguments(self.run.inputs, 0, first)
        alone = adapter.decode(self.run.embeddings[None, :first], cache, **arguments)[0]
        wanted = adapter.decoder.final_norm(self.run.hidden(adapter.n_layers)[:first])
        # Blocks that share keys keep none of their own.
        plain = all(type(one) is DynamicLayer and one.is_initialized for one in cache.layers)
        return cache if plain and _close(alone, wanted) else None

    def _pass(
        self, embeddings: Float[Tensor, "batch token d_model"], prefix: DynamicCache | None
    ) -> tuple[Slopes, Float[Tensor, "batch d_model"]]:
        """Also the last position's state after the final norm."""
        run, adapter, first = self.run, self.run.adapter, self._start(prefix)
        with frozen(adapter.model), torch.enable_grad():
            leaf = embeddings.detach().requires_grad_(True)
            rest = run.embeddings[first:].expand(len(leaf), -1, -1)
            embeds = rest.index_copy(1, self._index - first, leaf)
            cache = None if prefix is None else _expanded(prefix, len(leaf))
            arguments = adapter.arguments(run.inputs, first, self._n)
            last = adapter.decode(embeds, cache, **arguments)[:, -1]
            values = self._read(last)
            (gradients,) = torch.autograd.grad(values.sum(), leaf)
        return Slopes(values.detach(), gradients), last.detach()

    def _start(self, prefix: Cache | None) -> int:
        return 0 if prefix is None else prefix.get_seq_length()

    def _read(self, normed: Float[Tensor, "batch d_model"]) -> Float[Tensor, " batch"]:
        ids = [self.target] if self.versus is None else [self.target, self.versus]
        logits = _logits_of(self.run.adapter, normed, ids)
        return logits[:, 0] if self.versus is None else logits[:, 0] - logits[:, 1]


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each visual token adds to a logit.

    Attributes:
        scores: (n,) sum over d_model of the absolute attributions, by which tokens are chosen.
        signed: (n,) sum over d_model of the attributions; their total is the change of the logit.
        target: the token id whose logit is explained.
        change: logit of the run minus logit at the baseline.
        completeness: |sum of `signed` - `change`| / |`change`|: the error of the integration, 0
            when exact. More steps lower it.
    """

    scores: Float[Tensor, " token"]
    signed: Float[Tensor, " token"]
    target: int
    change: float
    completeness: float


@dataclass(frozen=True, eq=False, repr=False)
class GradientTokens(TokenSet):
    """The token set that integrated gradients chose, with how they chose it."""

    attribution: Attribution = field(kw_only=True)

    @property
    def scores(self) -> Float[Tensor, " token"]:
        """(n,) one score per visual token of the run."""
        return self.attribution.scores

    @property
    def completeness(self) -> float:
        """Relative error of the integration."""
        return self.attribution.completeness


def integrated_gradients(
    run: RunWithStates,
    target: str | int,
    *,
    baseline: Baseline = None,
    steps: int = 50,
    batch_size: int = 8,
    memory: str | int | None = None,
) -> Attribution:
    """Integrated gradients of the last position's logit of `target` to the visual embeddings.

    Trapezoid rule over `steps` intervals on the straight line from the baseline. Several steps go
    through the decoder as one batch; see `LogitGradient` for what is computed.

    Args:
        target: a word, of which the first piece is taken, or a token id.
        baseline: the embeddings where the path begins: a fill, a tensor (d_model,) or (n, d_model),
            "zero", or None for the mean of this run's visual tokens. From "zero" the integration
            is poor in a decoder whose first step is an RMS norm, which jumps there: look at
            `completeness`.
        steps: intervals, at least 2.
        batch_size: the largest number of steps in a batch.
        memory: what a batch may take, such as "4GB"; half of what is free if None. A batch that
            runs out of memory all the same is halved.

    Raises:
        InputError: an unknown word, too few steps, a batch size below 1, no amount of memory, or a
            baseline of another shape.
        CapabilityError: see `LogitGradient`.

    Source: Sundararajan et al. 2017, as used by Neo et al. 2024, section 3; the released code
    takes the gradient of the beginning-of-text token and divides both end points in full.
    """
    if steps < 2:
        raise InputError(f"expected at least 2 steps, got {steps}")
    if batch_size < 1:
        raise InputError(f"expected a batch size from 1 up, got {batch_size}")
    limit = budgets.budget(memory, run.embeddings.device)
    logit = LogitGradient(run, target)
    end = logit.embeddings
    start = _start(run, baseline, logit.places, end)

    def work(batch: Sequence[int]) -> tuple[Tensor, Tensor]:
        part = torch.tensor(batch, device=end.device) / steps
        found = logit.at(start + part[:, None, None].to(end.dtype) * (end - start))
        weights = torch.where(part == 0, 0.5, 1.0)
        return found.values, (found.gradients.float() * weights[:, None, None]).sum(0)

    # The step at the run itself is what `logit` began with.
    parts = budgets.in_batches(range(steps), lambda _: logit.cost, limit, work, batch_size)
    total = torch.stack([0.5 * logit.here.gradients[0].float(), *(part for _, part in parts)])
    attributions = total.sum(0) / steps * (end - start).float()
    change = float(logit.here.values[0] - parts[0][0][0])
    signed = attributions.sum(-1)
    error = abs(float(signed.sum()) - change)
    return Attribution(
        scores=attributions.abs().sum(-1),
        signed=signed,
        target=logit.target,
        change=change,
        completeness=error / abs(change) if change else error,
    )


def attribution(
    run: RunWithStates, target: str | int, baseline: Baseline = None, steps: int = 50
) -> Float[Tensor, " token"]:
    """(n,) scores of all visual tokens; see `integrated_gradients`."""
    return integrated_gradients(run, target, baseline=baseline, steps=steps).scores


def by_gradient(
    run: RunWithStates, target: str | int, n: int, steps: int = 50, baseline: Baseline = None
) -> GradientTokens:
    """The `n` visual tokens with the largest attribution; see `integrated_gradients`.

    Raises:
        InputError: also if `n` is not from 1 to the number of visual tokens.
    """
    count = len(visual(run))
    if not 1 <= n <= count:
        raise InputError(f"expected n from 1 to {count}, got {n}")
    found = integrated_gradients(run, target, baseline=baseline, steps=steps)
    chosen = top(run, found.scores, n)
    sequence: Positions = chosen.sequence
    return GradientTokens(sequence, chosen.positions, chosen.universe, attribution=found)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """No parameter of `model` asks for a gradient inside; what asked before asks again after."""
    asking = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)


def _token(adapter: Adapter, word: str | int) -> int:
    goal = adapter.vocabulary.first_piece(word) if isinstance(word, str) else int(word)
    if not 0 <= goal < adapter.vocab_size:
        raise InputError(f"expected a token id from 0 to {adapter.vocab_size - 1}, got {goal}")
    return goal


def _start(
    run: RunLike, baseline: Baseline, places: tuple[int, ...], end: Float[Tensor, "token d_model"]
) -> Float[Tensor, "token d_model"]:
    if baseline is None:
        return end.mean(0, keepdim=True).expand_as(end)
    if isinstance(baseline, str):
        if baseline != "zero":
            raise InputError(f"expected a baseline 'zero', a fill or a tensor, got {baseline!r}")
        return torch.zeros_like(end)
    if isinstance(baseline, Tensor):
        value = baseline.to(end)
        if value.shape not in (end.shape, end.shape[1:]):
            raise InputError(
                f"expected a baseline {tuple(end.shape[1:])} or {tuple(end.shape)}, got "
                f"{tuple(value.shape)}"
            )
        return value.expand_as(end)
    return baseline.values(run, places).to(end)


def _logits_of(
    adapter: Adapter, normed: Float[Tensor, "batch d_model"], ids: list[int]
) -> Float[Tensor, "batch chosen"]:
    """float32 logits of some tokens. An adapter or a head of its own kind computes all of them."""
    head = adapter.unembedding
    own = type(adapter).unembed is not Adapter.unembed
    if own or type(head) is not nn.Linear or "forward" in vars(head):
        return adapter.unembed(normed)[:, ids]
    bias = None if head.bias is None else head.bias[ids]
    logits = nn.functional.linear(normed.to(head.weight.dtype), head.weight[ids], bias).float()
    cap = getattr(adapter.text_config, "final_logit_softcapping", None)
    return logits if not cap else torch.tanh(logits / cap) * cap


def _attends_everywhere(adapter: Adapter) -> bool:
    try:
        for layer in range(adapter.n_layers):
            adapter.decoder.attention(layer)
    except CapabilityError:
        return False
    return True


def _expanded(prefix: DynamicCache, batch: int) -> DynamicCache:
    """The same keys and values for every row, not copied; the blocks add theirs to this one."""
    cache = copy.copy(prefix)
    cache.layers = [copy.copy(layer) for layer in prefix.layers]
    for layer in cache.layers:
        assert isinstance(layer, DynamicLayer)
        assert layer.keys is not None
        assert layer.values is not None
        layer.keys = layer.keys.expand(batch, -1, -1, -1)
        layer.values = layer.values.expand(batch, -1, -1, -1)
    return cache


def _close(found: Tensor, wanted: Tensor) -> bool:
    limit = _TOLERANCE.get(wanted.dtype, 5e-2) * float(wanted.abs().max())
    return float((found - wanted.to(found.device)).abs().max()) <= limit
