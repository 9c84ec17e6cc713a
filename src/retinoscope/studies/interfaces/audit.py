"""Which visual tokens an object really changes, and which are said to come from it.

The scene is drawn with and without the object and encoded twice: a token that differs depends on
the object, whatever is declared about it. What is declared is where a token's box lies or, for
learned queries, where they looked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from ...errors import CapabilityError, InputError
from ...stats.maps import mann_whitney
from ...store import Scalar
from ...tokens import region_cover
from .._best import number
from .._sets import Indices, as_indices
from .options import TokenSource

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from ...engine import VLM, Run
    from ...models import SoftOrigin

ROUNDING = 1e-5
"""Relative changes up to this are taken for rounding."""


@dataclass(frozen=True)
class AuditRules:
    """What counts as changed, and how many tokens are an object's own; see `InterfacesOptions`."""

    changed: float
    token_share: float

    def size(self, n: int) -> int:
        """Returns the number of tokens that are taken as an object's, of `n`."""
        return max(1, round(self.token_share * n))


@dataclass(frozen=True, eq=False)
class ObjectAudit:
    """One object in the visual tokens of one interface.

    Attributes:
        item: index of the object.
        mask: pixels that differ between the scene and the scene without the object.
        change: relative change of each token's embedding between the two.
        declared: share of what a token stands for that lies on the mask; None if nothing is known.
        by: what that is known by: "boxes", "attention" or "none".
        distance: of each token's box from the object's centre, in pixels; infinite without a box.
        rules: what counts as changed.
    """

    item: int
    mask: Bool[np.ndarray, "height width"]
    change: Float[np.ndarray, " token"]
    declared: Float[np.ndarray, " token"] | None
    by: str
    distance: Float[np.ndarray, " token"]
    rules: AuditRules

    @cached_property
    def changed(self) -> Bool[np.ndarray, " token"]:
        """The tokens that have really changed."""
        return self.change > max(ROUNDING, self.rules.changed * float(self.change.max()))

    @property
    def size(self) -> int:
        return self.rules.size(len(self.change))

    def sets(self, rng: np.random.Generator) -> dict[TokenSource, Indices]:
        """Returns as many tokens by each rule: declared, really changed, random others.

        Of tokens declared alike, those nearest to the object come first, as rings around it do.
        Random ones are left out if too few others are left.
        """
        sets: dict[TokenSource, Indices] = {}
        if self.declared is not None:
            order = np.lexsort((self.distance, -self.declared))
            sets["declared"] = as_indices(order[: self.size])
        order = np.argsort(-self.change, kind="stable")
        sets["changed"] = as_indices(order[: self.size])
        others = np.setdiff1d(np.arange(len(self.change)), np.concatenate([*sets.values()]))
        if len(others) >= self.size:
            sets["random"] = as_indices(rng.choice(others, self.size, replace=False))
        return sets

    @property
    def columns(self) -> dict[str, Scalar]:
        """The audit as columns of a row; undefined numbers are None."""
        changed, total = self.changed, float(self.change.sum())
        largest = float(np.sort(self.change)[-self.size :].sum())
        auc = rank = float("nan")
        if self.declared is not None:
            auc = mann_whitney(self.declared[changed], self.declared[~changed])
            rank = _rank_correlation(self.declared, self.change)
        return {
            "declared_by": self.by,
            "auc": number(auc),
            "rank": number(rank),
            "concentration": largest / total if total else None,
            "n_changed": int(changed.sum()),
            "n_tokens": len(self.change),
        }


def audit_objects(
    vlm: VLM, run: Run, bare: Mapping[int, Image.Image], image: Image.Image, rules: AuditRules
) -> list[ObjectAudit]:
    """Audits each object of a scene; one that shows no pixel is left out.

    Args:
        vlm: the interface with its language model.
        run: of any prompt about the scene.
        bare: index of an object -> the scene without it.
        image: the scene.
        rules: what counts as changed.

    Raises:
        InputError: the number of visual tokens depends on the image.
        CapabilityError: the model's visual tokens depend on the prompt, or have no positions.
    """
    pixels = np.asarray(image)
    masks = {item: (np.asarray(other) != pixels).any(-1) for item, other in bare.items()}
    shown = {item: mask for item, mask in masks.items() if mask.any()}
    if not shown:
        return []
    # One at a time, so that rounding does not depend on the place in a batch.
    whole = vlm.encode([image])[0].float()
    origin = _soft_origin(run)
    return [
        ObjectAudit(
            item,
            mask,
            _change(whole, vlm.encode([bare[item]])[0].float()),
            *_declared(run, mask, origin),
            _distance(run, mask),
            rules,
        )
        for item, mask in shown.items()
    ]


def _change(whole: Tensor, without: Tensor) -> Float[np.ndarray, " token"]:
    if whole.shape != without.shape:
        raise InputError(
            f"expected as many visual tokens with an object as without it, got {len(whole)} and "
            f"{len(without)}: tokens whose number depends on the image cannot be audited"
        )
    size = whole.norm(dim=-1).clamp(min=1e-12)
    return ((whole - without).norm(dim=-1) / size).double().cpu().numpy()


def _soft_origin(run: Run) -> SoftOrigin | None:
    """Returns where learned queries looked; None for tokens with boxes, or of unknown origin."""
    layout = run.image.layout
    if layout.why or not layout.unplaced.all():
        return None
    try:
        return run.soft_origin()
    except CapabilityError:
        return None


def _declared(
    run: Run, mask: np.ndarray, origin: SoftOrigin | None
) -> tuple[Float[np.ndarray, " token"] | None, str]:
    if origin is not None:
        cover = region_cover(mask, origin.layout.size, origin.layout.boxes)
        return origin.weights.double().cpu().numpy() @ cover, "attention"
    if run.image.layout.why or run.image.layout.unplaced.all():
        return None, "none"
    return run.image.cover(mask), "boxes"


def _distance(run: Run, mask: np.ndarray) -> Float[np.ndarray, " token"]:
    rows, columns = np.nonzero(mask)
    x, y = columns.mean() + 0.5, rows.mean() + 0.5
    x0, y0, x1, y1 = run.image.boxes.T
    return np.nan_to_num(np.hypot((x0 + x1) / 2 - x, (y0 + y1) / 2 - y), nan=np.inf)


def _rank_correlation(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    """Spearman's; NaN if all values of one are equal."""
    from scipy.stats import rankdata

    first, second = rankdata(a), rankdata(b)
    if not first.std() or not second.std():
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])
