"""Fitted lenses in files; see `load`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..arguments import path as as_path
from ..errors import InputError
from ..models import Adapter
from ._card import Card
from ._context_card import ContextCard, is_index
from ._contextual import Contextual
from ._fitted import FittedLens
from ._jacobian import Jacobian
from ._linear import CARD, LinearLens
from ._published import read_jacobian, read_tuned
from ._tuned import Tuned

_KINDS: dict[str, type[LinearLens]] = {kind.name: kind for kind in (Jacobian, Tuned)}


def load(path: str | os.PathLike[str], model: Any = None) -> FittedLens:
    """Reads a fitted lens, for `run.lens(kind=...)`.

    Args:
        path: FILE.safetensors as written by `save` and `retinoscope fit-lens`; FILE.pt in the
            published format of Jacobian lenses, or a checkpoint of such a fit; a folder written by
            tuned-lens; or an index of contexts. From PyTorch archives (.pt) only tensors, numbers
            and texts are read.
        model: a model from `retinoscope.load`, or its adapter, to which the lens must belong; None
            to check that only when the lens is used.

    Raises:
        InputError: no such lens, a damaged one, one that would run code, or one of another model.
    """
    file = as_path(path)
    lens = Contextual.open(file) if is_index(file) else _linear(file)
    if model is not None:
        adapter: Adapter = getattr(model, "adapter", model)
        adapter.state()
        lens.check(adapter)
    return lens


def _linear(file: Path) -> LinearLens:
    if file.is_dir():
        return Tuned(*read_tuned(file))
    if not file.is_file():
        raise InputError(f"expected the file or folder of a lens, got {file}, which does not exist")
    return _read(file) if file.suffix == ".safetensors" else Jacobian(*read_jacobian(file))


def read_card(path: str | os.PathLike[str]) -> Card:
    """The card of a lens, without reading its matrices where the format allows.

    Raises:
        InputError: as `load`.
    """
    file = as_path(path)
    if is_index(file):
        return ContextCard.read(file).card
    if file.suffix == ".safetensors" and file.is_file():
        with _opened(file) as opened:
            return _card_in(file, opened.metadata())
    return _linear(file).card


def _opened(file: Path) -> Any:
    try:
        return safe_open(file, "pt")
    except (OSError, SafetensorError) as error:
        raise InputError(f"{file}: expected a lens, got a damaged file: {error}") from error


def _card_in(file: Path, metadata: Mapping[str, str] | None) -> Card:
    if not metadata or CARD not in metadata:
        raise InputError(
            f"{file}: expected a lens fitted by `retinoscope fit-lens`, got other tensors"
        )
    return Card.from_json(metadata[CARD])


def _read(file: Path) -> LinearLens:
    with _opened(file) as opened:
        card = _card_in(file, opened.metadata())
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    if card.kind not in _KINDS:
        raise InputError(f"{file}: expected a {' or '.join(_KINDS)} lens, got {card.kind!r}")
    return _KINDS[card.kind](_under(tensors, "matrix."), card, _under(tensors, "bias."))


def _under(tensors: Mapping[str, Tensor], start: str) -> dict[int, Tensor]:
    rests = {name.removeprefix(start): name for name in tensors if name.startswith(start)}
    # "00" would stand for layer 0 as well.
    return {
        int(rest): tensors[name]
        for rest, name in rests.items()
        if rest.isdecimal() and rest == str(int(rest))
    }
