"""Hooks that a user has put on the blocks act as they do in the library's own forward pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from checks import QUESTION, oracle, picture
from row import over
from table import FAMILY

import retinoscope as rs


def _scaled(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
    return output * 1.5


def _moved(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if args:
        return (args[0] * 1.2 + 0.1, *args[1:]), kwargs
    return args, {**kwargs, "hidden_states": kwargs["hidden_states"] * 1.2 + 0.1}


@pytest.mark.parametrize("when", ["load", "later"])
@pytest.mark.parametrize("block", [0, 1])
@pytest.mark.parametrize("kind", ["output", "input"])
@over([FAMILY["LLaVA-1.5"], FAMILY["Qwen3-VL"]])
def test_hooks_on_a_block(row, kind, block, when):
    model, processor = row.model(), row.processor()
    layer = model.model.language_model.layers[block]
    vlm = None if when == "load" else rs.load(model=model, processor=processor)
    with torch.no_grad():
        if kind == "output":
            layer.register_forward_hook(_scaled)
        else:
            layer.register_forward_pre_hook(_moved, with_kwargs=True)
    vlm = vlm or rs.load(model=model, processor=processor)
    run = vlm.run(vlm.prompt([picture()], QUESTION))
    with torch.no_grad():
        plain = vlm.model(**oracle(row, vlm, [picture()])).logits[0, -1].float()
    scale = float(plain.abs().max())
    assert float((run.logits - plain).abs().max()) <= 1e-5 * scale
    tokens = run.image.at(range(6))
    donor = vlm.run(vlm.prompt([picture(seed=4)], QUESTION))
    asked = [
        (),
        rs.Ablate(tokens, rs.fill.zero()),
        rs.Knockout(tokens, "last"),
        *(rs.Patch(tokens, [level], donor) for level in (0, 1, 2, vlm.n_layers)),
    ]
    found = run.counterfactuals(asked)
    wanted = run.counterfactuals(asked, exact="reference")
    assert set(found.path) == {"incremental"}
    assert float((found.logits - wanted.logits).abs().max()) <= 1e-4 * scale
    assert float((wanted.logits[0] - plain).abs().max()) <= 1e-5 * scale
