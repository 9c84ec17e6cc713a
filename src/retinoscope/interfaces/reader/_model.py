"""A reader of single words: a small convolutional tower, a transformer, and one slot per letter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ...errors import InputError

END = 0
"""The class behind the last letter; letter k of the alphabet has the class 1 + k."""


@dataclass(frozen=True)
class ReaderShape:
    """Sizes of a reader.

    Attributes:
        height, width: of the image in pixels.
        letters: what can be read.
        longest: letters of the longest word; there is one slot more, for the end.
        d, heads, ff, layers: of the transformer.
        dropout: in training.
    """

    height: int = 24
    width: int = 96
    letters: str = "abcdefghijklmnopqrstuvwxyz"
    longest: int = 8
    d: int = 96
    heads: int = 4
    ff: int = 256
    layers: int = 3
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Raises InputError for a size that the tower cannot halve."""
        if self.height != 24 or self.width % 4:
            raise InputError(
                "expected images 24 pixels high, with a width that 4 divides, got "
                f"{self.width} x {self.height}: resize them"
            )

    @property
    def slots(self) -> int:
        return self.longest + 1

    @property
    def classes(self) -> int:
        return 1 + len(self.letters)

    @property
    def positions(self) -> int:
        """Columns of features, from left to right."""
        return self.width // 4

    def ids(self, words: Sequence[str]) -> Int[Tensor, "word slot"]:
        """The classes of words, `END` behind each.

        Raises:
            InputError: a word that is too long, or has other letters.
        """
        ids = torch.full((len(words), self.slots), END)
        for row, word in zip(ids, words, strict=True):
            if len(word) > self.longest:
                raise InputError(
                    f"expected words of at most {self.longest} letters, got {word!r}: leave it out"
                )
            if unknown := set(word) - set(self.letters):
                raise InputError(
                    f"expected words of the letters {self.letters}, got {min(unknown)!r} in "
                    f"{word!r}: leave it out, or write it in these"
                )
            row[: len(word)] = torch.tensor([1 + self.letters.index(letter) for letter in word])
        return ids

    def words(self, ids: Int[Tensor, "word slot"]) -> list[str]:
        """The letters before the first `END`."""
        return ["".join(self.letters[k - 1] for k in _before_end(row)) for row in ids.tolist()]


def _before_end(row: Sequence[int]) -> Sequence[int]:
    return row[: row.index(END)] if END in row else row


class _ConvBlock(nn.Module):
    """Two convolutions, the second with the stride, and a shortcut."""

    def __init__(self, d_in: int, d_out: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(d_in, d_out, 1, bias=False), nn.BatchNorm2d(d_out), nn.ReLU()
        )
        self.second = nn.Sequential(
            nn.Conv2d(d_out, d_out, 3, stride, 1, bias=False), nn.BatchNorm2d(d_out)
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(d_in, d_out, 1, stride, bias=False), nn.BatchNorm2d(d_out)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


class LetterTransformer(nn.Module):
    """A transformer over columns; sinusoidal positions, norms behind each layer as in the paper."""

    def __init__(self, shape: ReaderShape, layers: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            shape.d, shape.heads, shape.ff, shape.dropout, batch_first=True
        )
        self.layers = nn.TransformerEncoder(
            layer, layers, nn.LayerNorm(shape.d), enable_nested_tensor=False
        )
        self.register_buffer("places", sinusoids(shape.positions, shape.d), persistent=False)
        self.places: Tensor

    def forward(
        self, columns: Float[Tensor, "batch position d"]
    ) -> Float[Tensor, "batch position d"]:
        return self.layers(columns + self.places)


class ParallelPrediction(nn.Module):
    """All letters at once: each slot attends to the columns, in an order that is learned.

    Source: Wang et al. 2021, "From Two to One" (arXiv 2108.09661), section 3.2.
    """

    def __init__(self, shape: ReaderShape) -> None:
        super().__init__()
        self.order = nn.Embedding(shape.slots, shape.d)
        self.spread = nn.Linear(shape.slots, shape.positions)
        self.read = nn.Linear(shape.d, shape.d)
        self.score = nn.Linear(shape.d, shape.slots)
        self.head = nn.Linear(shape.d, shape.classes)

    def forward(
        self, columns: Float[Tensor, "batch position d"]
    ) -> tuple[Float[Tensor, "batch slot d"], Float[Tensor, "batch slot position"]]:
        """What each slot read, and how much of each column."""
        table = self.spread(self.order.weight.T).T
        weights = self.score(torch.tanh(table + self.read(columns))).mT.softmax(-1)
        return weights @ columns, weights


@dataclass(frozen=True, eq=False)
class WordReading:
    """What a reader sees in images of words.

    Attributes:
        logits: (batch, slot, class), class 0 being the end.
        slots: (batch, slot, d) from which they are computed.
        attention: (batch, slot, position) share of each slot's attention to each column; sums to 1.
    """

    logits: Float[Tensor, "batch slot class"]
    slots: Float[Tensor, "batch slot d"]
    attention: Float[Tensor, "batch slot position"]


class WordReader(nn.Module):
    """The part of VisionLAN that reads: no language model, one pass.

    Source: Wang et al. 2021, "From Two to One: A New Scene Text Recognizer with Visual Language
    Modeling Network" (arXiv 2108.09661). Sizes are our own; of the paper's grid of 8 x 32 columns
    and rows there is one row here.

    Args:
        shape: sizes.
    """

    def __init__(self, shape: ReaderShape | None = None) -> None:
        super().__init__()
        self.shape = shape = shape or ReaderShape()
        self.tower = nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            _ConvBlock(32, 48, (1, 1)),
            _ConvBlock(48, 64, (2, 2)),
            _ConvBlock(64, shape.d, (2, 1)),
            _ConvBlock(shape.d, shape.d, (3, 1)),
        )
        self.reason = LetterTransformer(shape, shape.layers)
        self.predict = ParallelPrediction(shape)

    def see(
        self, pixels: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch position d"]:
        """V: the columns of the tower; pixels from -1 to 1."""
        return self.tower(pixels).squeeze(2).mT

    def reading(self, columns: Float[Tensor, "batch position d"]) -> WordReading:
        """Reads columns, of which some may have been hidden."""
        slots, attention = self.predict(self.reason(columns))
        return WordReading(self.predict.head(slots), slots, attention)

    def forward(self, pixels: Float[Tensor, "batch 3 height width"]) -> WordReading:
        return self.reading(self.see(pixels))


def sinusoids(positions: int, d: int) -> Float[Tensor, "position d"]:
    """Sines and cosines of positions, as in Vaswani et al. 2017."""
    angles = torch.arange(positions)[:, None] * torch.exp(
        torch.arange(0, d, 2) * (-math.log(10_000.0) / d)
    )
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
