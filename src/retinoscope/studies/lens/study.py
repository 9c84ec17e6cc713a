"""The logit lens on visual tokens: do an object's tokens name the object, and at which layer?

Neo et al. 2024, section 4.1. At every layer the residual stream at the visual tokens is unembedded
(final norm, then the output matrix), and the object's tokens that have its name as their top-1 word
are counted. Controls: tokens of no object, the same name under another image's mask, and a copy of
the model with random weights. For a model of parts that were trained separately, a random projector
and a random language model separate the contributions of the parts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

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
from ...store import Json, Scalar
from .._examples import example_of
from .._needs import Need
from .._readable import Readable
from .._sets import ImageTokens, Indices, object_sets
from .._shuffled import other_mask, partners
from .._study import Example, Limits, Rows, Study
from .._untrained import random_adapter, untrained_copy, untrained_language
from .options import COVERS, LensOptions
from .summary import COLUMNS
from .words import NamedVocabulary

if TYPE_CHECKING:
    from ...engine import VLM

GROUPS = ("object", "background", "shuffled")
WEIGHTS = ("trained", "untrained", "random adapter", "untrained language")
_SHOWN_WORDS = 12
"""Number of most common words of an object's tokens that a row keeps."""


@dataclass(frozen=True)
class _LensContext:
    vocabulary: NamedVocabulary
    known: tuple[str, ...]
    names: np.ndarray
    models: dict[str, VLM]


@dataclass(frozen=True, eq=False, kw_only=True)
class LogitLens(Study[_LensContext]):
    """The paper's lens measurement, by layer, with its controls.

    Groups: "object" (tokens of the object), "background" (tokens of no object), "shuffled" (the
    object's name under a mask of another image; a seeded derangement chooses it, and masks of
    another size are scaled). With a single sample there is no shuffled group.

    Args:
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
    schema: ClassVar[int] = 3
    columns: ClassVar[tuple[str, ...]] = tuple(COLUMNS)

    def _check(self) -> None:
        if not self.covers or not all(0 <= cover <= 1 for cover in self.covers):
            raise InputError(
                f"covers are shares of a token's box, each from 0 to 1, got {self.covers}"
            )
        if len(set(self.covers)) < len(self.covers):
            raise InputError(f"expected each cover once, got {self.covers}")

    def _check_model(self) -> None:
        if not 0 <= self.near < self.vlm.vocab_size:
            raise InputError(
                f"expected 0 <= near < {self.vlm.vocab_size} (the vocabulary), got {self.near}"
            )

    def asks(self, sample: Sample) -> Mapping[str, int]:
        return {"objects": len(studied_objects(sample, self.objects))}

    def _parameters(self) -> dict[str, object]:
        return super()._parameters() | {"objects": recorded(self.objects)}

    def _depends_on(self, index: int, prints: Sequence[str], data: str) -> object:
        # The known names, and the masks that are borrowed, depend on all samples.
        return data

    @cached_property
    def _partners(self) -> dict[int, int]:
        return partners(len(self.samples), self.seed)

    def measure(self, readable: Readable) -> tuple[str, ...]:
        return known_names(readable)

    def context(self, readable: Readable, measured: tuple[str, ...]) -> _LensContext:
        embeddings = self._embeddings() if self.near else None
        vocabulary = NamedVocabulary(
            Answers(self.vlm.tokenizer), self.vlm.vocab_size, embeddings, self.near
        )
        models = {"trained": self.vlm}
        if self.untrained:
            models["untrained"] = untrained_copy(self.vlm, self.seed)
        if self.parts:
            models["random adapter"] = random_adapter(self.vlm, self.seed)
            models["untrained language"] = untrained_language(self.vlm, self.seed)
        return _LensContext(vocabulary, measured, vocabulary.any_of(measured), models)

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
            top = run.lens(top_k=1, positions=run.image.tokens).ids[..., 0].cpu().numpy()
            for item in chosen:
                rows += self._object(context, index, sample, image, item, top, weights)
            if keep and weights == "trained":
                examples.append(self._example(context, sample, image, chosen, top))
        return rows, examples

    def _object(
        self,
        context: _LensContext,
        index: int,
        sample: Sample,
        image: ImageTokens,
        item: int,
        top: np.ndarray,
        weights: str,
    ) -> Rows:
        """Counts one object's words; `top` is (layers + 1, n) top-1 ids."""
        obj = sample.objects[item]
        base: dict[str, Scalar] = {
            "sample": sample.id,
            "item": item,
            "object": obj.name,
            "color": obj.color,
            "weights": weights,
        }
        try:
            groups = self._groups(index, sample, image, item)
        except InputError as error:
            return [base | {"error": str(error)}] if weights == "trained" else []
        name = context.vocabulary.name(obj.name)
        hits = {
            "strict": np.isin(top, name.strict),
            "lenient": np.isin(top, name.lenient),
            "colour": np.isin(top, context.vocabulary.word(obj.color)),
            "any_kind": np.isin(top, context.names),
        }
        if self.near:
            around = context.vocabulary.around(obj.name)
            hits |= {
                "piece": np.isin(top, around.piece),
                "synonym": np.isin(top, around.synonym),
                "near": np.isin(top, around.near),
            }
            known = context.known
            if len(known) > 1:
                # The next of the known names: always another one, the same for every layer.
                other = known[(known.index(obj.name) + 1) % len(known)]
                hits["near_other"] = np.isin(top, context.vocabulary.around(other).near)
        return [
            base
            | {"group": group, "cover": cover, "layer": layer, "n_tokens": len(tokens)}
            | {measure: int(hit[layer, list(tokens)].sum()) for measure, hit in hits.items()}
            | ({"words": self._words(context, top[layer, list(tokens)])} if self.near else {})
            for (group, cover), tokens in groups.items()
            for layer in range(len(top))
        ]

    def _words(self, context: _LensContext, ids: np.ndarray) -> str:
        """Returns the most common top-1 entries of some tokens with their counts, as JSON."""
        pieces = context.vocabulary.pieces
        counts = Counter(pieces[int(index)] for index in ids)
        return json.dumps(dict(counts.most_common(_SHOWN_WORDS)), ensure_ascii=False)

    def _groups(
        self, index: int, sample: Sample, image: ImageTokens, item: int
    ) -> dict[tuple[str, float | None], Indices]:
        """Returns tokens by group and cover; those of no object have no cover.

        Raises:
            InputError: the object has no token at any cover.
        """
        groups: dict[tuple[str, float | None], Indices] = {}
        mask = sample.objects[item].mask
        missed: InputError | None = None
        for cover in self.covers:
            try:
                groups["object", cover] = object_sets(image, [mask], cover)["object"]
            except InputError as error:
                missed = error
        if not groups and missed is not None:
            raise missed
        present = (*sample.objects, *sample.others)
        everything = [obj.mask for obj in present if obj.mask.any()]
        # By any overlap, whatever the covers: a token at an object's edge is not background.
        taken = set(object_sets(image, everything)["object"])
        groups["background", None] = tuple(i for i in range(image.n) if i not in taken)
        partner = self._partners.get(index)
        other = (
            None
            if partner is None
            else other_mask(self.samples, partner, item, sample, self.objects)
        )
        if other is not None:
            for cover in self.covers:
                groups["shuffled", cover] = image.indices(image.covering(other, cover))
        return {group: tokens for group, tokens in groups.items() if tokens}

    def _example(
        self,
        context: _LensContext,
        sample: Sample,
        image: ImageTokens,
        chosen: Sequence[int],
        top: np.ndarray,
    ) -> Example:
        layers = np.unique(np.linspace(0, len(top) - 1, self.example_layers).round().astype(int))
        pieces = context.vocabulary.pieces
        words: dict[str, Json] = {
            str(layer): [pieces[int(index)] for index in top[layer]] for layer in layers
        }
        sets: dict[str, Indices] = {}
        for item in chosen:
            obj = sample.objects[item]
            covered = image.covering(obj.mask, min(self.covers)) if obj.mask.any() else None
            if covered is not None:
                sets[obj.name] = image.indices(covered)
        return example_of(sample, image, sets, {"question": self.prompt, "words": words})


def make(
    vlm: VLM, samples: Sequence[Sample], options: LensOptions, *, seed: int, n_examples: int
) -> Study:
    """Makes the study from its options."""
    given: dict[str, Any] = options.shared_with(LogitLens)
    objects = PromptOptions(**options.shared_with(PromptOptions))
    return LogitLens(vlm, samples, seed=seed, n_examples=n_examples, objects=objects, **given)
