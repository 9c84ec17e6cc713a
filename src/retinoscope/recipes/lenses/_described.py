"""What a fitted lens is, in words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ...lens import read_card

_LOSSES = ("held_out_kl_before", "held_out_kl_after")


def described(path: str | os.PathLike[str]) -> dict[str, str]:
    """The card of a lens as names and texts, to be printed.

    Raises:
        InputError: no lens, or a damaged one.
    """
    card = read_card(path)
    known = "the file does not say"
    facts: dict[str, Any] = {
        "kind": card.kind,
        "model": card.model or known,
        "weights": card.fingerprint or known,
        "precision": card.dtype or known,
        "layers": f"{_span(card.layers)} of {card.n_layers or 'an unknown number'}",
        "d_model": card.d_model,
        "prompts": card.n_prompts or known,
        "fitted at": card.at or ("all positions" if card.fingerprint else known),
        "corpus": card.corpus or known,
        "corpus hash": card.corpus_hash or known,
    }
    facts |= {k.replace("_", " "): v for k, v in card.settings.items() if k not in _LOSSES}
    if set(_LOSSES) <= set(card.settings):
        before, after = (card.settings[name] for name in _LOSSES)
        facts["held-out KL"] = "; ".join(
            f"layer {layer} {one:.3f} -> {other:.3f}"
            for layer, one, other in zip(card.layers, before, after, strict=True)
        )
    facts["retinoscope"] = card.version or known
    return {name: str(value) for name, value in facts.items()}


def _span(layers: Sequence[int]) -> str:
    """ "1 to 5", or each number where some are left out; "all" where none was fitted."""
    if len(layers) > 1 and tuple(layers) == tuple(range(layers[0], layers[-1] + 1)):
        return f"{layers[0]} to {layers[-1]}"
    return ", ".join(map(str, layers)) or "all"
