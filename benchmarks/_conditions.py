"""The paper's conditions as plain data: what the engine and a loop over `transformers` both read.

Source: Neo et al. 2024, sections 3 and 4.2, and the released code: six sources and targets in six
windows of layers; 18 ablated sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import retinoscope as rs
from retinoscope.studies import paper_windows


@dataclass(frozen=True)
class Hide:
    """In `layers`, the queries at `target` do not see the keys at `source`; positions."""

    name: str
    source: tuple[int, ...]
    target: tuple[int, ...]
    layers: tuple[int, ...]


@dataclass(frozen=True)
class Remove:
    """The embeddings at `positions` become zeros."""

    name: str
    positions: tuple[int, ...]


@dataclass(frozen=True)
class Scene:
    """Where things are in a prompt.

    Attributes:
        n: positions of the prompt.
        image: positions of the visual tokens, one after the other.
        side: rows and columns of their grid.
    """

    n: int
    image: tuple[int, ...]
    side: int

    @classmethod
    def of(cls, prompt: rs.engine.Prompt) -> Scene:
        (image,) = prompt.inputs.image_positions
        return cls(len(prompt.inputs.input_ids), image, round(len(image) ** 0.5))

    @property
    def last(self) -> tuple[int, ...]:
        return (self.n - 1,)

    @property
    def after(self) -> tuple[int, ...]:
        """Text behind the image, without the last position."""
        return tuple(range(self.image[-1] + 1, self.n - 1))

    @property
    def last_row(self) -> tuple[int, ...]:
        return self.image[-self.side :]

    def object(self, grown: int = 0) -> tuple[int, ...]:
        """A square object in the middle, a sixth of the side long (16 of 576 tokens), and rings.

        With one ring it has 36 tokens; the paper's objects have 33.4 on average.
        """
        length = max(1, self.side // 6)
        start = (self.side - length) // 2 - grown
        span = range(start, start + length + 2 * grown)
        return tuple(self.image[row * self.side + column] for row in span for column in span)

    def others(self, taken: Sequence[int]) -> tuple[int, ...]:
        """Visual tokens that are not `taken`."""
        out = set(taken)
        return tuple(position for position in self.image if position not in out)


def paper_knockouts(scene: Scene, depth: int) -> list[Hide]:
    """The 36 conditions of section 4.2: six pairs of source and target in six windows."""
    near = scene.object(1)
    pairs = {
        "object -> last": (scene.object(), scene.last),
        "object+1 -> last": (near, scene.last),
        "object+2 -> last": (scene.object(2), scene.last),
        "others -> last": (scene.others(near), scene.last),
        "object+1 -> last row": (near, scene.last_row),
        "all but last row -> last row": (scene.image[: -scene.side], scene.last_row),
    }
    return [
        Hide(f"{name}, {window.name}", source, target, tuple(window.layers))
        for name, (source, target) in pairs.items()
        for window in paper_windows(depth)
    ]


def single_layer_knockouts(scene: Scene, depth: int) -> list[Hide]:
    """8 sources hidden from the last token, one layer at a time: 240 conditions at 30 layers."""
    near = scene.object(1)
    drawn = np.random.default_rng(0).choice(len(scene.image), min(40, len(scene.image)), False)
    sources = {
        "object": scene.object(),
        "object+1": near,
        "object+2": scene.object(2),
        "others": scene.others(near),
        "image": scene.image,
        "last row": scene.last_row,
        "random-40": tuple(scene.image[place] for place in sorted(drawn)),
        "text behind the image": scene.after,
    }
    return [
        Hide(f"{name} -> last, layer {layer}", source, scene.last, (layer,))
        for layer in range(depth)
        for name, source in sources.items()
    ]


SIZES = (5, 10, 20, 40, 60, 100, 250)


def paper_ablations(scene: Scene) -> list[Remove]:
    """The 18 sets of Table 1: register tokens, the object with 0 to 2 rings, 7 sizes twice.

    The register and high-gradient sets are drawn at random, since random weights have neither; only
    where a set begins matters for time, and it is about the same: near the image's first token.
    """
    rng = np.random.default_rng(0)

    def drawn(count: int) -> tuple[int, ...]:
        places = rng.choice(len(scene.image), min(count, len(scene.image) - 1), False)
        return tuple(scene.image[place] for place in sorted(places))

    sets = [Remove("registers", drawn(12))]
    sets += [Remove(f"object+{grown}", scene.object(grown)) for grown in range(3)]
    for kind in ("gradient", "random"):
        sets += [Remove(f"{kind}-{size}", drawn(size)) for size in SIZES]
    return sets


def knockouts_of(run: rs.engine.Run, conditions: Sequence[Hide]) -> list[rs.Knockout]:
    """As interventions of the engine."""
    made: dict[tuple[int, ...], rs.tokens.TokenSet] = {}

    def tokens(positions: tuple[int, ...]) -> rs.tokens.TokenSet:
        if positions not in made:
            made[positions] = rs.tokens.TokenSet.of(run.sequence, positions)
        return made[positions]

    return [rs.Knockout(tokens(c.source), tokens(c.target), c.layers) for c in conditions]


def ablations_of(run: rs.engine.Run, conditions: Sequence[Remove]) -> list[rs.Ablate]:
    """As interventions of the engine."""
    return [
        rs.Ablate(rs.tokens.TokenSet.of(run.sequence, c.positions), rs.fill.zero())
        for c in conditions
    ]
