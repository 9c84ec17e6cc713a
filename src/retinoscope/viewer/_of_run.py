"""Documents of one run: its image, prompt and attention."""

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
    MissingLayer,
    ObjectFacts,
    PromptFacts,
    Unplaced,
    Visual,
)

if TYPE_CHECKING:
    from ..data import Object, Sample
    from ..engine import Run
    from ..models import Inputs, Layout


def prompt_facts(text: str, tokens: Sequence[str], inputs: Inputs) -> PromptFacts:
    """Returns the prompt's tokens and the kind of each."""
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
    """Returns reasons to distrust a run: unknown words, an image unlike the training images."""
    notes: list[str] = []
    if run.prompt.unknown:
        words = ", ".join(repr(word) for word in run.prompt.unknown)
        notes.append(f"the model's tokenizer does not know {words}, so the model cannot read it")
    if run.vlm.knows is not None:
        notes += [run.vlm.knows.strange(image.size) for image in run.prompt.images]
    return "; ".join(note for note in notes if note)


def visual_of(sequence: Positions) -> Visual | None:
    """Returns the visual tokens of the first image; None if the decoder has none."""
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
    return f"index {token}: stands for no part of the image"


def frames_of(layout: Layout) -> list[FrameFacts]:
    """Returns the runs of tokens that belong to one tile, in the decoder's order."""
    tiles = np.asarray(layout.tiles)
    starts = [0, *(np.flatnonzero(tiles[1:] != tiles[:-1]) + 1).tolist()] if len(tiles) else []
    several = len(set(tiles.tolist())) > 1
    frames = []
    for first, stop in zip(starts, [*starts[1:], len(tiles)], strict=True):
        name = f"tile {int(tiles[first])}" if several else "image"
        frames.append(FrameFacts(name, first, stop - first, _grid(layout, first, stop)))
    return frames


def _grid(layout: Layout, first: int, stop: int) -> list[int] | None:
    rows, columns = layout.rows[first:stop], layout.columns[first:stop]
    if not (rows >= 0).any():
        return None
    return [int(rows.max()) + 1, int(columns.max()) + 1]


def objects_of(sample: Sample, layout: Layout | None) -> list[ObjectFacts]:
    """Returns the sample's objects with their tokens (those whose box overlaps the mask)."""
    return [_object(obj, layout) for obj in sample.objects]


def _object(obj: Object, layout: Layout | None) -> ObjectFacts:
    tokens: list[int] = []
    if layout is not None and len(layout) and obj.mask.any():
        cover = region_cover(obj.mask, layout.size, layout.boxes)
        tokens = np.flatnonzero(cover > 0).tolist()
    x0, y0, x1, y1 = (float(value) for value in obj.box)
    return ObjectFacts(
        name=obj.name,
        colour=obj.color,
        tokens=tokens,
        mask=run_lengths(np.asarray(obj.mask, dtype=bool)),
        box=[x0, y0, x1 - x0, y1 - y0],
    )


def image_facts(size: tuple[int, int], src: str | None) -> ImageFacts:
    return ImageFacts(src, int(size[0]), int(size[1]))


def attention_of(run: Run, query: int = -1) -> AttentionDocument:
    """Returns one query's attention in every block and head, to visual tokens and to the rest.

    Args:
        query: a position; negative ones count from the end.

    Raises:
        InputError: there is no such position.
        CapabilityError: attention cannot be read in this model's family.
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
