"""What every family has to fulfil, held against the library's own forward pass and generation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from PIL import Image
from row import GRID, NONE, OUTSIDE, SOME, TILES, Row
from torch import Tensor, nn

import retinoscope as rs
from retinoscope.lens import Patchscope
from retinoscope.models import Layout
from retinoscope.tokens import TokenSet

QUESTION = "What is the color of the cat"
OTHER_QUESTION = "Is there a dog in this image?"


def picture(size: tuple[int, int] = (60, 40), seed: int = 0) -> Image.Image:
    """A smooth random image."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def pictures(sizes: Sequence[tuple[int, int]], seed: int = 0) -> list[Image.Image]:
    """Smooth random images, no two of them alike."""
    return [picture(size, seed + number) for number, size in enumerate(sizes)]


def run_of(vlm: rs.VLM, images: Sequence[Image.Image], text: str = QUESTION) -> rs.Run:
    return vlm.run(vlm.prompt(list(images) or None, text))


def oracle(row: Row, vlm: rs.VLM, images: Sequence[Image.Image]) -> dict[str, Tensor]:
    """What the family's own processor makes of the question about `images`."""
    return row.library(vlm, [images], [vlm.prompt(list(images) or None, QUESTION).formatted])


def without_spare(given: Mapping[str, Tensor], n: int) -> dict[str, Tensor]:
    """The same with a prompt of `n` positions: without placeholders that no token fills.

    The library writes one for each patch, at the beginning, and hides those without a token.
    """
    rows = ("input_ids", "attention_mask")
    return {name: v[:, -n:] if name in rows else v for name, v in given.items()}


def layers_of(vlm: rs.VLM) -> list[int]:
    """The layers that attend to the sequence."""
    return list(getattr(vlm.adapter.decoder, "attending", range(vlm.n_layers)))


def close(found: Tensor, wanted: Tensor, part: float) -> bool:
    """Whether `found` is as `wanted`, within a part of the largest number of that."""
    return float((found - wanted).abs().max()) <= part * float(wanted.abs().max())


def check_forward(row: Row, vlm: rs.VLM, images: Sequence[Image.Image]) -> rs.Run:
    """Same tokens, same logits as the library; lens of the last layer; nothing done is nothing."""
    run = run_of(vlm, images)
    given = oracle(row, vlm, images)
    ids = given["input_ids"][0].tolist()
    if spare := len(ids) - run.n if row.places == SOME else 0:
        assert set(ids[:spare]) == {vlm.model.config.image_token_id}
    assert ids[spare:] == run.inputs.input_ids.tolist()
    with torch.no_grad():
        wanted = vlm.model(**given).logits[0, -1].float()
    assert close(run.logits, wanted, 1e-5)
    assert int(run.logits.argmax()) == int(wanted.argmax())
    lens = run.lens(positions="last")
    assert torch.allclose(lens.probs[-1, 0], run.logits.softmax(-1).topk(5).values, atol=1e-5)
    assert torch.equal(run.counterfactuals([()]).logits[0], run.logits)
    assert close(run.counterfactuals([()], exact="reference").logits[0], run.logits, 1e-5)
    words = "".join(run.tokens[place] for place in run.positions["question"].positions)
    assert words.split() == QUESTION.split()
    return run


def check_generate(row: Row, vlm: rs.VLM, images: Sequence[Image.Image], steps: int = 6) -> None:
    """Greedy generation gives the library's tokens; a run over them gives the same logits."""
    run = run_of(vlm, images)
    given = oracle(row, vlm, images)

    def library() -> list[int]:
        made: Any = vlm.model.generate(**given, max_new_tokens=steps, do_sample=False)
        return made[0, given["input_ids"].shape[1] :].tolist()

    written = run.generate(steps)
    assert written.token_ids.tolist() == library()
    again = written.run()
    at = torch.arange(run.n - 1, again.n - 1)
    with torch.no_grad():
        logits = vlm.adapter.read_out(again.hidden(vlm.n_layers)[at])
    assert written.logits is not None
    assert close(written.logits, logits, 1e-4)
    if int(given["input_ids"].max()) >= vlm.adapter.unembedding.out_features:
        # Old versions of the library penalise a placeholder even where it has no logit, and fail.
        return
    config = vlm.adapter.generator.generation_config
    config.repetition_penalty = 1.7
    try:
        assert run.generate(steps).token_ids.tolist() == library()
    finally:
        config.repetition_penalty = None


def drawn(tokens: TokenSet, n: int, rng: np.random.Generator) -> TokenSet:
    """`n` of `tokens` at random."""
    return TokenSet.of(tokens.sequence, sorted(rng.choice(tokens.positions, n, False).tolist()))


def conditions(row: Row, run: rs.Run, donor: rs.Run, seed: int = 0) -> list[Any]:
    """Random interventions on visual tokens, or on words where there are none; alone, together."""
    rng = np.random.default_rng(seed)
    layers = layers_of(run.vlm)
    question = run.positions["question"]
    tokens = question if row.places == OUTSIDE else run.positions["image"]
    few = drawn(tokens, max(2, len(tokens) // 4), rng)
    layer = int(rng.integers(1, run.vlm.n_layers))
    some = sorted(rng.choice(layers, 2, replace=False).tolist())

    def patch(positions: TokenSet) -> rs.Patch:
        """From the same positions, or from others where the donor has fewer or more tokens."""
        same = donor.n == run.n
        others = None if same else drawn(donor.positions["image"], len(positions), rng)
        return rs.Patch(positions, [layer], donor, others)

    return [
        rs.Ablate(few, fill=rs.fill.zero()),
        # The scale of noise is that of visual tokens.
        *([] if row.places == OUTSIDE else [rs.Ablate(few, fill=rs.fill.noise(seed=seed))]),
        rs.Knockout(few, "last", layers=some),
        rs.Knockout(few, "last", layers=some[:1], heads=[0, 3]),
        rs.Knockout(few, question, layers=some),
        rs.Knockout(few, "last+generated", layers=layers),
        patch(few),
        [
            rs.Ablate(few, fill=rs.fill.zero()),
            rs.Knockout(tokens - few, question, layers=some),
            patch(drawn(tokens, 2, rng)),
        ],
    ]


def check_paths(
    row: Row, vlm: rs.VLM, images: Sequence[Image.Image], seeds: Sequence[int] = (0, 1)
) -> None:
    """Every intervention bites, and the path that is taken equals the reference path.

    Args:
        seeds: of the interventions that are drawn.
    """
    run = run_of(vlm, images)
    donor = run_of(vlm, pictures([image.size for image in images], seed=9))
    scale = float(run.logits.abs().max())
    for seed in seeds:
        chosen = conditions(row, run, donor, seed)
        found = run.counterfactuals(chosen)
        wanted = run.counterfactuals(chosen, exact="reference")
        alone = [run.counterfactuals([one], exact="reference").logits[0] for one in chosen]
        assert set(found.path) == {"incremental" if row.incremental else "reference"}
        for other in (found.logits, torch.stack(alone)):
            assert float((other - wanted.logits).abs().max()) <= 1e-5 * scale
        assert found.logits.argmax(-1).tolist() == wanted.logits.argmax(-1).tolist()
        moved = (wanted.logits - run.logits).abs().amax(-1)
        assert (moved > 1e-4 * scale).float().mean() > (0.4 if row.windows else 0.99)
        texts = [[one.token_ids.tolist() for one in kind.generate(4)] for kind in (found, wanted)]
        assert texts[0] == texts[1]


def check_patchscope(row: Row, vlm: rs.VLM, images: Sequence[Image.Image]) -> None:
    """States put into a prompt without an image, against the reference path; both identities."""
    run, target = run_of(vlm, images), run_of(vlm, [])
    word = QUESTION.split()[-1]
    (place,) = [at for at, token in enumerate(target.tokens) if token.strip() == word]
    lens = target.lens(positions=[place], kind=Patchscope(target, word))
    own = target.logits.softmax(-1).topk(5).values
    assert torch.allclose(lens.probs[:, 0], own.expand(vlm.n_layers + 1, -1), atol=1e-5)
    tokens = run.positions["question" if row.places == OUTSIDE else "image"]
    few = drawn(tokens, 2, np.random.default_rng(0))
    read = run.lens(positions=few, kind=Patchscope(target, word, layer=1))
    for layer, place_of in product(read.layers, range(2)):
        source = TokenSet.of(run.sequence, few.positions[place_of : place_of + 1])
        here = TokenSet.of(target.sequence, [place])
        patch = rs.Patch(here, 1, run, source, layer)
        plain = target.counterfactuals([patch], exact="reference").logits[0].softmax(-1)
        assert torch.allclose(read.probs[layer, place_of], plain.topk(5).values, atol=1e-5)
    assert not close(read.probs[0, 0], own, 1e-4)
    end = vlm.run(vlm.prompt(None, QUESTION, raw=True))
    assert end.tokens[-1].strip() == word
    at_end = run.lens(positions=few, kind=Patchscope(end, word, layer=vlm.n_layers))
    assert torch.allclose(at_end.probs, run.lens(positions=few).probs, atol=1e-5)


def check_rows(row: Row, vlm: rs.VLM, images: Sequence[Image.Image]) -> None:
    """A knocked-out edge reads 0 in the attention row, whose other weights add up to 1."""
    run = run_of(vlm, images)
    few = drawn(run.positions["image"], 3, np.random.default_rng(0))
    kept = [place for place in range(run.n) if place not in few.positions]
    for layer in layers_of(vlm):
        free = run.attention(layer)
        cut = run.attention(layer, under=rs.Knockout(few, "last", layers=[layer]))
        assert cut[:, :, list(few.positions)].abs().max() == 0
        assert torch.allclose(cut.sum(-1), torch.ones(vlm.n_heads, 1), atol=1e-5)
        share = free[:, :, kept].sum(-1, keepdim=True)
        assert torch.allclose(cut[:, :, kept], free[:, :, kept] / share, atol=1e-5)


def layout_of(row: Row, vlm: rs.VLM, image: Image.Image) -> Layout:
    """Where the visual tokens of an image lie, or the patches that its learned queries read."""
    if row.places in (GRID, TILES):
        prompt = vlm.prompt([image], QUESTION)
        (layout,) = prompt.inputs.layouts
        assert len(layout) == len(prompt.inputs.image_positions[0])
        return layout
    kind = vlm.adapter.patch_layout if row.places in (NONE, SOME) else vlm.adapter.layout
    return kind(image.size, vlm.adapter.preprocess(image))


def check_layout(row: Row, vlm: rs.VLM, size: tuple[int, int], draws: int = 4) -> None:
    """Changing the pixels of a token's box changes that token's patches most.

    Args:
        draws: tokens of each tile.
    """
    image = picture(size)
    layout = layout_of(row, vlm, image)
    assert layout.size == size
    before = _embedded(row, vlm, image)
    assert len(before) == len(layout)
    assert not layout.unplaced.all()
    rng = np.random.default_rng(0)
    for tile in np.unique(layout.tiles[~layout.unplaced]):
        alike = np.flatnonzero((layout.tiles == tile) & ~layout.unplaced)
        _check_cover(row, layout, alike)
        for token in rng.choice(alike, min(draws, len(alike)), replace=False):
            box = layout.boxes[token]
            x0, y0 = (int(np.floor(edge + 1e-6)) for edge in box[:2])
            x1, y1 = (int(np.ceil(edge - 1e-6)) for edge in box[2:])
            array = np.array(image)
            array[y0:y1, x0:x1] = np.where(array[y0:y1, x0:x1] < 128, 255, 0)
            change = (_embedded(row, vlm, Image.fromarray(array)) - before).norm(dim=-1)
            most = int(alike[change[alike].argmax()])
            left, top, right, bottom = layout.boxes[most]
            # Where a pixel is larger than a token, the one that changes most is any one inside.
            assert x0 <= (left + right) / 2 <= x1, (size, token, most)
            assert y0 <= (top + bottom) / 2 <= y1, (size, token, most)
            if min(box[2:] - box[:2]) >= 2:
                assert most == token, (size, token, most)
            assert not change[torch.from_numpy(layout.unplaced)].any(), (size, token)


def _check_cover(row: Row, layout: Layout, alike: np.ndarray) -> None:
    """The boxes of a tile do not overlap, and those of an only one cover the image."""
    boxes = layout.boxes[alike]
    area, whole = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).sum(), np.prod(layout.size)
    assert area <= whole * (1 + 1e-6)
    if layout.tiles.max() == 0 and not row.cropped:
        assert np.isclose(area, whole)


def _embedded(row: Row, vlm: rs.VLM, image: Image.Image) -> Tensor:
    pixels = vlm.prompt([image], QUESTION).inputs.pixels
    module = vlm.model.get_submodule(row.embedding)
    return row.patches(vlm, image, output_of(module, lambda: vlm.adapter.encode(pixels)))


def output_of(module: nn.Module, call: Callable[[], Any]) -> Any:
    """The first output of `module` while `call` runs."""
    seen: list[Any] = []
    handle = module.register_forward_hook(lambda _, __, output: seen.append(output))
    try:
        with torch.no_grad():
            call()
    finally:
        handle.remove()
    return seen[0]
