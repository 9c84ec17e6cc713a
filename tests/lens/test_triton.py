"""The fused kernel against the CPU path: on CUDA, or in triton's interpreter.

TRITON_INTERPRET=1 python -m pytest tests/lens/test_triton.py
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch

from retinoscope import CapabilityError
from retinoscope.lens._fused import fused_read_out
from retinoscope.lens._head import VocabularyHead
from retinoscope.lens._stream import read_out

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HERE = importlib.util.find_spec("triton") is not None and (
    DEVICE == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"
)

needs_triton = pytest.mark.skipif(not HERE, reason="needs triton, and CUDA or its interpreter")


@needs_triton
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("vocabulary", "rows", "width", "top_k", "bias", "cap"),
    [(1500, 70, 48, 5, False, None), (1029, 3, 40, 7, True, 3.0), (60, 64, 64, 1, True, None)],
)
def test_the_kernel_is_the_cpu_path(
    make_head: Callable[..., Any],
    dtype: torch.dtype,
    vocabulary: int,
    rows: int,
    width: int,
    top_k: int,
    bias: bool,
    cap: float | None,
) -> None:
    if dtype == torch.bfloat16 and DEVICE == "cpu":
        pytest.skip("triton's interpreter multiplies the bits of bfloat16 as integers")
    options = {"width": width, "bias": bias, "cap": cap, "dtype": dtype}
    wanted_of = make_head(vocabulary, **options)
    head = make_head(vocabulary, device=DEVICE, **options)
    states = wanted_of.states(rows)
    wanted = read_out(VocabularyHead(wanted_of), states, top_k, [3])
    found = fused_read_out(VocabularyHead(head), states.to(DEVICE), top_k, [3])
    close = 1e-5 if dtype == torch.float32 else 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(found.scores.cpu(), wanted.scores, rtol=close, atol=close)
    torch.testing.assert_close(found.log_sums.cpu(), wanted.log_sums, rtol=close, atol=close)
    whole = wanted_of.read_out(states)
    torch.testing.assert_close(
        whole.gather(1, found.ids.cpu()), wanted.scores, rtol=close, atol=close
    )
    assert all(len(set(row)) == top_k for row in found.ids.tolist())
    assert found.ranks.shape == (1, rows)


@pytest.mark.skipif(HERE, reason="the kernel runs here")
def test_where_the_kernel_cannot_run_it_is_refused(make_head: Callable[..., Any]) -> None:
    head = make_head(100)
    with pytest.raises(CapabilityError, match=r"CUDA.*kernel='torch'|needs triton"):
        fused_read_out(VocabularyHead(head), head.states(3), 5)


@needs_triton
def test_what_the_kernel_does_not_do_is_refused(make_head: Callable[..., Any]) -> None:
    head = make_head(100, device=DEVICE)
    with pytest.raises(CapabilityError, match="top_k=33"):
        fused_read_out(VocabularyHead(head), head.states(3), 33)
    head.unembedding.register_forward_hook(lambda module, given, out: out * 2)
    with pytest.raises(CapabilityError, match=r"plain nn\.Linear"):
        fused_read_out(VocabularyHead(head), head.states(3), 5)
