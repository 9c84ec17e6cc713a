"""The tokens that the released code assigns to each object, beside the exact ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ..answers.tasks import DESCRIBE
from ..data import Sample
from ..errors import CapabilityError
from ..store import write_bytes
from ..tokens import region_cover
from ..tokens.released import released_side, released_tokens

if TYPE_CHECKING:
    from ..engine import VLM


def masks_of(vlm: VLM, samples: Sequence[Sample], file: Path) -> None:
    """Writes the released code's tokens of every object as pixels, one inside each token's box.

    A mask of these pixels selects exactly those tokens. A file written for this model and these
    samples is kept. Samples that cannot be read are left out; the study records an error for them.

    Raises:
        CapabilityError: the model's visual tokens do not form a square grid, which the released
            code requires.
        MissingExtraError: as `released_tokens`.
    """
    of = [vlm.fingerprint, str(getattr(samples, "fingerprint", ""))]
    if file.exists() and json.loads(file.read_bytes())["of"] == of:
        return
    marks: dict[str, list[list[list[int]]]] = {}
    n_exact = n_released = shared = either = 0
    for index in range(len(samples)):
        try:
            sample = samples[index]
        except Exception:
            continue
        layout = vlm.prompt(sample.image, DESCRIBE).inputs.layouts[0]
        n = released_side(layout)
        points = []
        for obj in sample.objects:
            released = released_tokens(obj, sample.image.size, n)
            chosen = released[layout.rows, layout.columns]
            exact = region_cover(obj.mask, layout.size, layout.boxes) > 0
            points.append([_inside(box) for box in layout.boxes[chosen]])
            n_exact, n_released = n_exact + int(exact.sum()), n_released + int(chosen.sum())
            shared += int((exact & chosen).sum())
            either += int((exact | chosen).sum())
        marks[sample.id] = points
    objects = sum(len(points) for points in marks.values())
    facts = {
        "of": of,
        "marks": marks,
        "objects": objects,
        "tokens_exact": n_exact,
        "tokens_released": n_released,
        "shared": shared,
        "either": either,
    }
    write_bytes(file, (json.dumps(facts, sort_keys=True) + "\n").encode("utf-8"))


def _inside(box: Float[np.ndarray, " 4"]) -> list[int]:
    """Returns a pixel that lies wholly inside a box."""
    x0, y0, x1, y1 = box.tolist()
    x, y = ceil(x0), ceil(y0)
    if x + 1 > x1 + 1e-9 or y + 1 > y1 + 1e-9:
        raise CapabilityError(
            "a visual token of this model is smaller than a pixel of the image: the tokens that "
            "the released code chooses cannot be marked"
        )
    return [x, y]
