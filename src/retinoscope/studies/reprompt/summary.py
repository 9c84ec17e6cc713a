"""Which rows each summary of the study looks at together."""

from __future__ import annotations

from .._partition import ITEM, Partition
from .estimates import summarise_reprompt, summary_order

SUMMARY = Partition(
    summarise_reprompt,
    ("selector", "share"),
    # A share with and without its random control: few rows enough to be one part.
    lambda selector, share: None if selector is None else "all",
    (
        *(*ITEM, "correct", "probability", "n_kept", "union", "n_context", "n_visual"),
        *("context_bytes", "whole_bytes"),
    ),
    summary_order,
)
EXTRAS: dict[str, Partition] = {}
