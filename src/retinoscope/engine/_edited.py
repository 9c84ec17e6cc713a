"""A whole pass under interventions, with readable states and attention."""

from __future__ import annotations

from ._clean import Clean
from ._forward import ConditionBatch, Trace, forward, new_cache
from ._resolved import ResolvedCondition


def edited_pass(clean: Clean, condition: ResolvedCondition) -> Clean:
    """Runs the plain forward pass of one prompt under one condition."""
    adapter, trace, cache = clean.adapter, Trace(), new_cache(clean.adapter)
    batch = ConditionBatch(adapter, clean.n, [condition])
    embeds = batch.embeds(clean.embeddings)
    arguments = adapter.arguments(clean.inputs, 0, clean.n)
    logits = forward(adapter, embeds, arguments, batch=batch, cache=cache, trace=trace)
    return Clean(
        adapter,
        clean.inputs,
        embeds[0],
        logits[0],
        trace.hidden,
        cache,
        clean.state,
        in_tuples=trace.in_tuples,
    )
