"""What every family has to fulfil, held against the library's own forward pass and generation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import retinoscope as rs

QUESTION = "What is the color of the cat"
SIZES = {
    "square": (48, 48),
    "landscape": (70, 44),
    "portrait": (41, 77),
    "tiny": (5, 4),
    "very long": (300, 14),
}
"""Width and height of images in pixels."""

Patches = Callable[[Tensor], Tensor]
"""Output of the vision tower's patch embedding -> (n_visual, numbers) by visual token."""


def picture(size: tuple[int, int] = (60, 40), seed: int = 0) -> Image.Image:
    """A smooth random image."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def oracle(vlm: rs.VLM, images: Sequence[Image.Image], text: str = QUESTION) -> dict[str, Tensor]:
    """What the family's own processor makes of the same prompt."""
    written = vlm.adapter.format(text, len(images), None).text
    call: Any = vlm.processor
    done = call(text=[written], images=list(images), return_tensors="pt")
    return {name: value for name, value in done.items() if name != "labels"}


def layers_of(vlm: rs.VLM) -> list[int]:
    """The layers that attend."""
    attending = getattr(vlm.adapter.decoder, "attending", range(vlm.n_layers))
    return list(attending)


def check_forward(vlm: rs.VLM, images: Sequence[Image.Image]) -> rs.Run:
    """Same tokens, same logits as the library; lens of the last layer; nothing done is nothing."""
    run = vlm.run(vlm.prompt(list(images), QUESTION))
    given = oracle(vlm, images)
    assert given["input_ids"][0].tolist() == run.inputs.input_ids.tolist()
    with torch.no_grad():
        wanted = vlm.model(**given).logits[0, -1].float()
    scale = float(wanted.abs().max())
    assert float((run.logits - wanted).abs().max()) <= 1e-5 * scale
    assert int(run.logits.argmax()) == int(wanted.argmax())
    lens = run.lens(positions="last")
    assert torch.allclose(lens.probs[-1, 0], run.logits.softmax(-1).topk(5).values, atol=1e-5)
    assert torch.equal(run.counterfactuals([()]).logits[0], run.logits)
    reference = run.counterfactuals([()], exact="reference")
    assert torch.allclose(reference.logits[0], run.logits, atol=1e-5 * scale)
    words = "".join(run.tokens[place] for place in run.positions["question"].positions)
    assert words.split() == QUESTION.split()
    return run


def check_generate(vlm: rs.VLM, images: Sequence[Image.Image], steps: int = 6) -> None:
    """Greedy generation gives the library's tokens; a run over them gives the same logits."""
    run = vlm.run(vlm.prompt(list(images), QUESTION))
    given = oracle(vlm, images)
    made: Any = vlm.model.generate(**given, max_new_tokens=steps, do_sample=False)
    ids = given["input_ids"][0]
    wanted = made[0, len(ids) :].tolist()
    written = run.generate(steps)
    assert written.token_ids.tolist() == wanted
    again = written.run()
    at = torch.tensor(range(run.n - 1, again.n - 1))
    normed = vlm.adapter.decoder.final_norm(again.hidden(vlm.n_layers)[at])
    logits = vlm.adapter.unembed(normed).detach()
    assert written.logits is not None
    assert torch.allclose(logits, written.logits, atol=1e-4 * float(logits.abs().max()))
    config = vlm.adapter.generator.generation_config
    config.repetition_penalty = 1.7
    try:
        made = vlm.model.generate(**given, max_new_tokens=steps, do_sample=False)
        assert run.generate(steps).token_ids.tolist() == made[0, len(ids) :].tolist()
    finally:
        config.repetition_penalty = None


def conditions(vlm: rs.VLM, run: rs.Run, donor: rs.Run, seed: int = 0) -> list[Any]:
    """Random interventions, alone and together."""
    rng = np.random.default_rng(seed)
    layers = layers_of(vlm)
    visual = run.positions["image"]
    few = rs.tokens.random(run, n=max(1, len(visual) // 4), seed=seed)
    rest = visual - few
    layer = int(rng.integers(1, vlm.n_layers))
    some = sorted(rng.choice(layers, 2, replace=False).tolist())
    return [
        rs.Ablate(few, fill=rs.fill.zero()),
        rs.Ablate(few, fill=rs.fill.noise(seed=seed)),
        rs.Knockout(few, "last", layers=some),
        rs.Knockout(few, "last", layers=some[:1], heads=[0, 3]),
        rs.Knockout(few, run.positions["question"], layers=some),
        rs.Knockout(few, "last+generated", layers=layers),
        rs.Patch(few, layers=[layer], donor=donor),
        [
            rs.Ablate(few, fill=rs.fill.zero()),
            rs.Knockout(rest, run.positions["question"], layers=some),
            rs.Patch(rs.tokens.random(run, n=2, seed=seed + 1), layers=[layer], donor=donor),
        ],
    ]


def check_paths(vlm: rs.VLM, images: Sequence[Image.Image], *, windows: bool = False) -> None:
    """Every intervention bites, and the path that is taken equals the reference path.

    Args:
        windows: some blocks cannot see the image anyway, so that a knockout there does nothing.
    """
    run = vlm.run(vlm.prompt(list(images), QUESTION))
    others = [picture(image.size, seed=9 + i) for i, image in enumerate(images)]
    donor = vlm.run(vlm.prompt(others, QUESTION))
    for seed in (0, 1):
        chosen = conditions(vlm, run, donor, seed)
        found = run.counterfactuals(chosen)
        wanted = run.counterfactuals(chosen, exact="reference")
        claimed = vlm.capabilities.supports("incremental")
        assert set(found.path) == {"incremental" if claimed else "reference"}
        scale = float(run.logits.abs().max())
        assert float((found.logits - wanted.logits).abs().max()) <= 1e-4 * scale
        assert found.logits.argmax(-1).tolist() == wanted.logits.argmax(-1).tolist()
        moved = (wanted.logits - run.logits).abs().amax(-1)
        assert (moved > 1e-4 * scale).float().mean() > (0.4 if windows else 0.99)
        texts = [[one.token_ids.tolist() for one in kind.generate(4)] for kind in (found, wanted)]
        assert texts[0] == texts[1]


def check_rows(vlm: rs.VLM, images: Sequence[Image.Image]) -> None:
    """A knocked-out edge reads 0 in the attention row, whose other weights add up to 1."""
    run = vlm.run(vlm.prompt(list(images), QUESTION))
    few = rs.tokens.random(run, n=3, seed=0)
    for layer in layers_of(vlm):
        free = run.attention(layer)
        row = run.attention(layer, under=rs.Knockout(few, "last", layers=[layer]))
        assert row[:, :, list(few.positions)].abs().max() == 0
        assert torch.allclose(row.sum(-1), torch.ones(vlm.n_heads, 1), atol=1e-5)
        kept = [place for place in range(run.n) if place not in few.positions]
        share = free[:, :, kept].sum(-1, keepdim=True)
        assert torch.allclose(row[:, :, kept], free[:, :, kept] / share, atol=1e-5)


def check_layout(
    vlm: rs.VLM,
    module: nn.Module,
    patches: Patches,
    sizes: Sequence[tuple[int, int]],
    *,
    cropped: bool = False,
) -> None:
    """Changing the pixels of a token's box changes that token's patches most.

    Args:
        cropped: parts of an image are in no box.
    """
    for size in sizes:
        image = picture(size)
        prompt = vlm.prompt([image], QUESTION)
        (layout,) = prompt.inputs.layouts
        assert layout.size == size
        before = _embedded(vlm, module, patches, image)
        assert len(before) == len(layout) == len(prompt.inputs.image_positions[0])
        _check_cover(layout, cropped)
        rng = np.random.default_rng(0)
        placed = np.flatnonzero(~layout.unplaced)
        for token in rng.choice(placed, min(6, len(placed)), replace=False):
            box = layout.boxes[token]
            x0, y0 = (int(np.floor(edge + 1e-6)) for edge in box[:2])
            x1, y1 = (int(np.ceil(edge - 1e-6)) for edge in box[2:])
            array = np.array(image)
            array[y0:y1, x0:x1] = np.where(array[y0:y1, x0:x1] < 128, 255, 0)
            change = (_embedded(vlm, module, patches, Image.fromarray(array)) - before).norm(dim=-1)
            alike = np.flatnonzero(layout.tiles == layout.tiles[token])
            most = int(alike[change[alike].argmax()])
            left, top, right, bottom = layout.boxes[most]
            # Where a token is not much larger than a pixel, its neighbours change as well.
            assert x0 - 1 <= (left + right) / 2 <= x1 + 1, (size, token, most)
            assert y0 - 1 <= (top + bottom) / 2 <= y1 + 1, (size, token, most)
            if min(box[2:] - box[:2]) >= 2:
                assert most == token, (size, token, most)


def _check_cover(layout: Any, cropped: bool) -> None:
    """The boxes of a tile do not overlap, and those of an only one cover the image."""
    last = layout.boxes[(layout.tiles == layout.tiles.max()) & ~layout.unplaced]
    area = np.prod(last[:, 2:] - last[:, :2], axis=1).sum()
    tiles = layout.tiles.max() == 0 or len(last) == 0
    assert area <= layout.size[0] * layout.size[1] * (1 + 1e-6)
    if tiles and not cropped:
        assert np.isclose(area, layout.size[0] * layout.size[1])


def _embedded(vlm: rs.VLM, module: nn.Module, patches: Patches, image: Image.Image) -> Tensor:
    seen: list[Tensor] = []
    handle = module.register_forward_hook(lambda _, __, output: seen.append(output.detach()))
    try:
        with torch.no_grad():
            vlm.adapter.encode_images([vlm.adapter.preprocess(image)])
    finally:
        handle.remove()
    return patches(seen[0])
