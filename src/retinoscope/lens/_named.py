"""The kinds of lens by name."""

from __future__ import annotations

from typing import Literal, get_args

from ..arguments import shown
from ..errors import InputError
from ._kinds import Embedding, Kind, Logit
from ._patchscope import Patchscope

NAMED: dict[str, type[Kind]] = {kind.name: kind for kind in (Logit, Embedding, Patchscope)}
"""The kinds that need nothing but the model, by name."""

FittedKind = Literal["tuned", "jacobian", "contextual"]
FITTED: tuple[FittedKind, ...] = get_args(FittedKind)
"""The kinds that are fitted to a model first."""


def fit_command(kind: str) -> str:
    """The command that fits a lens of a kind; empty for a kind that needs nothing but the model."""
    out = "FOLDER" if kind == "contextual" else "FILE"
    return f"retinoscope fit-lens {kind} MODEL DATA --out {out}" if kind in FITTED else ""


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
            f"`{fit_command(kind)}`, then kind=rs.lens.load(...), or --lenses on the command line"
        )
    raise InputError(f"expected {names} or a fitted lens as kind, got {shown(kind)}")
