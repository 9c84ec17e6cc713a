"""Half precision: no path adds an error to the one that the model's own forward pass has."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from checks import QUESTION, conditions, picture
from row import SOME, Row, over
from table import ROWS

import retinoscope as rs

DTYPES = (torch.float16, torch.bfloat16)
IMAGES = [picture((70, 40), seed) for seed in (0, 9)]


def loaded(row: Row, dtype: torch.dtype) -> tuple[rs.VLM, rs.VLM]:
    """A model in half precision, and the same rounded weights in float32."""
    half = row.model().to(dtype).eval()
    processor = row.processor()
    exact = deepcopy(half).float()
    return rs.load(model=half, processor=processor), rs.load(model=exact, processor=processor)


def effects(vlm: rs.VLM, row: Row, path: str) -> tuple[rs.Run, torch.Tensor]:
    run, donor = (vlm.run(vlm.prompt([image], QUESTION)) for image in IMAGES)
    chosen = [one for seed in (0, 1) for one in conditions(row, run, donor, seed)]
    return run, run.counterfactuals(chosen, exact=path).logits


# Where a selector chooses, rounding may tip which visual tokens there are.
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype)[6:])
@over([row for row in ROWS if row.places != SOME])
def test_the_fast_path_is_as_near_to_float32_as_the_plain_one(row, dtype):
    half, exact = loaded(row, dtype)
    _, wanted = effects(exact, row, "reference")
    run, plain = effects(half, row, "reference")
    _, fast = effects(half, row, "incremental")
    scale = float(wanted.abs().max())
    noise = float((plain - wanted).abs().max())
    assert 0 < noise < 0.15 * scale
    # The largest of many differences, each of them noise: not the same ones on every processor.
    assert float((fast - wanted).abs().max()) <= 3 * noise
    assert half.capabilities.methods == exact.capabilities.methods
    assert run.logits.dtype == torch.float32
    lens = run.lens(positions="last")
    # The head's product of one row and that of several round to different last digits.
    assert torch.allclose(lens.probs[-1, 0], run.logits.softmax(-1).topk(5).values, atol=1e-3)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype)[6:])
@over([row for row in ROWS if row.places == SOME])
def test_what_chooses_its_tokens_runs_in_half_precision(row, dtype):
    half = row.model().to(dtype).eval()
    vlm = rs.load(model=half, processor=row.processor())
    run = vlm.run(vlm.prompt([IMAGES[0]], QUESTION))
    assert run.image.embeddings.dtype == dtype
    assert bool(run.logits.isfinite().all())
