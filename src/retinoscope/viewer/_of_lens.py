"""Documents of a lens, and reading one layer after the other."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..lens import FITTED, NAMED, ContextualLens, FittedLens, Kind, OfStates, fit_command, kind_of
from ._documents import LensDocument, LensFacts, WordContexts, WordDocument

if TYPE_CHECKING:
    from ..engine import Run
    from ..lens import Lens
    from ..models import Adapter
    from ..tokens import Positions

TOP_K = 5
KEPT_WORDS = 64
"""Maximum number of words whose ranks a reading holds."""


def by_name(kinds: Iterable[str | Kind], adapter: Adapter | None = None) -> dict[str, Kind]:
    """Returns kinds of lens by their names on the page; the second of one name is `NAME-2`.

    Raises:
        InputError: an unknown name, a lens that has to be fitted first, or one that was fitted to
            another model than the adapter's.
    """
    named: dict[str, Kind] = {}
    for kind in map(kind_of, kinds):
        names = chain([kind.name], (f"{kind.name}-{number}" for number in count(2)))
        named[next(name for name in names if name not in named)] = kind
        if adapter is not None and isinstance(kind, FittedLens):
            adapter.state()
            kind.check(adapter)
    return named


def name_of(kind: Kind) -> str:
    """Returns what identifies the numbers of a lens: of a fitted one something new each time."""
    return kind.name if kind.name in NAMED else f"{kind.name} {secrets.token_hex(8)}"


def lens_facts(kinds: Mapping[str, Kind], why: str = "", option: str = "") -> list[LensFacts]:
    """Returns the page's kinds of lens, then those that it lacks.

    Args:
        kinds: from `by_name`.
        why: why a kind that needs nothing but the model and is not among `kinds` cannot be read.
        option: the option that takes fitted lenses.
    """
    facts = [
        LensFacts(name, True, "" if kind.name in NAMED else repr(kind), fit_command(kind.name))
        for name, kind in kinds.items()
    ]
    facts += [LensFacts(name, False, why) for name in NAMED if name not in kinds]
    unfitted = f"it is fitted to a model first{f' and given with {option}' if option else ''}"
    others = [name for name in FITTED if name not in kinds]
    return facts + [LensFacts(name, False, unfitted, fit_command(name)) for name in others]


def lens_positions(sequence: Positions) -> list[int]:
    """Returns the first image's visual tokens in order, then all other positions."""
    visual = _visual(sequence)
    known = set(visual)
    return visual + [position for position in range(sequence.n) if position not in known]


def _visual(sequence: Positions) -> list[int]:
    return [int(p) for p in sequence.images[0][0]] if sequence.images else []


class Reading:
    """One kind of lens over a run, read step by step.

    Args:
        steps: each reads other layers.
        top_k: number of words per position.
    """

    def __init__(self, steps: Sequence[Callable[[], Lens]], top_k: int) -> None:
        self.top_k = top_k
        self._steps = steps
        self._lenses: list[Lens] = []
        self._words = 0

    @property
    def total(self) -> int:
        return len(self._steps)

    @property
    def done(self) -> int:
        return len(self._lenses)

    def step(self) -> None:
        """Reads the next layers; does nothing if all are read."""
        if self.done < self.total:
            self._lenses.append(self._steps[self.done]())

    def finish(self) -> Reading:
        """Reads what is left."""
        while self.done < self.total:
            self.step()
        return self

    def document(self) -> LensDocument:
        """Returns the document of a finished reading."""
        return lens_document(*self._lenses)

    def word(self, word: str | int) -> WordDocument:
        """Returns a word in a finished reading; see `word_document`."""
        if self._words >= KEPT_WORDS:
            self._lenses = [replace(lens, _ranks={}) for lens in self._lenses]
            self._words = 0
        self._words += 1
        return word_document(word, *self._lenses)


def reading_of(run: Run, kind: Kind, top_k: int = TOP_K) -> Reading:
    """Prepares the reading of a run by one kind of lens.

    A kind that reads each state by itself is read at once and at all positions; others, which may
    take a pass of the model for every state, layer by layer and at the image's tokens only.

    Args:
        run: the run.
        kind: the kind of lens.
        top_k: number of words per position; at most as many as there are.
    """
    layers = kind.layers(run.adapter)
    quick = isinstance(kind, OfStates)
    positions = lens_positions(run.sequence) if quick else _visual(run.sequence)
    top_k = min(top_k, run.vlm.vocab_size)

    def step(chosen: tuple[int, ...]) -> Callable[[], Lens]:
        return lambda: run.lens(top_k, positions or None, kind=kind, layers=chosen)

    return Reading([step(some) for some in ([layers] if quick else zip(layers))], top_k)


def read_lens(run: Run, kind: str | Kind = "logit", top_k: int = TOP_K) -> LensDocument:
    """Reads a run by a kind of lens, the image's tokens first."""
    return reading_of(run, kind_of(kind), top_k).finish().document()


def lens_document(*lenses: Lens) -> LensDocument:
    """Converts lenses of one kind and several layers to a document that lists each word once."""
    first = lenses[0]
    ids = torch.cat([lens.ids for lens in lenses]).cpu().numpy()
    distinct, inverse = np.unique(ids, return_inverse=True)
    return LensDocument(
        kind=first.kind,
        unit=first.unit,
        layers=[layer for lens in lenses for layer in lens.layers],
        n=ids.shape[1],
        k=ids.shape[2],
        words=first.words(distinct.tolist()),
        ids=inverse.reshape(ids.shape).astype(np.int32),
        values=torch.cat([lens.values for lens in lenses]).float().cpu().numpy(),
        positions=[int(position) for position in first.positions],
        contexts=contexts_of([one for one in lenses if isinstance(one, ContextualLens)]),
        note=(
            "The index of contexts is projected at random: cosines are estimates."
            if isinstance(first, ContextualLens) and first.estimated
            else ""
        ),
    )


def contexts_of(lenses: Sequence[ContextualLens]) -> WordContexts | None:
    """Returns the words of contextual lenses in their sentences; None without such a lens."""
    if not lenses:
        return None
    entries = torch.cat([lens.entries for lens in lenses]).cpu().numpy()
    _, first, inverse = np.unique(entries, return_index=True, return_inverse=True)
    every = [one for lens in lenses for layer in lens.contexts for row in layer for one in row]
    sentences: dict[str, int] = {}
    places = []
    for context in (every[number] for number in first):
        word = context.word.lstrip()
        before = context.before + context.word[: len(context.word) - len(word)]
        number = sentences.setdefault(f"{before}{word}{context.after}", len(sentences))
        start = _units(before)
        places.append((number, start, start + _units(word), context.layer))
    return WordContexts(
        sentences=list(sentences),
        places=np.array(places, dtype=np.int32),
        ids=inverse.reshape(entries.shape).astype(np.int32),
    )


def _units(text: str) -> int:
    """Returns the length of a text as the page counts it: in units of UTF-16."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def word_document(word: str | int, *lenses: Lens) -> WordDocument:
    """Returns value and rank of a word's first piece at each layer and position of the lenses.

    Raises:
        InputError: the tokenizer does not know the word, or there is no such token id.
    """
    values = [
        lens.prob(word) if lens.unit == "probability" else lens.similarity(word) for lens in lenses
    ]
    return WordDocument(
        word=str(word),
        values=torch.cat(values).float().cpu().numpy(),
        rank=torch.cat([lens.rank(word) for lens in lenses]).cpu().numpy().astype(np.int32),
    )
