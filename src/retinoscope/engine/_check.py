"""The self-check at load: the model behaves as its adapter says."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import CapabilityError
from ..models import Adapter, Capabilities, Inputs, difference, in_turn, quantized
from ._attention_rows import attention_rows
from ._clean import Clean, clean_pass
from ._forward import ConditionBatch, forward, new_cache
from ._incremental import Incremental
from ._recompute import RecomputePlanner
from ._resolved import BlockedEdges, Replacement, ResolvedCondition
from ._steps import IncrementalSteps, PlainSteps

_N = 8
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6}


@in_turn(lambda adapter: adapter.model)
@torch.no_grad()
def self_check(adapter: Adapter, capabilities: Capabilities) -> Capabilities:
    """Runs a few passes over 8 positions of the model's own vocabulary, without an image.

    The adapter's logits must equal those of the model's own forward pass, and so must the lens of
    the last layer; a knocked-out edge must read exactly 0 in the attention row and change the
    logits; incremental counterfactuals and their continuations must equal the reference path's.

    Args:
        adapter: the model's adapter.
        capabilities: the capabilities that the adapter declares.

    Returns:
        The capabilities, without the incremental path if that is not exact.

    Raises:
        CapabilityError: another check failed; the message names it.
    """
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, adapter.embedding.num_embeddings, (_N,), generator=generator)
    inputs = Inputs(ids, (), (), (), None)
    embeds = adapter.embedding(ids.to(adapter.device))
    clean = clean_pass(adapter, inputs, embeds)
    _check_logits(clean)
    if not capabilities.supports("knockout"):
        return capabilities
    layer = _attending(adapter)
    edges = BlockedEdges(np.array([_N - 1]), np.array([1, 2]), frozenset([layer]), None, False)
    conditions = [
        ResolvedCondition(None, (edges,), {}),
        ResolvedCondition(None, (), {}),
        _ablation(embeds),
    ]
    reference = _plain(clean, conditions)
    _check_same(
        adapter,
        reference[0][1],
        clean.logits,
        "a row without interventions",
        "the plain forward pass",
    )
    if torch.equal(reference[0][0], reference[0][1]):
        raise CapabilityError(
            f"{_name(adapter)}: a knocked-out edge changed nothing, so its "
            "attention ignores the mask: load it with attention='eager'"
        )
    if adapter.device.type == "cpu" and quantized(adapter.model) == "4 bits":
        why = (
            "products with 4-bit weights on a CPU depend on the number of rows: the "
            "reference path is used"
        )
        capabilities = capabilities.refusing("incremental", why)
    single = [name for name in ("attention", "incremental") if capabilities.supports(name)]
    if single:
        try:
            clean.arguments(layer, torch.arange(1))
        except CapabilityError as error:
            for name in single:
                capabilities = capabilities.refusing(name, str(error))
            return capabilities
    if capabilities.supports("attention"):
        _check_rows(clean, layer, edges)
    if capabilities.supports("incremental"):
        return _check_incremental(capabilities, clean, conditions, reference)
    return capabilities


def _check_logits(clean: Clean) -> None:
    """Raises `CapabilityError` unless the pass's logits equal the model's own, and the lens's."""
    adapter = clean.adapter
    with adapter.length_rule.fresh():
        plain = adapter.plain_logits(clean.embeddings[None])
    _check_same(
        adapter, clean.logits, plain, "the logits of the adapter's forward pass", "the model's own"
    )
    lens = adapter.read_out(clean.states(adapter.n_layers)[-1])
    _check_same(adapter, lens, clean.logits, "the lens of the last layer", "the logits")


def _check_incremental(
    capabilities: Capabilities,
    clean: Clean,
    conditions: Sequence[ResolvedCondition],
    reference: tuple[Tensor, Tensor],
) -> Capabilities:
    """Returns the capabilities, without the incremental path if it differs from the reference."""
    try:
        passes = zip(
            ("a prompt", "a next token"), _incremental(clean, conditions), reference, strict=True
        )
        for what, logits, expected in passes:
            _check_same(
                clean.adapter,
                logits,
                expected,
                f"the incremental pass over {what}",
                "the plain one",
            )
    # A block called in an unexpected way can raise anything.
    except Exception as error:
        why = f"the self-check at load failed ({error}): the reference path is used"
        return capabilities.refusing("incremental", why)
    return capabilities


def _attending(adapter: Adapter) -> int:
    """Returns the layer with attention that is nearest to the middle.

    Raises:
        CapabilityError: no layer has an attention module under a known name.
    """
    layers = sorted(range(adapter.n_layers), key=lambda layer: abs(layer - adapter.n_layers // 2))
    for layer in layers[:-1]:
        with suppress(CapabilityError):
            adapter.decoder.attention(layer)
            return layer
    adapter.decoder.attention(layers[-1])
    return layers[-1]


def _ablation(embeds: Float[Tensor, "token d_model"]) -> ResolvedCondition:
    positions = torch.tensor([3, 4], device=embeds.device)
    return ResolvedCondition(Replacement(positions, embeds[:2].clone()), (), {})


def _plain(clean: Clean, conditions: Sequence[ResolvedCondition]) -> tuple[Tensor, Tensor]:
    """Returns logits of the prompt's last position, and of one token after it."""
    adapter, inputs = clean.adapter, clean.inputs
    batch, cache = ConditionBatch(adapter, clean.n, conditions), new_cache(adapter)
    arguments = adapter.arguments(inputs, 0, clean.n)
    embeds = batch.embeds(clean.embeddings)
    logits = forward(adapter, embeds, arguments, batch=batch, cache=cache)
    steps = PlainSteps(adapter, inputs, cache, batch)
    return logits, steps.next(inputs.input_ids[: len(conditions)])


def _incremental(clean: Clean, conditions: Sequence[ResolvedCondition]) -> tuple[Tensor, Tensor]:
    """Returns the same on the incremental path."""
    planner = RecomputePlanner(clean)
    needed = [planner.plan(condition) for condition in conditions]
    prompt = Incremental(clean, conditions, needed)
    logits = prompt.logits(keep=True)
    return logits, IncrementalSteps(prompt, 1).next(clean.inputs.input_ids[: len(conditions)])


def _check_rows(clean: Clean, layer: int, edges: BlockedEdges) -> None:
    row = attention_rows(clean, layer, (_N - 1,), (edges,))[:, 0]
    if row[:, 1:3].abs().max() != 0 or not torch.allclose(
        row.float().sum(-1), torch.ones(len(row), device=row.device), atol=1e-2
    ):
        raise CapabilityError(
            f"{_name(clean.adapter)}: a knocked-out edge does not read 0 in the "
            "attention row, so knockouts are not exact on this model"
        )


def _check_same(adapter: Adapter, logits: Tensor, expected: Tensor, what: str, than: str) -> None:
    error = difference(logits, expected)
    # In half precision, two batch shapes already differ in the third digit.
    if not error <= _TOLERANCE.get(adapter.dtype, 5e-2):
        raise CapabilityError(
            f"{_name(adapter)}: {what} differs from {than} by {error:.1e} of the "
            "largest logit: "
            + (
                "its quantised weights give a row different results next to different rows"
                if quantized(adapter.model)
                else "this family needs an adapter of its own"
            )
        )


def _name(adapter: Adapter) -> str:
    return type(adapter.model).__name__
