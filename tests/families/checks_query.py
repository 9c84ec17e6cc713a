"""What families with learned queries or cross-attention have to fulfil, against the library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import retinoscope as rs
from retinoscope.models import Layout

QUESTION = "What is the color of the car?"
SIZES = {
    "square": (48, 48),
    "landscape": (70, 44),
    "portrait": (41, 77),
    "tiny": (5, 4),
    "very long": (300, 14),
}
"""Width and height of images in pixels."""


def picture(size: tuple[int, int] = (60, 40), seed: int = 0) -> Image.Image:
    """A smooth random image."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


Oracle = Callable[[Sequence[Image.Image], str], dict[str, Tensor]]
"""What the family's own processor makes of images and the text behind them."""


def check_forward(vlm: rs.VLM, images: Sequence[Image.Image], oracle: Oracle) -> rs.Run:
    """Same tokens, same logits as the library; lens of the last layer; nothing done is nothing."""
    prompt = vlm.prompt(list(images) or None, QUESTION)
    run = vlm.run(prompt)
    given = oracle(images, prompt.formatted)
    assert given["input_ids"][0].tolist() == run.inputs.input_ids.tolist()
    with torch.no_grad():
        wanted = vlm.model(**given).logits[0, -1].float()
    scale = float(wanted.abs().max())
    assert float((run.logits - wanted).abs().max()) <= 1e-5 * scale
    assert int(run.logits.argmax()) == int(wanted.argmax())
    lens = run.lens(positions="last")
    assert torch.allclose(lens.probs[-1, 0], run.logits.softmax(-1).topk(5).values, atol=1e-5)
    assert torch.equal(run.counterfactuals([()]).logits[0], run.logits)
    words = "".join(run.tokens[place] for place in run.positions["question"].positions)
    assert words.split() == QUESTION.split()
    return run


def check_generate(
    vlm: rs.VLM, images: Sequence[Image.Image], oracle: Oracle, steps: int = 6
) -> None:
    """Greedy generation gives the library's tokens; a run over them gives the same logits."""
    prompt = vlm.prompt(list(images), QUESTION)
    run = vlm.run(prompt)
    given = oracle(images, prompt.formatted)
    made: Any = vlm.model.generate(**given, max_new_tokens=steps, do_sample=False)
    written = run.generate(steps)
    assert written.token_ids.tolist() == made[0, given["input_ids"].shape[1] :].tolist()
    again = written.run()
    at = torch.arange(run.n - 1, again.n - 1)
    with torch.no_grad():
        logits = vlm.adapter.read_out(again.hidden(vlm.n_layers)[at])
    assert written.logits is not None
    assert torch.allclose(logits, written.logits, atol=1e-4 * float(logits.abs().max()))


def check_paths(vlm: rs.VLM, run: rs.Run, chosen: Sequence[Any]) -> None:
    """Every intervention bites, and the path that is taken equals the reference path."""
    found = run.counterfactuals(chosen)
    wanted = run.counterfactuals(chosen, exact="reference")
    claimed = vlm.capabilities.supports("incremental")
    assert set(found.path) == {"incremental" if claimed else "reference"}
    scale = float(run.logits.abs().max())
    assert float((found.logits - wanted.logits).abs().max()) <= 3e-6 * scale
    assert found.logits.argmax(-1).tolist() == wanted.logits.argmax(-1).tolist()
    assert ((wanted.logits - run.logits).abs().amax(-1) > 1e-5 * scale).all()
    one_by_one = [run.counterfactuals([one], exact="reference").logits[0] for one in chosen]
    assert torch.allclose(torch.stack(one_by_one), wanted.logits, atol=3e-6 * scale)
    texts = [[one.token_ids.tolist() for one in kind.generate(4)] for kind in (found, wanted)]
    assert texts[0] == texts[1]


def conditions(run: rs.Run, donor: rs.Run, seed: int) -> list[Any]:
    """Random interventions on visual tokens, alone and together."""
    rng = np.random.default_rng(seed)
    visual = run.positions["image"]
    few = rs.tokens.random(run, n=2, seed=seed)
    rest = visual - few
    layer = int(rng.integers(1, run.adapter.n_layers))
    some = sorted(rng.choice(run.adapter.n_layers, 2, replace=False).tolist())
    return [
        rs.Ablate(few, fill=rs.fill.zero()),
        rs.Ablate(few, fill=rs.fill.noise(seed=seed)),
        rs.Knockout(few, "last", layers=some),
        rs.Knockout(few, "last", layers=some[:1], heads=[0, 3]),
        rs.Knockout(few, run.positions["question"], layers=some),
        rs.Knockout(few, "last+generated"),
        rs.Patch(few, layers=[layer], donor=donor),
        [
            rs.Ablate(few, fill=rs.fill.zero()),
            rs.Knockout(rest, run.positions["question"], layers=some),
            rs.Patch(rs.tokens.random(run, n=2, seed=seed + 1), layers=[layer], donor=donor),
        ],
    ]


def check_rows(run: rs.Run) -> None:
    """A knocked-out edge reads 0 in the attention row, whose other weights add up to 1."""
    few = rs.tokens.random(run, n=2, seed=0)
    for layer in range(run.adapter.n_layers):
        free = run.attention(layer)
        row = run.attention(layer, under=rs.Knockout(few, "last", layers=[layer]))
        assert row[:, :, list(few.positions)].abs().max() == 0
        kept = [place for place in range(run.n) if place not in few.positions]
        share = free[:, :, kept].sum(-1, keepdim=True)
        assert torch.allclose(row[:, :, kept], free[:, :, kept] / share, atol=1e-5)


def check_patches(
    layout: Layout,
    image: Image.Image,
    embedded: Callable[[Image.Image], Tensor],
    n_drawn: int = 6,
) -> None:
    """Changing the pixels of a patch's box changes that patch's embedding most.

    Args:
        embedded: the patch embeddings of an image, in the layout's order, a zero row where the
            layout has something that is no patch.
    """
    before = embedded(image)
    assert len(before) == len(layout)
    placed = np.flatnonzero(~layout.unplaced)
    assert len(placed)
    rng = np.random.default_rng(0)
    for token in rng.choice(placed, min(n_drawn, len(placed)), replace=False):
        box = layout.boxes[token]
        x0, y0 = (int(np.floor(edge + 1e-6)) for edge in box[:2])
        x1, y1 = (int(np.ceil(edge - 1e-6)) for edge in box[2:])
        array = np.array(image)
        array[y0:y1, x0:x1] = 255 - array[y0:y1, x0:x1] // 2
        change = (embedded(Image.fromarray(array)) - before).norm(dim=-1)
        most = int(change.argmax())
        left, top, right, bottom = layout.boxes[most]
        # Where a pixel is larger than a patch, the patch that changes most is any one inside.
        assert x0 <= (left + right) / 2 <= x1, (image.size, token, most)
        assert y0 <= (top + bottom) / 2 <= y1, (image.size, token, most)
        if min(box[2:] - box[:2]) >= 2:
            assert most == token, (image.size, token, most)
        assert not change[torch.from_numpy(layout.unplaced)].any()


def output_of(module: nn.Module, call: Callable[[], Any]) -> Any:
    """The last output of `module` while `call` runs."""
    seen: list[Any] = []
    handle = module.register_forward_hook(lambda _, __, output: seen.append(output))
    try:
        with torch.no_grad():
            call()
    finally:
        handle.remove()
    return seen[-1]
