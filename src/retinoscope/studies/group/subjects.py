"""The compared models: what each of them can do, and its untrained copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from ...encoders import Encoder, Matcher, TwoTower, load
from ...engine import VLM
from ...errors import CapabilityError, InputError
from ...grouping import BACKGROUNDS, check_different, prompts_for, shuffled
from ...store import Scalar
from .._models import describe, open_subject, shown_name
from .._untrained import untrained_encoder, untrained_two_tower
from ..summary import Record

TRAINED, UNTRAINED = "trained", "untrained"
JOINT = "joint"

Grouped = VLM | Encoder | TwoTower


@dataclass(frozen=True, eq=False)
class Words:
    """The words that a VLM's lens reads for the classes: the first piece of each name.

    Attributes:
        ids: token ids of `places`.
        places: their classes, as indices in the list of classes.
        left_out: names that the tokenizer does not know, or whose first piece is another's.
    """

    ids: tuple[int, ...]
    places: tuple[int, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Texts:
    """Vectors of the prompts of one model.

    Attributes:
        classes: (k, d) one per class.
        background: (b, d) of background prompts; None if there are none.
    """

    classes: Float[np.ndarray, "label d"]
    background: Float[np.ndarray, "prompt d"] | None

    def swapped(self, seed: int) -> Texts:
        """Returns the vectors with each class given another one's."""
        return replace(self, classes=self.classes[shuffled(len(self.classes), seed)])


@dataclass(frozen=True, eq=False)
class Subject:
    """One model, trained or not.

    Attributes:
        layers: layers whose features are grouped; "joint" are locations in the space of texts.
        vlm, two: the model as a VLM or a two-tower model, if it is one.
        words, texts: words or texts of the classes, if it has a lens or a text tower.
    """

    name: str
    weights: str
    encoder: Encoder
    layers: tuple[str, ...]
    vlm: VLM | None = None
    two: TwoTower | None = None
    words: Words | None = None
    texts: Texts | None = None

    def place(self, layer: Scalar) -> Record:
        """The columns "part" and "layer_number" of a layer, by its name."""
        return self._places.get(layer, {"part": layer or None})

    @cached_property
    def _places(self) -> Mapping[Scalar, Record]:
        return {
            name: {"part": part, "layer_number": number}
            for part, names in self.encoder.parts.items()
            for number, name in enumerate(names)
        }


def opened(specs: Sequence[Any]) -> tuple[Grouped, ...]:
    """Opens the models that `specs` name, as `open_subject` does.

    Raises:
        CapabilityError: a model has no features of locations.
    """
    models = []
    for spec in specs:
        model = open_subject(spec)
        if isinstance(model, Matcher):
            raise CapabilityError(
                f"{model.name}: reads image and text together, so its locations have no features "
                "of their own: give a VLM, a CLIP, a SigLIP or an encoder"
            )
        models.append(model)
    return tuple(models)


def subject_of(
    model: Grouped, layers: Sequence[str] | None, names: Sequence[str], asked: Prompts
) -> Subject:
    """Makes a trained subject, with the words or prompts for these classes.

    Args:
        model: the model.
        layers: layers to group, if the model has them; its last ones if None.
        names: names of the classes.
        asked: the prompts.

    Raises:
        InputError: prompts are alike, or the text tower does not know them.
        CapabilityError: the model is a VLM whose visual tokens have no locations.
    """
    name = shown_name(describe(model)[0])
    if isinstance(model, TwoTower):
        chosen = _chosen((*model.encoder.layers, JOINT), layers, (JOINT,))
        texts = asked.texts(model, names)
        return Subject(name, TRAINED, model.encoder, chosen, two=model, texts=texts)
    encoder = load(model)
    if isinstance(model, VLM):
        usual = [names[-1] for names in encoder.parts.values()]
        chosen = _chosen(encoder.layers, layers, usual)
        return Subject(name, TRAINED, encoder, chosen, vlm=model, words=_words(model, names))
    chosen = _chosen(encoder.layers, layers, encoder.layers[-1:])
    return Subject(name, TRAINED, encoder, chosen)


def _chosen(
    known: Sequence[str], wanted: Sequence[str] | None, usual: Sequence[str]
) -> tuple[str, ...]:
    return tuple(usual) if wanted is None else tuple(name for name in known if name in wanted)


def untrained(subject: Subject, seed: int) -> Subject:
    """Returns the same with random weights; for a contrastive model only in the vision tower.

    Raises:
        CapabilityError: the model cannot be built from its configuration.
    """
    fresh = replace(subject, weights=UNTRAINED)
    if subject.two is None:
        encoder = untrained_encoder(subject.encoder, seed)
        return replace(fresh, encoder=encoder, vlm=getattr(encoder, "vlm", None))
    two = untrained_two_tower(subject.two, seed)
    return replace(fresh, encoder=two.encoder, two=two)


@dataclass(frozen=True)
class Prompts:
    """Prompts for text towers.

    Attributes:
        template: template of a prompt; the model's own if None.
        background: names of backgrounds; `BACKGROUNDS` if None, provided that the model knows all
            of these words.
    """

    template: str | None
    background: Sequence[str] | None

    def texts(self, two: TwoTower, names: Sequence[str]) -> Texts:
        """Returns the vectors; raises `InputError` for prompts that are alike or unknown."""
        classes = two.text(self._prompts(two, names))
        check_different(classes, names)
        given = BACKGROUNDS if self.background is None else self.background
        known = {name.lower() for name in names}
        behind = [name for name in given if name.lower() not in known]
        if not behind:
            return Texts(classes, None)
        try:
            return Texts(classes, two.text(self._prompts(two, behind)))
        except InputError:
            # Default words may be unknown; those that the user gave may not.
            if self.background is not None:
                raise
            return Texts(classes, None)

    def _prompts(self, two: TwoTower, names: Sequence[str]) -> list[str]:
        plain = prompts_for(names, "{name}" if self.template is None else self.template)
        return two.prompts(plain) if self.template is None else plain


def _words(vlm: VLM, names: Sequence[str]) -> Words:
    by_piece: dict[int, list[int]] = {}
    left_out: list[str] = []
    for place, name in enumerate(names):
        try:
            piece = vlm.adapter.vocabulary.first_piece(f" {name}")
        except InputError:
            left_out.append(name)
            continue
        by_piece.setdefault(piece, []).append(place)
    alone = {piece: places[0] for piece, places in by_piece.items() if len(places) == 1}
    left_out += [names[k] for places in by_piece.values() if len(places) > 1 for k in places]
    return Words(tuple(alone), tuple(alone.values()), tuple(sorted(left_out)))
