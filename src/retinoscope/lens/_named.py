"""The kinds of lens by name."""

from __future__ import annotations

from ..arguments import shown
from ..errors import InputError
from ._kinds import Embedding, Kind, Logit
from ._patchscope import Patchscope

NAMED: dict[str, type[Kind]] = {kind.name: kind for kind in (Logit, Embedding, Patchscope)}
"""The kinds that need nothing but the model, by name."""

FITTED = ("tuned", "jacobian", "contextual")
"""The kinds that are fitted to a model first."""


def kind_of(kind: str | Kind) -> Kind:
    """Returns a kind of lens from its name.

    Raises:
        InputError: an unknown name, or a lens that has to be fitted first.
    """
    if isinstance(kind, Kind):
        return kind
    if kind in NAMED:
        return NAMED[kind]()
    names = ", ".join(NAMED)
    if kind in FITTED:
        raise InputError(
            f"expected {names} or a fitted lens as kind, got {kind!r}, which is fitted to a model: "
            f"`retinoscope fit-lens {kind} MODEL DATA --out FILE`, then kind=rs.lens.load(FILE)"
        )
    raise InputError(f"expected {names} or a fitted lens as kind, got {shown(kind)}")
