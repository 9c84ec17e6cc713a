"""Where a word looks: attention from the words of a description to the objects that they name.

Kaduri et al. 2024 (arXiv 2411.17491), section on localisation. The model describes the image; for
every object that it names, the attention of that word to the visual tokens is compared with the
object's mask, by block and head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from ...answers.named_tokens import named_tokens
from ...answers.scoring import refuse_nan
from ...answers.tasks import DEFAULT_PROMPTS, DESCRIBE, PromptOptions, recorded, studied_objects
from ...data import Sample
from ...errors import InputError
from ...store import Scalar
from .._examples import example_of
from .._needs import Need
from .._sets import ImageTokens, Indices, object_sets
from .._shuffled import other_mask, partners
from .._study import Example, Limits, Rows, Study
from .._untrained import untrained_copy
from .options import LookOptions
from .summary import COLUMNS, ROWS

if TYPE_CHECKING:
    from ...engine import VLM, Run

MEAN = -1
"""In place of a head: the mean of all heads."""


@dataclass(frozen=True)
class _LookContext:
    models: dict[str, VLM]


@dataclass(frozen=True, eq=False, kw_only=True)
class WordAttention(Study[_LookContext]):
    """Attention of generated object words to the image, by block and head.

    A word counts if the description names the object by a whole word, a synonym or a plural; the
    first mention is used, and for a word of several tokens the mean of their rows. "The word's
    attention" can mean two rows, and both are measured: "predicting", at the position that chooses
    the word, and "word", at the word itself. Attention to the image is scaled to add up to 1 there.
    "inside" is its mass on the object's tokens, "peak" whether its largest token is one of them (of
    equal ones, the share that is), "chance" the object's share of the visual tokens, and
    "shuffled_inside" and "shuffled_peak" the same under another image's mask. `head` -1 is the mean
    of all heads. The copy with random weights ("untrained") reads the same description.

    Args:
        objects: which objects are studied.
        max_new_tokens: maximum length of a description.
        min_cover: share of a token's box that a mask must cover; 0 for any overlap.
        untrained: also run a copy with random weights.
    """

    objects: PromptOptions = DEFAULT_PROMPTS
    max_new_tokens: int = 64
    min_cover: float = 0.0
    untrained: bool = True

    name: ClassVar[str] = "look"
    needs: ClassVar[str] = "objects that the model names when it describes their image"
    uses: ClassVar[tuple[Need, ...]] = (Need("objects", "objects", "looks from named objects"),)
    intervenes: ClassVar[bool] = False
    limits: ClassVar[Limits] = {
        "max_new_tokens": (1, None),
        "min_cover": (0, 1),
    }
    schema: ClassVar[int] = 1
    columns: ClassVar[tuple[str, ...]] = tuple(COLUMNS)

    def _check_model(self) -> None:
        self.vlm.capabilities.require("attention")

    def asks(self, sample: Sample) -> Mapping[str, int]:
        return {"objects": len(studied_objects(sample, self.objects))}

    def _parameters(self) -> dict[str, object]:
        return super()._parameters() | {"objects": recorded(self.objects)}

    def _depends_on(self, index: int, prints: Sequence[str], data: str) -> object:
        # The mask that is borrowed for this image depends on all samples.
        return data

    @cached_property
    def _partners(self) -> dict[int, int]:
        return partners(len(self.samples), self.seed)

    def _prepare(self, readable: Sequence[Sample]) -> _LookContext:
        models = {"trained": self.vlm}
        if self.untrained:
            models["untrained"] = untrained_copy(self.vlm, self.seed)
        return _LookContext(models)

    def _rows(
        self, context: _LookContext, index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        chosen = studied_objects(sample, self.objects)
        if not chosen:
            return [], []
        run = self.vlm.run(self.vlm.prompt(sample.image, DESCRIBE))
        refuse_nan(run.logits)
        description = run.generate(self.max_new_tokens, keep_logits=False)
        spans = {
            item: span
            for item in chosen
            if (span := named_tokens(self.vlm, description, sample.objects[item].name)) is not None
        }
        rows: Rows = []
        examples: list[Example] = []
        for weights, model in context.models.items() if spans else ():
            read = model.run(
                model.prompt(sample.image, DESCRIBE), continuation=description.token_ids.tolist()
            )
            image = ImageTokens(read)
            for item, span in spans.items():
                base: dict[str, Scalar] = {
                    "sample": sample.id,
                    "item": item,
                    "object": sample.objects[item].name,
                    "weights": weights,
                }
                try:
                    masks = self._masks(index, sample, image, item)
                except InputError as error:
                    rows += [base | {"error": str(error)}] if weights == "trained" else []
                    continue
                rows += [base | row for row in _looks(read, run.n, span, image, *masks)]
            if keep and weights == "trained":
                facts = {"question": DESCRIBE, "before": description.text}
                examples.append(example_of(sample, image, {}, facts))
        return rows, examples

    def _masks(
        self, index: int, sample: Sample, image: ImageTokens, item: int
    ) -> tuple[Indices, Indices]:
        """Returns the object's tokens, and those under another image's mask (empty without one)."""
        here = object_sets(image, [sample.objects[item].mask], self.min_cover)["object"]
        partner = self._partners.get(index)
        if partner is None:
            return here, ()
        mask = other_mask(self.samples, partner, item, sample, self.objects)
        return here, () if mask is None else image.indices(image.covering(mask, self.min_cover))


def _looks(
    run: Run, n: int, span: tuple[int, int], image: ImageTokens, here: Indices, other: Indices
) -> Rows:
    """Returns one row per kind of row, block and head; `n` is the prompt's length."""
    first, last = span
    places = list(range(n + first, n + last))
    visual = list(run.image.positions)
    rows: Rows = []
    for layer in range(run.vlm.n_layers):
        for kind, shift in zip(ROWS, (1, 0), strict=True):
            # The last word of the text was still read: the run holds all of it.
            weights = run.attention(layer, [place - shift for place in places])
            to_image = weights[:, :, visual].float().mean(1).cpu()
            for head, values in [(MEAN, to_image.mean(0)), *enumerate(to_image)]:
                rows.append(
                    {"row": kind, "layer": layer, "head": head, "n_tokens": len(here)}
                    | _measures(values, here, other)
                )
    return rows


def _measures(values: torch.Tensor, here: Indices, other: Indices) -> dict[str, Scalar]:
    whole = float(values.sum())
    measures: dict[str, Scalar] = {"to_image": whole, "chance": len(here) / len(values)}
    # A head that does not look at the image looks nowhere in it: undefined, not 0.
    if whole == 0:
        return measures
    largest = (values == values.max()).nonzero()[:, 0].tolist()
    for prefix, tokens in (("", here), ("shuffled_", other)):
        if tokens:
            inside = set(tokens)
            measures[f"{prefix}inside"] = float(values[list(tokens)].sum()) / whole
            measures[f"{prefix}peak"] = sum(i in inside for i in largest) / len(largest)
    return measures


def make(
    vlm: VLM, samples: Sequence[Sample], options: LookOptions, *, seed: int, n_examples: int
) -> Study:
    """Makes the study from its options."""
    given: dict[str, Any] = options.shared_with(WordAttention)
    objects = PromptOptions(**options.shared_with(PromptOptions))
    return WordAttention(vlm, samples, seed=seed, n_examples=n_examples, objects=objects, **given)
