"""The Jacobian lens: a state's average first-order effect on the final states, read as words.

    fit = JacobianFit(vlm.adapter, at="visual", skip_first=1)
    for run in runs:
        fit.add(run)
    run.lens(kind=fit.lens())

Source: Gurnee et al. 2026, "Verbalizable representations form a global workspace" (Transformer
Circuits Thread).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import DynamicCache

from ..arguments import one_of, whole
from ..arguments import path as as_path
from ..errors import CapabilityError, InputError
from ..memory import budget, free_memory, is_out_of_memory
from ..models import Adapter, ModelState, entering, finite, hooked, not_finite
from ..store import write_bytes
from ..tokens import RunWithStates, backward_cost, close, expanded, fixed_prefix, frozen
from ._card import At, Card, merged
from ._linear import LinearLens
from ._published import jacobian_archive

TEXT_SKIP, IMAGE_SKIP = 16, 1
"""Leading positions to leave out: of a text, the published number; of an image prompt, whose first
positions are mostly the image's, one."""

_ROWS, _ROWS_DEVICE = 8, 128
"""Most output dimensions per backward pass: more do not make it faster on a CPU."""


class Jacobian(LinearLens):
    """`softmax(W_U norm(J_l h_l))`, with the matrix J_l of each layer fitted by `JacobianFit`."""

    name = "jacobian"
    _others = ", or in .pt for the published format"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """As `LinearLens.save`; FILE.pt is the published format, which has no place for layer 0."""
        file = as_path(path)
        if file.suffix != ".pt":
            return super().save(file)
        write_bytes(file, jacobian_archive(self.matrices, self.card))
        return file

    @classmethod
    def merge(cls, lenses: Sequence[LinearLens]) -> Jacobian:
        """The lens of all prompts together, from lenses of parts of them.

        Raises:
            InputError: lenses of different models, layers, positions or settings; of the same
                prompts; of an unknown number of prompts; or not all shards of one fit.
        """
        card = merged([lens.card for lens in lenses])
        sums = {layer: torch.zeros(card.d_model, card.d_model) for layer in card.layers}
        for lens in lenses:
            for layer, matrix in lens.matrices.items():
                sums[layer].add_(matrix, alpha=lens.card.n_prompts or 0)
        return cls({layer: total.div_(card.n_prompts or 1) for layer, total in sums.items()}, card)


class JacobianFit:
    """Sums the Jacobians of runs, one run at a time.

        J_l = mean over runs of 1/|S| sum_{t in S} sum_{t' in V} d h_final,t' / d h_l,t

    V are the run's positions but for the first `skip_first` and the last, S those of them with text
    or with visual tokens. Causal attention leaves the targets t' from t on; where an image's tokens
    attend to each other in both directions, earlier targets that t reaches count too. h_final is
    the output of the last block, before the final norm.

    Of an image prompt, the text before the image has far more targets than the answer, and so most
    of the weight: without it (a larger `skip_first`) the lens is another one.

    Attributes:
        n_prompts: number of runs so far.
        sums: for each layer below the last, (d_model, d_model) float32.
    """

    def __init__(
        self,
        adapter: Adapter,
        *,
        at: At = "text",
        skip_first: int = TEXT_SKIP,
        memory: str | int | None = None,
        dim_batch: int | None = None,
    ) -> None:
        """Computes nothing yet.

        Args:
            adapter: of the model.
            at: positions of the sources.
            skip_first: number of leading positions that are neither sources nor targets.
            memory: what one backward pass may take, such as "4GB"; half of what is free if None.
            dim_batch: output dimensions per backward pass; by `memory` if None.

        Raises:
            InputError: an impossible argument, or a model in training mode.
        """
        self.adapter = adapter
        self.at: At = "visual" if one_of(at, ("text", "visual"), "at") == "visual" else "text"
        self.skip_first = whole(skip_first, "skip_first", 0)
        self._limit = budget(memory, adapter.device)
        most = _ROWS if adapter.device.type == "cpu" else _ROWS_DEVICE
        self._most = most if dim_batch is None else whole(dim_batch, "dim_batch", 1)
        self._fixed = dim_batch is not None
        self._state: ModelState = adapter.state()
        self.n_prompts = 0
        self.sums: dict[int, Float[Tensor, "d_model d_model"]] = {}

    def sources(self, run: RunWithStates) -> tuple[int, ...]:
        """The positions whose states are sources; none if the run is too short."""
        visual = {place for image in run.images for place in image.positions}
        wanted = self.at == "visual"
        return tuple(place for place in self._valid(run) if (place in visual) == wanted)

    def add(self, run: RunWithStates) -> None:
        """Adds a run: one forward pass, and a backward pass per `dim_batch` output dimensions.

        Raises:
            InputError: a run without sources, or of another model or another state of this one.
            CapabilityError: the decoder called by itself does not reproduce the run's states, or
                allows no gradients.
            NonFiniteError: the Jacobian is NaN or infinite.
        """
        run.require_current()
        run.adapter.require(self._state, "fit")
        sources = self.sources(run)
        if not sources:
            raise InputError(
                f"expected a run with {self.at} tokens between the first {self.skip_first} "
                f"positions and the last one, got {len(run.embeddings)} positions without any: "
                "take longer prompts, or a smaller skip_first"
            )
        parts = self._jacobians(run, sources)
        if not all(map(finite, parts)):
            raise not_finite(self.adapter.model, "the Jacobian")
        for layer, part in enumerate(parts):
            known = self.sums.get(layer)
            self.sums[layer] = part if known is None else known.to(part.device).add_(part)
        self.n_prompts += 1

    def lens(self, **more: Any) -> Jacobian:
        """The lens of the runs so far.

        Args:
            more: further entries of its card: `model`, `corpus`, `corpus_hash`, `settings`.

        Raises:
            InputError: no runs were added.
        """
        if not self.n_prompts:
            raise InputError("expected at least one run in the fit, got none: add(run) adds one")
        settings = {"skip_first": self.skip_first, **more.pop("settings", {})}
        layers = tuple(sorted(self.sums))
        facts = {"n_prompts": self.n_prompts, "at": self.at, "settings": settings, **more}
        card = Card.of(self.adapter, "jacobian", layers, **facts)
        return Jacobian({layer: self.sums[layer] / self.n_prompts for layer in layers}, card)

    def restore(self, sums: Mapping[int, Tensor], n_prompts: int) -> None:
        """Goes on from the sums of a fit that was stopped."""
        self.sums = {layer: values.clone() for layer, values in sums.items()}
        self.n_prompts = n_prompts

    def _valid(self, run: RunWithStates) -> range:
        return range(self.skip_first, len(run.embeddings) - 1)

    def _jacobians(self, run: RunWithStates, sources: Sequence[int]) -> list[Tensor]:
        # Nothing that precedes the first source depends on one.
        with entering(self.adapter.model):
            prefix = fixed_prefix(run, sources[0])
        n = len(run.embeddings)
        rows = min(self._most, self.adapter.d_model)
        if not self._fixed:
            cost = backward_cost(self.adapter, n - _length(prefix), n)
            rows = max(1, min(rows, self._limit // cost))
        while True:
            try:
                return _jacobians(run, sources, self._valid(run), rows, prefix)
            except (RuntimeError, MemoryError) as error:
                if rows == 1 or not is_out_of_memory(error):
                    raise
            # Outside the handler, whose traceback keeps the failed pass alive.
            rows = self._most = rows // 2
            free_memory()


def _length(prefix: DynamicCache | None) -> int:
    return 0 if prefix is None else prefix.get_seq_length()


def _jacobians(
    run: RunWithStates,
    sources: Sequence[int],
    targets: range,
    rows: int,
    prefix: DynamicCache | None,
) -> list[Float[Tensor, "d_model d_model"]]:
    """One run's matrices, layers 0 to L - 1, `rows` output dimensions per backward pass."""
    width, model, first = run.adapter.d_model, run.adapter.model, _length(prefix)
    with entering(model), frozen(model), torch.enable_grad():
        states, final = _graph(run, rows, prefix)
        found = [torch.empty(width, width, device=state.device) for state in states]
        weights = torch.zeros(len(run.embeddings) - first)
        weights[[place - first for place in sources]] = 1 / len(sources)
        weigh = {state.device: weights.to(state.device) for state in states}
        row = torch.arange(rows, device=final.device)[:, None]
        where = torch.tensor(range(max(0, targets.start - first), targets.stop - first))
        where = where.to(final.device)
        cotangent = torch.zeros_like(final)
        for start in range(0, width, rows):
            stop = min(start + rows, width)
            cotangent.zero_()
            some = row[: stop - start]
            cotangent[some, where, start + some] = 1
            gradients = torch.autograd.grad(
                final, states, cotangent, retain_graph=stop < width, materialize_grads=True
            )
            for matrix, gradient in zip(found, gradients, strict=True):
                part = gradient[: stop - start].float()
                torch.matmul(weigh[part.device], part, out=matrix[start:stop])
    return found


def _graph(
    run: RunWithStates, rows: int, prefix: DynamicCache | None
) -> tuple[list[Float[Tensor, "row token d_model"]], Float[Tensor, "row token d_model"]]:
    """The inputs of all blocks and the output of the last, in a pass of `rows` copies of a run.

    Without the positions of `prefix`.
    """
    adapter, n, first = run.adapter, len(run.embeddings), _length(prefix)
    states: list[Tensor] = []
    last: list[Tensor] = []

    def keep(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        hidden = args[0] if args else kwargs["hidden_states"]
        if states:
            states.append(hidden)
            return None
        # What comes before the first block takes no part, and need not allow gradients.
        states.append(hidden.detach().requires_grad_(True))
        if args:
            return (states[0], *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": states[0]}

    def finish(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        last.append(output[0] if isinstance(output, tuple) else output)

    layers = adapter.decoder.layers
    embeds = run.embeddings.detach()[first:].expand(rows, -1, -1)
    cache = None if prefix is None else expanded(prefix, rows)
    # As in a run: before the hooks that are there already, since they belong to the blocks.
    with hooked(layers, before=keep, prepend=True), hooked(layers[-1:], after=finish):
        adapter.decode(embeds, cache, **adapter.arguments(run.inputs, first, n))
    (final,) = last
    if not close(final[0].detach(), run.hidden(adapter.n_layers)[first:]):
        raise CapabilityError(
            f"{type(adapter.model).__name__}: the decoder called with the run's input does not "
            "reproduce the run's states, so its Jacobian would belong to another function: this "
            "family needs its own adapter"
        )
    if not final.requires_grad:
        raise CapabilityError(
            f"{type(adapter.model).__name__}: the decoder's blocks allow no gradients: load the "
            "model without quantisation, or use another kind of lens"
        )
    return states, final
