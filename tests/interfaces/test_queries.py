"""Queries differ when training begins: alike ones would get the same gradients, and stay alike."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from retinoscope.interfaces import build_interface, to_pixels

TOWER = {"image": 144, "patch": 16, "width": 64, "layers": 2, "heads": 2, "ff": 64}


@pytest.mark.parametrize(
    ("name", "settings"),
    [("qformer", {}), ("lyrics", {}), ("x-former", {}), ("x-former", {"fusion": "concat"})],
)
def test_untrained_queries_are_unlike(name: str, settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    made: Any = build_interface(name, {"tower": TOWER, **settings}, 32).eval()
    made.start_queries()
    pixels = to_pixels(torch.randint(0, 256, (2, 144, 144, 3), dtype=torch.uint8).numpy())
    with torch.no_grad():
        queries = torch.nn.functional.normalize(made.queries(made.see(pixels)), dim=-1)
    alike = (queries @ queries.mT).triu(1)
    assert alike.max() < 0.6
