"""A whole pass under interventions, for what is read inside it."""

from __future__ import annotations

from ._clean import Clean
from ._forward import Batch, Trace, forward, new_cache
from ._plan import Plan


def edited_pass(clean: Clean, plan: Plan) -> Clean:
    """The plain forward pass of one prompt under one condition."""
    adapter, trace, cache = clean.adapter, Trace(), new_cache(clean.adapter)
    batch = Batch(adapter, clean.n, [plan])
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
