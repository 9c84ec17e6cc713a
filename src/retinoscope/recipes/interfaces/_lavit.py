"""The arms of LaVIT: how many patches are kept, and who chooses them.

Source: Jin et al. 2024 (LaVIT, arXiv 2309.04669). All arms share one tokenizer, and none has a
first stage on captions: the tokenizer needs none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional as F

from ...interfaces import Lavit, Seen, to_pixels
from ..codes import PAINT, TokenizerRecipe, train_painter, train_tokenizer
from ..pocket._bank import AMBIGUOUS, Bank
from ._arm import Arm, Given, Ground, shorter_with
from ._seen import cache_seen
from ._speaking import SPEAK

SHARE = 1 / 3
_TOKENIZER = {"merging": 1, "decoding": 2, "n_codes": 512, "d_code": 16}
_POOLED = 5
_CHOSEN = 20_241
"""Seed of the patches that are kept at random."""


def tokenise(interface: Lavit, ground: Ground) -> None:
    """Trains or restores the tokenizer that all arms share, and the decoder that paints."""
    bank = ground.bank
    seen = cache_seen(interface, bank, ground.work / "seen", ground.report)
    shorter = shorter_with(len(bank))

    def patches(rows: np.ndarray) -> Tensor:
        return seen.rows(rows)["contrastive"][:, 1:]

    tokenizer = train_tokenizer(
        patches,
        len(bank),
        TokenizerRecipe(interface.tokenizer.shape).scaled(shorter),
        name="lavit",
        seed=0,
        work=ground.work,
        report=ground.report,
    )
    interface.tokenizer.load_state_dict(tokenizer.state_dict())
    train_painter(
        interface.painter,
        patches,
        lambda rows: to_pixels(bank.images[rows]),
        len(bank),
        interface.shape.patch,
        PAINT.scaled(shorter),
        work=ground.work,
        report=ground.report,
    )


def random_patches(bank: Bank, share: float, objects_first: bool) -> Bool[np.ndarray, "n patch"]:
    """As many patches of each scene, chosen at random; those of objects before all others."""
    labels = np.asarray(bank.kinds).reshape(len(bank), -1)
    order = np.random.default_rng(_CHOSEN).random(labels.shape)
    if objects_first:
        order += (labels > 0) & (labels != AMBIGUOUS)
    kept = np.zeros(labels.shape, dtype=bool)
    most = np.argsort(-order, axis=1)[:, : round(share * labels.shape[1])]
    np.put_along_axis(kept, most, True, axis=1)
    return kept


def lattice(bank: Bank) -> Bool[np.ndarray, "n patch"]:
    """Every third patch, shifted from row to row."""
    n, rows, columns = bank.kinds.shape
    row, column = np.mgrid[:rows, :columns]
    return np.broadcast_to(((row + column) % 3 == 0).reshape(-1), (n, rows * columns))


def _keeping(choose: Callable[[Bank], Bool[np.ndarray, "n patch"]]) -> Callable[[Bank], Given]:
    """The patches that `choose` names are kept, whatever the selector says."""

    def given(bank: Bank) -> Given:
        kept = choose(bank)
        return lambda rows, seen: {**seen, "keep": torch.from_numpy(kept[rows])}

    return given


def _pooled(bank: Bank) -> Given:
    """Means over 5 x 5 cells of the image stand for patches, and all are kept."""

    def given(rows: np.ndarray, seen: Seen) -> Seen:
        whole = seen["contrastive"]
        grid = whole[:, 1:].mT.unflatten(-1, bank.kinds.shape[1:])
        cells = F.adaptive_avg_pool2d(grid, _POOLED).flatten(2).mT
        keep = torch.ones(cells.shape[:2], dtype=torch.bool)
        return {"contrastive": torch.cat([whole[:, :1], cells], 1), "keep": keep}

    return given


def _arm(what: str, share: float = SHARE, given: Callable[[Bank], Given] | None = None) -> Arm:
    settings = {"tokenizer": _TOKENIZER, "share": share}
    against = () if given is not None else ("lavit-random", "lavit-lattice", "lavit-pooled")
    return Arm(
        "lavit",
        settings,
        what,
        first=None,
        reads_text=False,
        prepare=tokenise,
        against=against,
        given=given,
    )


def _chosen(share: float, objects_first: bool) -> Callable[[Bank], Given]:
    return _keeping(partial(random_patches, share=share, objects_first=objects_first))


_SHARES = {"12th": 1 / 12, "6th": 1 / 6, "half": 1 / 2}

LAVIT_ARMS: dict[str, Arm] = {
    "lavit": _arm("the third of all patches that a learned selector keeps, the others merged in"),
    "lavit-speaks": replace(
        _arm("as lavit, which then also learns to write images in its codes"),
        against=("lavit",),
        speaking=SPEAK,
        reading="lavit",
    ),
    "lavit-random": _arm("a third of each image's patches at random", given=_chosen(SHARE, False)),
    "lavit-lattice": _arm("every third patch", given=_keeping(lattice)),
    "lavit-pooled": _arm("means over 5 x 5 cells", given=_pooled),
    "lavit-oracle": _arm(
        "a third of each image's patches, those of objects first", given=_chosen(SHARE, True)
    ),
    **{
        f"lavit-{name}": _arm(f"as lavit, with 1 / {1 / share:.0f} of all patches", share)
        for name, share in _SHARES.items()
    },
    **{
        f"lavit-random-{name}": _arm(
            f"as lavit-random, with 1 / {1 / share:.0f} of them", share, _chosen(share, False)
        )
        for name, share in _SHARES.items()
    },
    **{
        f"lavit-oracle-{name}": _arm(
            f"as lavit-oracle, with 1 / {1 / share:.0f} of them", share, _chosen(share, True)
        )
        for name, share in _SHARES.items()
    },
}
