"""Documents of one run: what the page shows of its image, its lens and its attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..data import run_lengths
from ..errors import CapabilityError
from ..tokens import Positions, region_cover
from ._documents import (
    AttentionDocument,
    FrameFacts,
    ImageFacts,
    LensDocument,
    MissingLayer,
    ObjectFacts,
    PromptFacts,
    Unplaced,
    Visual,
    WordDocument,
)

if TYPE_CHECKING:
    from ..data import Object, Sample
    from ..engine import Run
    from ..lens import Lens
    from ..models import Inputs, Layout


def prompt_facts(text: str, tokens: Sequence[str], inputs: Inputs) -> PromptFacts:
    """The prompt's tokens, and what each of them is."""
    kinds = ["text"] * len(tokens)
    for position in inputs.question or ():
        kinds[position] = "question"
    for positions in inputs.image_positions:
        for position in positions:
            kinds[position] = "image"
    for position in range(len(tokens) - inputs.n_generated, len(tokens)):
        kinds[position] = "generated"
    return PromptFacts(text, list(tokens), kinds)


def notes_on(run: Run) -> str:
    """Reasons to distrust a run's answer: unknown words, an image unlike the training images."""
    told: list[str] = []
    if run.prompt.unknown:
        words = ", ".join(repr(word) for word in run.prompt.unknown)
        told.append(f"the model's tokenizer does not know {words}: it cannot read that")
    if run.vlm.knows is not None:
        told += [run.vlm.knows.strange(image.size) for image in run.prompt.images]
    return "; ".join(note for note in told if note)


def visual_of(sequence: Positions) -> Visual | None:
    """The visual tokens of the first image; None where the decoder has none."""
    if not sequence.images:
        return None
    positions, layout = sequence.images[0]
    unplaced = [Unplaced(int(t), _label(layout, int(t))) for t in np.flatnonzero(layout.unplaced)]
    return Visual(
        n=len(layout),
        positions=[int(position) for position in positions],
        boxes=np.asarray(layout.boxes, dtype=np.float32),
        rows=[int(row) for row in layout.rows],
        cols=[int(column) for column in layout.columns],
        grid=None if layout.grid is None else [int(side) for side in layout.grid],
        frames=frames_of(layout),
        unplaced=unplaced,
    )


def _label(layout: Layout, token: int) -> str:
    row, column = int(layout.rows[token]), int(layout.columns[token])
    if row >= 0:
        return f"index {token}: row {row}, column {column}, only padding"
    return f"index {token}: no part of the image of its own"


def frames_of(layout: Layout) -> list[FrameFacts]:
    """Stretches of tokens of one tile, in the decoder's order."""
    tiles = np.asarray(layout.tiles)
    starts = [0, *(np.flatnonzero(tiles[1:] != tiles[:-1]) + 1).tolist()] if len(tiles) else []
    several = len(set(tiles.tolist())) > 1
    found = []
    for first, stop in zip(starts, [*starts[1:], len(tiles)], strict=True):
        name = f"tile {int(tiles[first])}" if several else "image"
        found.append(FrameFacts(name, first, stop - first, _grid(layout, first, stop)))
    return found


def _grid(layout: Layout, first: int, stop: int) -> list[int] | None:
    rows, columns = layout.rows[first:stop], layout.columns[first:stop]
    if not (rows >= 0).any():
        return None
    return [int(rows.max()) + 1, int(columns.max()) + 1]


def objects_of(sample: Sample, layout: Layout | None) -> list[ObjectFacts]:
    """The sample's objects with their tokens (those whose box overlaps the mask)."""
    return [_object(one, layout) for one in sample.objects]


def _object(one: Object, layout: Layout | None) -> ObjectFacts:
    tokens: list[int] = []
    if layout is not None and len(layout) and one.mask.any():
        cover = region_cover(one.mask, layout.size, layout.boxes)
        tokens = np.flatnonzero(cover > 0).tolist()
    x0, y0, x1, y1 = (float(value) for value in one.box)
    return ObjectFacts(
        name=one.name,
        colour=one.color,
        tokens=tokens,
        mask=run_lengths(np.asarray(one.mask, dtype=bool)),
        box=[x0, y0, x1 - x0, y1 - y0],
    )


def image_facts(size: tuple[int, int], src: str | None) -> ImageFacts:
    return ImageFacts(src, int(size[0]), int(size[1]))


def lens_positions(sequence: Positions) -> list[int]:
    """The visual tokens of the first image, in their order, then all other positions."""
    visual = [int(p) for p in sequence.images[0][0]] if sequence.images else []
    known = set(visual)
    return visual + [position for position in range(sequence.n) if position not in known]


def lens_of(run: Run, top_k: int = 5) -> LensDocument:
    """The lens at all positions, visual tokens first."""
    return lens_document(run.lens(top_k=top_k, positions=lens_positions(run.sequence)))


def lens_document(lens: Lens) -> LensDocument:
    """A lens as it is, each word written once."""
    ids = lens.ids.cpu().numpy()
    distinct, inverse = np.unique(ids, return_inverse=True)
    return LensDocument(
        layers=ids.shape[0],
        n=ids.shape[1],
        k=ids.shape[2],
        words=lens.words(distinct.tolist()),
        ids=inverse.reshape(ids.shape).astype(np.int32),
        probs=lens.probs.float().cpu().numpy(),
        positions=[int(position) for position in lens.positions],
    )


def word_document(lens: Lens, word: str | int) -> WordDocument:
    """Probability and rank of a word's first piece at every layer and position of the lens.

    Raises:
        InputError: a word that the tokenizer does not know, or no such token id.
    """
    return WordDocument(
        word=str(word),
        prob=lens.prob(word).float().cpu().numpy(),
        rank=lens.rank(word).cpu().numpy().astype(np.int32),
    )


def attention_of(run: Run, query: int = -1) -> AttentionDocument:
    """One query's attention in every block and head, to the visual tokens and to the rest.

    Args:
        query: a position; negative ones count from the end.

    Raises:
        InputError: no such position.
        CapabilityError: a family whose attention cannot be read.
    """
    run.vlm.capabilities.require("attention")
    place = query + run.n if query < 0 else query
    visual = list(run.sequence.images[0][0]) if run.sequence.images else []
    n_layers, n_heads = run.adapter.n_layers, run.adapter.n_heads
    rows = np.full((n_layers, n_heads, run.n), np.nan, dtype=np.float32)
    missing = []
    for layer in range(n_layers):
        try:
            rows[layer] = run.attention(layer, place)[:, 0].float().cpu().numpy()
        except CapabilityError as error:
            missing.append(MissingLayer(layer, str(error)))
    images = {p for positions, _ in run.sequence.images for p in positions}
    text = [p for p in range(run.n) if p not in images and p != 0]
    first = rows[:, :, 0] if 0 not in images else np.zeros_like(rows[:, :, 0])
    rest: Mapping[str, np.ndarray] = {"first": first, "text": rows[:, :, text].sum(-1)}
    return AttentionDocument(
        query=place,
        token=run.tokens[place],
        layers=n_layers,
        heads=n_heads,
        weights=rows[:, :, visual],
        rest=rest,
        missing=missing,
    )
