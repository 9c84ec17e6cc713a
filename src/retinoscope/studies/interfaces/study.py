"""Visual interfaces side by side: what each tells the language model, and in which tokens.

Neo et al. 2024 ask of LLaVA's tokens, which are patches, whether objects are local in them, whether
they say words, and whether the last position reads them. Here the same is asked of interfaces whose
tokens are queries or fused states. Where a query looked is a guess at what it stands for; so each
scene is drawn again without each of its objects, and the tokens that differ are compared with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, cast

from ...answers.pieces import Answers
from ...answers.scoring import Scorer
from ...data import Sample, Scenes
from ...data.scenes import scene_layout
from ...engine import VLM, fill, load
from ...errors import InputError, RetinoscopeError, one_line
from ...recipes.interfaces import TRAIN_SEED
from ...sources import source_name
from .._examples import example_of
from .._executor import Tell
from .._models import describe, shown_name
from .._needs import Need
from .._sets import ImageTokens
from .._study import Example, Limits, Rows, Study, rng_of
from .._unknown_words import with_unknown_words
from ..lens.words import NamedVocabulary
from ..windows import PAPER_WINDOWS, windows_for
from .asked import AskedScene, ask_everything
from .audit import AuditRules, ObjectAudit, audit_objects
from .edits import Editing, TokenSets, word_rows
from .options import SETS, InterfacesOptions
from .pictures import outline_of, token_facts
from .summary import COLUMNS

if TYPE_CHECKING:
    from PIL.Image import Image

    from ...engine import Run
    from ...engine.fill import Fill
    from ...store import Json
    from .._readable import Readable


@dataclass(frozen=True, eq=False)
class _Subject:
    """One interface, and what asking it takes."""

    name: str
    vlm: VLM
    editing: Editing
    vocabulary: NamedVocabulary


@dataclass(frozen=True, eq=False, kw_only=True)
class InterfaceComparison(Study[tuple[_Subject, ...]]):
    """Questions, an audit of declared origins, and the paper's experiments, for each interface.

    All interfaces are asked the same about the same scenes; the column `interface` tells their
    rows apart. Rows of questions have a `measure` and a `score` from 0 to 1 (see
    `options.MEASURES`), and the `size` of the object that they are about, if it is one. Rows of the
    audit have `declared_by`, one for each object; rows of an edit have `edit` ("none" is the clean
    answer), `token_set` and, for a knockout, a window; rows of the lens have `word`, and lists by
    layer.

    An object's tokens are `token_share` of all, at least one: those with the largest share of what
    they stand for on the object ("declared": of their box, or of where the query looked, in which
    case equal ones are ordered by their distance), those that change most without the object
    ("changed"), or random others. Edits are made for one question about each object, of
    `options.EDITED`, whose kinds take turns.

    Args:
        vlm: the first interface with its language model.
        others: further ones, or their names; these are loaded to the first one's device, in its
            precision.
        token_share: share of the tokens taken as an object's.
        changed: share of the largest relative change above which a token has really changed.
        max_objects: maximum number of objects per image with edits.
        max_new_tokens: maximum length of a description.
    """

    others: tuple[Any, ...] = ()
    token_share: float = 0.125
    changed: float = 0.5
    max_objects: int | None = None
    max_new_tokens: int = 64

    name: ClassVar[str] = "interfaces"
    needs: ClassVar[str] = "scenes with objects"
    uses: ClassVar[tuple[Need, ...]] = (Need("objects", "objects", "objects in visual tokens"),)
    limits: ClassVar[Limits] = {
        "token_share": (0, 0.5),
        "changed": (0, 0.99),
        "max_objects": (0, None),
        "max_new_tokens": (1, None),
    }
    schema: ClassVar[int] = 1
    columns: ClassVar[tuple[str, ...]] = tuple(COLUMNS)

    def _check(self) -> None:
        if not isinstance(self.samples, Scenes):
            if not len(self.samples):
                return  # A worker replaces an empty sequence by its own samples.
            raise InputError(
                "expected drawn scenes (varied:N or scenes:N), which can be drawn again without an "
                f"object, got {source_name(self.samples)}"
            )
        if self.samples.seed == TRAIN_SEED:
            raise InputError(
                f"the packaged interfaces were trained on the scenes of seed {TRAIN_SEED}: choose "
                "another with --data-seed"
            )

    def _check_model(self) -> None:
        names = self._names
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise InputError(f"expected different interfaces, got {twice[0]} twice")

    def _given(self) -> Sequence[object]:
        return (self.vlm, *self.others)

    def studied(self) -> Sequence[VLM]:
        return self._models

    @cached_property
    def _models(self) -> tuple[VLM, ...]:
        return (self.vlm, *(_opened(other, self.vlm) for other in self.others))

    @cached_property
    def _names(self) -> list[str]:
        """The interfaces' names in the table."""
        full = [model.name.removeprefix("interface:") for model in self._models]
        short = list(map(shown_name, full))
        return short if len({*short}) == len(short) else full

    def asks(self, sample: Sample) -> Mapping[str, int]:
        return {"objects": len(sample.objects)}

    def _parameters(self) -> dict[str, object]:
        others = [list(describe(model)[:2]) for model in self._models[1:]]
        return super()._parameters() | {"others": others}

    def _depends_on(self, index: int, prints: Sequence[str], data: str) -> object:
        # The fill is a mean over all samples.
        return data

    def measure(self, readable: Readable, tell: Tell) -> tuple[Fill, ...]:
        fills = []
        for name, model in zip(self._names, self._models, strict=True):
            tell(f"mean visual token of {name}")
            fills.append(fill.mean(model, readable))
        return tuple(fills)

    def context(self, readable: Readable, measured: Sequence[Fill]) -> tuple[_Subject, ...]:
        subjects = []
        for name, model, mean in zip(self._names, self._models, measured, strict=True):
            answers = Answers(model.tokenizer)
            windows = windows_for(model.n_layers, tuple(PAPER_WINDOWS))
            editing = Editing(mean, windows, Scorer(answers), self.exact)
            vocabulary = NamedVocabulary(answers, model.vocab_size)
            subjects.append(_Subject(name, model, editing, vocabulary))
        return tuple(subjects)

    def _rows(
        self, context: tuple[_Subject, ...], index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        scenes = self.samples
        assert isinstance(scenes, Scenes)
        items = scene_layout(scenes.start + index, scenes.seed, scenes.options).items
        scene = AskedScene(sample, [item.radius_in_pixels for item in items], scenes.classes)
        bare = {item: scenes.without(index, item) for item in range(len(sample.objects))}
        rows: Rows = []
        drawn: list[Audited] = []
        for subject in context:
            try:
                new, audited = self._of_subject(subject, scene, bare)
            except RetinoscopeError as error:
                rows.append(
                    {"sample": sample.id, "item": 0, "interface": subject.name}
                    | {"error": one_line(error)}
                )
                continue
            rows += [{"sample": sample.id, "interface": subject.name} | row for row in new]
            drawn.append(audited)
        return rows, [example] if keep and (example := _example(sample, drawn)) else []

    def _of_subject(
        self, subject: _Subject, scene: AskedScene, bare: Mapping[int, Image]
    ) -> tuple[Rows, Audited]:
        """Returns the rows of one interface on one scene, and its audited objects."""
        vlm, sample = subject.vlm, scene.sample
        clean = ask_everything(vlm, scene, subject.editing.scorer, self.max_new_tokens)
        run = clean.describing
        rules = AuditRules(self.changed, self.token_share)
        audits = audit_objects(vlm, run, bare, sample.image, rules)
        sets = {
            audit.item: audit.sets(rng_of(self.seed, sample.id, "random", str(audit.item)))
            for audit in audits
        }
        rows: Rows = [*clean.rows]
        lens = run.lens(top_k=1, positions=run.image.tokens)
        for audit in audits:
            found = sample.objects[audit.item]
            rows.append({"item": audit.item, "object": found.name, **audit.columns})
            rows += word_rows(lens, subject.vocabulary, found, audit.item, sets[audit.item])
        asks = [ask for _, ask in scene.asks()]
        rows += subject.editing.rows(clean, asks, sets, self.max_objects)
        return rows, Audited(subject.name, run, audits, sets)

    def _full(self, rows: Rows) -> Rows:
        models = dict(zip(self._names, self._models, strict=True))
        return [
            row
            for name, some in groupby(super()._full(rows), itemgetter("interface"))
            for row in with_unknown_words([*some], models.get(name, self.vlm))
        ]


def _opened(model: VLM | str, first: VLM) -> VLM:
    """Opens a further model where the first one is, and in its precision."""
    if isinstance(model, VLM):
        return model
    if not isinstance(first, VLM):
        return load(model)  # The first one is on the workers, which open the others there.
    return load(model, device=first.device, dtype=first.dtype)


@dataclass(frozen=True, eq=False)
class Audited:
    """The objects of a scene in the tokens of one interface."""

    name: str
    run: Run
    audits: Sequence[ObjectAudit]
    sets: Mapping[int, TokenSets]


def _example(sample: Sample, drawn: Sequence[Audited]) -> Example | None:
    """Returns a picture of the first object in the tokens of each interface."""
    facts: list[Json] = []
    outline: list[list[int]] = []
    for one in drawn:
        for audit in one.audits[:1]:
            outline = outline_of(audit.mask)
            facts.append(token_facts(one.name, one.run, audit, one.sets[audit.item]))
    if not facts:
        return None
    first = drawn[0]
    item = first.audits[0].item
    sets = {SETS[source]: tokens for source, tokens in first.sets[item].items()}
    shown = {"object": sample.objects[item].name, "outline": outline, "interfaces": facts}
    return example_of(sample, ImageTokens(first.run), sets, cast("dict[str, Json]", shown))


def make(
    vlm: VLM, samples: Sequence[Sample], options: InterfacesOptions, *, seed: int, n_examples: int
) -> Study:
    """Makes the study from its options."""
    return InterfaceComparison(
        vlm,
        samples,
        seed=seed,
        n_examples=n_examples,
        others=options.interfaces,
        **options.shared_with(InterfaceComparison),
    )
