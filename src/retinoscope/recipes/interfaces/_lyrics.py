"""Lyrics' first stage: contrast, matching and captioning on captions alone, and masked boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from ...interfaces import BINS, Lyrics, Seen, VisualInterface, interface_tokenizer
from ._arm import Arm, FirstStage, SceneBatch
from ._matching import Captions, Matching
from ._refiner import POCKET_TOWER, find_objects

_MASKED = 0.15
_SMOOTHING = 0.1


@dataclass(frozen=True, eq=False)
class BoxTexts:
    """Captions, each followed by a phrase "name x0 y0 x1 y1" for every object found in its image.

    Attributes:
        ids: of words and coordinates, padded.
        present: True where there is no padding.
        unit: number of the unit that each token of a phrase belongs to (a name as a whole, or one
            coordinate), counted in each text; -1 for captions and padding.
    """

    ids: Int[Tensor, "batch word"]
    present: Bool[Tensor, "batch word"]
    unit: Int[Tensor, "batch word"]


def box_texts(
    captions: Captions,
    phrases: Float[Tensor, "batch object 5"],
    names: Sequence[Sequence[int]],
    first_bin: int,
) -> BoxTexts:
    """Writes the phrases behind the captions.

    Args:
        captions: of the images.
        phrases: as `SeenObjects.phrases` gives them.
        names: ids of the words of each name; one without words is left out with its box.
        first_bin: id of the coordinate 0.
    """
    texts, units = [], []
    for ids, present, found in zip(captions.ids, captions.present, phrases, strict=True):
        text = ids[present].tolist()
        unit = [-1] * len(text)
        for tag, *box in found[found[:, 0] >= 0].long().tolist():
            if name := names[tag]:
                text += [*name, *(first_bin + step for step in box)]
                first = unit[-1] + 1
                unit += [*(first for _ in name), *range(first + 1, first + 5)]
        texts.append(torch.tensor(text))
        units.append(torch.tensor(unit))
    pad = nn.utils.rnn.pad_sequence
    padded = pad(units, batch_first=True, padding_value=-2).to(captions.ids.device)
    ids = pad(texts, batch_first=True).to(captions.ids.device)
    return BoxTexts(ids, padded > -2, padded.clamp(min=-1))


def masked_units(
    unit: Int[Tensor, "batch word"], generator: torch.Generator, share: float = _MASKED
) -> Bool[Tensor, "batch word"]:
    """True at every token of the units that are hidden: each with this probability, at least one.

    A text without units keeps all its words.
    """
    n_units = int(unit.max()) + 1
    if n_units < 1:
        return torch.zeros_like(unit, dtype=torch.bool)
    there = torch.arange(n_units, device=unit.device) <= unit.amax(1, keepdim=True)
    draws = torch.rand(there.shape, generator=generator, device=unit.device)
    draws = draws.masked_fill(~there, 2.0)
    least = draws.amin(1, keepdim=True)
    hidden = there & ((draws < share) | (draws == least))
    return hidden.gather(1, unit.clamp(min=0)) & (unit >= 0)


class LyricsStage(FirstStage):
    """Contrast, matching and captioning on captions alone, and masked spatial prediction.

    Only the last reads names and boxes of the image, and it hides what it asks for: a text that
    named the boxes of its image could be matched by comparing boxes. The queries do not see it.

    Source: Lu et al. 2023, "Lyrics" (arXiv 2312.05278), pre-training; all losses count once.
    """

    def __init__(self, interface: VisualInterface, n_words: int) -> None:
        super().__init__()
        assert isinstance(interface, Lyrics)
        width = interface.shape.width
        self.heads = Matching(width, n_words)
        self.unit = nn.Linear(width, n_words + BINS)
        self.n_words = n_words
        self._names = _word_ids(interface.refiner.names)

    def losses(
        self, interface: Any, batch: SceneBatch, generator: torch.Generator
    ) -> dict[str, Float[Tensor, ""]]:
        matching = self.heads(interface, batch.seen, batch.captions, generator)
        return {**matching, "boxes": self._boxes(interface, batch.seen, batch.captions, generator)}

    def _boxes(
        self, interface: Lyrics, seen: Seen, captions: Captions, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        """Cross-entropy of the hidden names and coordinates; 0 if no image has an object."""
        mask, first_bin = self.n_words + 1, self.n_words + 2
        texts = box_texts(captions, seen["phrases"], self._names, first_bin)
        hidden = masked_units(texts.unit, generator)
        read = texts.ids.masked_fill(hidden, mask)
        _, words = interface.both(seen, read, texts.present, "behind")
        wanted = texts.ids[hidden]
        wanted = torch.where(wanted >= first_bin, wanted - first_bin + self.n_words, wanted)
        losses = F.cross_entropy(
            self.unit(words[hidden]), wanted, reduction="sum", label_smoothing=_SMOOTHING
        )
        return losses / max(len(wanted), 1)


def _word_ids(names: Sequence[str]) -> list[list[int]]:
    """The ids of each name's words; none for a name with an unknown word."""
    tokenizer = interface_tokenizer()
    ids = [tokenizer(name, add_special_tokens=False)["input_ids"] for name in names]
    return [[] if tokenizer.unk_token_id in name else list(name) for name in ids]


_HONEST = {"name": "regions"}
_STRONG = {"name": "regions", "tower": POCKET_TOWER}

LYRICS_ARMS: dict[str, Arm] = {
    "lyrics": Arm(
        "lyrics",
        {"refiner": _HONEST},
        "6 queries that read the contrastive tower, and 10 that read the objects found in it",
        first=LyricsStage,
        more_ids=0,
        prepare=find_objects,
        against=("qformer", "lyrics-dense"),
    ),
    "lyrics-dense": Arm(
        "lyrics",
        {"refiner": {**_HONEST, "read": "patches"}},
        "the same features as patches in place of objects: the same information, no objects",
        first=LyricsStage,
        more_ids=0,
        prepare=find_objects,
        against=("qformer",),
    ),
    "lyrics-withheld": Arm(
        "lyrics",
        {"refiner": {**_HONEST, "withheld": 0.3}},
        "30% of the objects that were found are withheld",
        first=LyricsStage,
        more_ids=0,
        prepare=find_objects,
        against=("lyrics",),
    ),
    "lyrics-false": Arm(
        "lyrics",
        {"refiner": {**_HONEST, "false": 0.3}},
        "for 30% of the objects that were found, one that is not there is added",
        first=LyricsStage,
        more_ids=0,
        prepare=find_objects,
        against=("lyrics",),
    ),
    "lyrics-strong": Arm(
        "lyrics",
        {"refiner": _STRONG},
        "the objects are found in another tower, which was trained on kinds and colours of patches",
        first=LyricsStage,
        more_ids=0,
        prepare=find_objects,
        against=("lyrics-strong-dense", "lyrics"),
    ),
    "lyrics-strong-dense": Arm(
        "lyrics",
        {"refiner": {**_STRONG, "read": "patches"}},
        "the other tower's features as patches in place of objects",
        first=LyricsStage,
        more_ids=0,
        prepare=find_objects,
        against=("lyrics-dense",),
    ),
}
