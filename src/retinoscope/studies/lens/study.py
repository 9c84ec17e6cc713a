"""Lenses on visual tokens: do an object's tokens name the object, and at which layer?

Neo et al. 2024, section 4.1, with the logit lens; the same by other kinds of lens on the same
tokens. At every layer the nearest word of each visual token is read, and the object's tokens that
have its name are counted. Controls: tokens of no object, the same name under another image's mask,
and a copy of the model with random weights. For a model of parts that were trained separately, a
random projector and a random language model separate the contributions of the parts. A lens that
has to be fitted is fitted to each of these models anew, on images that are not studied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ...answers.pieces import Answers
from ...answers.scoring import refuse_nan
from ...answers.tasks import (
    DEFAULT_PROMPTS,
    DESCRIBE_LENS,
    PromptOptions,
    known_names,
    recorded,
    studied_objects,
)
from ...data import Sample
from ...errors import CapabilityError, InputError
from ...lens import Kind
from ...store import Json, Scalar
from .._examples import example_of
from .._executor import Tell
from .._needs import Need
from .._readable import Readable
from .._sets import ImageTokens, Indices
from .._shuffled import other_mask, partners
from .._study import Example, Limits, Rows, Study
from .._untrained import random_adapter, untrained_copy, untrained_language
from .counting import Counting
from .groups import groups_of
from .options import COVERS, FITTED, KINDS, LensKind, LensOptions
from .readers import NO_FITS, LensFits, TopWords, fits_of, top_words
from .summary import COLUMNS
from .words import NamedVocabulary

if TYPE_CHECKING:
    from ...engine import VLM


@dataclass(frozen=True)
class _Measured:
    """What is computed once over all samples.

    Attributes:
        names: the known names of objects.
        kinds: weights -> kind of lens -> the lens, fitted to the model with these weights.
    """

    names: tuple[str, ...]
    kinds: Mapping[str, Mapping[str, Kind]]


@dataclass(frozen=True)
class _LensContext:
    counting: Counting
    models: dict[str, VLM]
    kinds: Mapping[str, Mapping[str, Kind]]


@dataclass(frozen=True, eq=False, kw_only=True)
class LogitLens(Study[_LensContext]):
    """The paper's lens measurement, by kind of lens and by layer, with its controls.

    Groups: "object" (tokens of the object), "inner" and "border" (those of them without and with a
    neighbour that is not the object's), "background" (tokens of no object), "shuffled" (the
    object's name under a mask of another image; a seeded derangement chooses it, and masks of
    another size are scaled). With a single sample there is no shuffled group.

    Args:
        kinds: kinds of lens, read on the same tokens.
        fits: where those that are fitted come from.
        objects: which objects are studied (`unique` and the area bounds; the paper: 20,000 to
            30,000 pixels).
        covers: shares of a token's box that a mask must cover; every object is counted at each of
            them, from one pass (0: any overlap). The paper's rule is uncertain, 0.5 in one account
            and any overlap in another, and the result can depend on it.
        untrained: also run a copy of the model with random weights, which needs its memory again.
        near: number of entries of the vocabulary around an object's name, by the language model's
            own embeddings, that count as near it (each has a chance of `near` over the vocabulary's
            size). The same is counted for another name, if the data have one. With 0, neither this
            is measured nor pieces, synonyms and words.
        parts: also run the model with a random projector, and with a random language model after
            the trained projector.
        prompt: that of the released code's viewer. The visual tokens are before it and, in a causal
            decoder, do not depend on it.
        example_layers: number of layers, evenly spread, that are kept for the pictures.
    """

    objects: PromptOptions = DEFAULT_PROMPTS
    kinds: tuple[LensKind, ...] = ("logit",)
    fits: LensFits = NO_FITS
    covers: tuple[float, ...] = COVERS
    untrained: bool = True
    near: int = 0
    parts: bool = False
    prompt: str = DESCRIBE_LENS
    example_layers: int = 5

    name: ClassVar[str] = "lens"
    needs: ClassVar[str] = (
        "objects whose name is unique in their image, within the bounds of PromptOptions"
    )
    uses: ClassVar[tuple[Need, ...]] = (
        Need("objects", "objects", "tokens of objects are read as words"),
    )
    intervenes: ClassVar[bool] = False
    limits: ClassVar[Limits] = {"near": (0, None)}
    schema: ClassVar[int] = 4
    columns: ClassVar[tuple[str, ...]] = tuple(COLUMNS)

    def _check(self) -> None:
        if not self.covers or not all(0 <= cover <= 1 for cover in self.covers):
            raise InputError(
                f"covers are shares of a token's box, each from 0 to 1, got {self.covers}"
            )
        if len(set(self.covers)) < len(self.covers):
            raise InputError(f"expected each cover once, got {self.covers}")

        if not self.kinds or len(set(self.kinds)) < len(self.kinds):
            raise InputError(
                f"expected at least one kind of lens, each once, of {', '.join(KINDS)}; got "
                f"{', '.join(self.kinds) or 'none'}"
            )
        self.fits.require(self.kinds)

    def _check_model(self) -> None:
        if not 0 <= self.near < self.vlm.vocab_size:
            raise InputError(
                f"expected 0 <= near < {self.vlm.vocab_size} (the vocabulary), got {self.near}"
            )

    def asks(self, sample: Sample) -> Mapping[str, int]:
        return {"objects": len(studied_objects(sample, self.objects))}

    def _parameters(self) -> dict[str, object]:
        return super()._parameters() | {
            "objects": recorded(self.objects),
            "fits": self.fits.recorded(self.kinds),
        }

    def _placed(self, out: Path) -> Self:
        return replace(self, fits=replace(self.fits, folder=out / "lenses"))

    def _depends_on(self, index: int, prints: Sequence[str], data: str) -> object:
        # The known names, and the masks that are borrowed, depend on all samples.
        return data

    @cached_property
    def _partners(self) -> dict[int, int]:
        return partners(len(self.samples), self.seed)

    def measure(self, readable: Readable, tell: Tell) -> _Measured:
        self.fits.require_others(self.kinds, readable)
        models = self._models() if set(self.kinds) & {*FITTED} else {"trained": self.vlm}
        kinds = {
            weights: self.fits.kinds(self.kinds, model, weights, tell)
            for weights, model in models.items()
        }
        return _Measured(known_names(readable), kinds)

    def context(self, readable: Readable, measured: _Measured) -> _LensContext:
        embeddings = self._embeddings() if self.near else None
        vocabulary = NamedVocabulary(
            Answers(self.vlm.tokenizer), self.vlm.vocab_size, embeddings, self.near
        )
        models = self._models()
        # Kinds that are not fitted are the same for all models.
        kinds = {
            weights: measured.kinds.get(weights, measured.kinds["trained"]) for weights in models
        }
        return _LensContext(Counting(vocabulary, measured.names, self.near > 0), models, kinds)

    def _models(self) -> dict[str, VLM]:
        """Returns the model and its controls by their weights."""
        models = {"trained": self.vlm}
        if self.untrained:
            models["untrained"] = untrained_copy(self.vlm, self.seed)
        if self.parts:
            models["random adapter"] = random_adapter(self.vlm, self.seed)
            models["untrained language"] = untrained_language(self.vlm, self.seed)
        return models

    def _embeddings(self) -> np.ndarray:
        table: Any = self.vlm.model.get_input_embeddings()
        weight = table.weight
        if weight.dim() != 2 or len(weight) < self.vlm.vocab_size:
            raise CapabilityError("near words need the embeddings as one matrix: leave near out")
        return weight[: self.vlm.vocab_size].detach().float().cpu().numpy()

    def _rows(
        self, context: _LensContext, index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        chosen = studied_objects(sample, self.objects)
        if not chosen:
            return [], []
        rows: Rows = []
        examples: list[Example] = []
        for weights, model in context.models.items():
            run = model.run(model.prompt(sample.image, self.prompt))
            refuse_nan(run.logits)
            image = ImageTokens(run)
            words = top_words(run, context.kinds[weights])
            for item in chosen:
                rows += self._object(context, index, sample, image, item, words, weights)
            if keep and weights == "trained":
                examples.append(self._example(context, sample, image, chosen, words))
        return rows, examples

    def _object(
        self,
        context: _LensContext,
        index: int,
        sample: Sample,
        image: ImageTokens,
        item: int,
        words: Mapping[str, TopWords],
        weights: str,
    ) -> Rows:
        """Counts what each kind of lens reads on one object."""
        obj = sample.objects[item]
        base: dict[str, Scalar] = {
            "sample": sample.id,
            "item": item,
            "object": obj.name,
            "color": obj.color,
            "weights": weights,
        }
        partner = self._partners.get(index)
        other = (
            None
            if partner is None
            else other_mask(self.samples, partner, item, sample, self.objects)
        )
        try:
            groups = groups_of(image, sample, item, self.covers, other)
        except InputError as error:
            return [base | {"error": str(error)}] if weights == "trained" else []
        return [base | row for row in context.counting.rows(obj, words, groups)]

    def _example(
        self,
        context: _LensContext,
        sample: Sample,
        image: ImageTokens,
        chosen: Sequence[int],
        words: Mapping[str, TopWords],
    ) -> Example:
        pieces = context.counting.vocabulary.pieces
        shown: dict[str, Json] = {}
        for kind, top in words.items():
            places = np.linspace(0, len(top.layers) - 1, self.example_layers).round().astype(int)
            shown[kind] = {
                str(top.layers[row]): [pieces[int(index)] for index in top.ids[row]]
                for row in np.unique(places)
            }
        sets: dict[str, Indices] = {}
        for item in chosen:
            obj = sample.objects[item]
            covered = image.covering(obj.mask, min(self.covers)) if obj.mask.any() else None
            if covered is not None:
                sets[obj.name] = image.indices(covered)
        return example_of(sample, image, sets, {"question": self.prompt, "words": shown})


def make(
    vlm: VLM, samples: Sequence[Sample], options: LensOptions, *, seed: int, n_examples: int
) -> Study:
    """Makes the study from its options.

    Raises:
        InputError: a lens that has to be fitted, without data other than those studied.
    """
    given: dict[str, Any] = options.shared_with(LogitLens)
    objects = PromptOptions(**options.shared_with(PromptOptions))
    return LogitLens(
        vlm,
        samples,
        seed=seed,
        n_examples=n_examples,
        objects=objects,
        fits=fits_of(options, samples, seed),
        **given,
    )
