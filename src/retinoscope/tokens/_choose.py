"""Token sets by norm and at random."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .. import arguments
from ..errors import InputError
from ..models import Adapter, Inputs
from ._set import Positions, TokenSet
from ._visual import VisualTokens


class RunLike(Protocol):
    """The attributes of a run that token sets need."""

    @property
    def adapter(self) -> Adapter: ...
    @property
    def inputs(self) -> Inputs: ...
    @property
    def sequence(self) -> Positions: ...
    @property
    def embeddings(self) -> Float[Tensor, "token d_model"]: ...
    @property
    def images(self) -> tuple[VisualTokens, ...]: ...

    def require_current(self) -> None: ...


def require_run(run: object, what: str = "a run") -> None:
    """Raises `InputError` unless `run` is a run; `what` describes what was expected."""
    if not isinstance(getattr(run, "sequence", None), Positions) or not hasattr(run, "inputs"):
        raise InputError(f"expected {what}, got {arguments.shown(run)}: vlm.run(prompt) makes one")


def visual(run: RunLike) -> TokenSet:
    """All visual tokens of all images of a run.

    Raises:
        InputError: a run without an image.
        CapabilityError: a family whose visual tokens have no positions.
    """
    require_run(run)
    positions = [position for image in run.images for position in image.positions]
    if not positions:
        raise run.adapter.no_visual(run.inputs)
    return TokenSet.of(run.sequence, positions, positions)


def registers(run: RunLike, sigmas: float = 2.0) -> TokenSet:
    """Visual tokens with an unusually large norm within their image; possibly none.

    The L2 norm of the embedding that the decoder receives exceeds the mean by more than `sigmas`
    times the unbiased standard deviation over the image's visual tokens.

    Raises:
        InputError: a run without an image, or `sigmas` that is not a finite number.

    Source: Darcet et al. 2023, as used by Neo et al. 2024, section 3.
    """
    sigmas = arguments.number(sigmas, "sigmas")
    everything = visual(run)
    chosen: list[int] = []
    for image in run.images:
        norms = image.embeddings.float().norm(dim=-1)
        high = norms > norms.mean() + sigmas * norms.std()
        chosen += [image.positions[int(index)] for index in high.nonzero()[:, 0]]
    return TokenSet.of(run.sequence, chosen, everything.positions)


def random(run: RunLike, n: int, seed: int, exclude: TokenSet | None = None) -> TokenSet:
    """`n` visual tokens drawn without replacement; a seed gives the same ones on every machine.

    Args:
        exclude: tokens not to draw.

    Raises:
        InputError: fewer than `n` visual tokens to draw from, or `n` below 1.
    """
    everything = visual(run)
    pool = everything if exclude is None else everything - exclude
    if not len(pool):
        raise InputError("expected tokens to draw from, got none: exclude fewer")
    n = arguments.whole(n, "n", 1, len(pool))
    drawn = np.random.default_rng(arguments.seed(seed)).choice(
        np.array(pool.positions), n, replace=False
    )
    return TokenSet.of(run.sequence, drawn.tolist(), everything.positions)


def top(run: RunLike, scores: Float[Tensor, " token"], n: int) -> TokenSet:
    """The `n` visual tokens with the largest of `scores`, one score per visual token of all images.

    Raises:
        InputError: not as many scores as visual tokens, or `n` greater than their number.
    """
    everything = visual(run)
    positions = [position for image in run.images for position in image.positions]
    shape = getattr(scores, "shape", None)
    if not isinstance(scores, Tensor) or shape != (len(positions),):
        got = arguments.shown(scores) if shape is None else f"{tuple(shape)}"
        raise InputError(f"expected a tensor of {len(positions)} scores, got {got}")
    n = arguments.whole(n, "n", 1, len(positions))
    order = torch.argsort(scores, descending=True, stable=True)[:n]
    return TokenSet.of(
        run.sequence, (positions[int(index)] for index in order), everything.positions
    )
