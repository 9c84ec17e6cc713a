"""The prompts about a sample: the paper's three tasks, and the objects that carry each answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from .. import arguments
from ..data import Sample
from ..data.scenes import article as article_of

TASKS = ("generative", "polling", "question")
NO_OBJECT: tuple[int, ...] = ()

DESCRIBE = "Describe this image."
"""The paper's generative prompt, verbatim."""
DESCRIBE_LENS = "Describe the image."
"""The lens viewer's prompt in the released code; it says "the", not "this"."""
PREFILL = "It is a"
"""The paper's prefill of a question's answer."""
_NAMED_BY_KIND = frozenset({"kind", "relation", "question"})
"""Kinds of questions whose answer is an object's name, so that `PREFILL` fits before it."""


@dataclass(frozen=True)
class Ask:
    """One prompt about one sample, and the answer that counts as correct.

    `objects` are the indices of the sample's objects that carry the answer; empty for a polling
    question about something absent. `text` and `prefill` are passed to `vlm.prompt`.
    """

    task: str
    kind: str
    text: str
    answer: str
    objects: tuple[int, ...]
    prefill: str | None = None

    def decoded(self, generated: str) -> str:
        """Returns the text to which the paper's rules apply: it includes the prompt."""
        return " ".join(part for part in (self.text, self.prefill, generated) if part)


@dataclass(frozen=True)
class PromptOptions:
    """Which prompts a study puts to a sample, and about which objects.

    Args:
        unique: only objects whose name occurs once in the image, as in the paper: with a second
            instance the answer survives the loss of the first.
        min_area, max_area: visible pixels of an object, exclusive bounds (the paper: 1000, 2000);
            None for no bound.
        max_instances: only images with at most this many objects (the paper: 3); None for any.
        max_objects: maximum number of objects per image for the first two tasks (the first ones).
        article: "a" as in the paper, or "auto" for a or an.
        question_kinds: kinds of `Question` to ask (see `Question.kind`).
        max_questions: maximum number of questions per image (the first ones).
        prefill: put before the answer to questions that ask for an object's name.
        absent: also ask polling questions about absent objects, for the balanced accuracy.
        unlocated: also ask questions that do not name the objects they are about.
    """

    unique: bool = True
    min_area: float | None = None
    max_area: float | None = None
    max_instances: int | None = None
    max_objects: int | None = None
    article: str = "a"
    question_kinds: tuple[str, ...] = ("color", "kind", "relation", "question")
    max_questions: int | None = None
    prefill: str | None = None
    absent: bool = True
    unlocated: bool = False

    def __post_init__(self) -> None:
        arguments.checked_fields(self)
        arguments.one_of(self.article, ("a", "auto"), "article")


def recorded(options: PromptOptions) -> dict[str, object]:
    """Returns the options as recorded; later ones only if used, so that earlier runs keep their
    identity."""
    record = asdict(options)
    if not options.unlocated:
        del record["unlocated"]
    return record


DEFAULT_PROMPTS = PromptOptions()
PAPER_PROMPTS = PromptOptions(
    min_area=1000, max_area=2000, max_instances=3, max_objects=1, prefill=PREFILL
)
"""The paper's choice of COCO images and targets (section 3 and the released code): at most three
annotations, and the first category with exactly one instance, of 1,000 to 2,000 pixels."""


def studied_objects(sample: Sample, options: PromptOptions) -> tuple[int, ...]:
    """Returns indices of the objects that the generative and the polling task are about."""
    everything = (*sample.objects, *sample.others)
    if options.max_instances is not None and len(everything) > options.max_instances:
        return ()
    count = Counter(obj.name for obj in everything)
    chosen = []
    for index, obj in enumerate(sample.objects):
        if options.unique and count[obj.name] > 1:
            continue
        if options.min_area is not None and obj.area <= options.min_area:
            continue
        if options.max_area is not None and obj.area >= options.max_area:
            continue
        chosen.append(index)
    return tuple(chosen[: options.max_objects])


@arguments.checked
def polling_text(name: str, article: str = "a") -> str:
    """ "Is there a {name} in this image?"; the paper never writes "an"."""
    return f"Is there {article_of(name) if article == 'auto' else 'a'} {name} in this image?"


def asks_of(sample: Sample, tasks: Sequence[str], options: PromptOptions) -> tuple[Ask, ...]:
    """Returns all prompts about `sample`, generative ones first; equal prompts are adjacent."""
    asks: list[Ask] = []
    objects = studied_objects(sample, options)
    names = [sample.objects[index].name for index in objects]
    if "generative" in tasks:
        asks += [
            Ask("generative", "caption", DESCRIBE, name, (index,))
            for index, name in zip(objects, names, strict=True)
        ]
    if "polling" in tasks:
        asks += [
            Ask("polling", "polling", polling_text(name, options.article), "yes", (index,))
            for index, name in zip(objects, names, strict=True)
        ]
        if options.absent:
            asks += _absent(sample, options.article)
    if "question" in tasks:
        asks += question_asks(
            sample,
            options.question_kinds,
            options.prefill,
            options.max_questions,
            options.unlocated,
        )
    return tuple(asks)


def question_asks(
    sample: Sample,
    kinds: Sequence[str],
    prefill: str | None = None,
    limit: int | None = None,
    unlocated: bool = False,
) -> tuple[Ask, ...]:
    """Returns the sample's questions of these kinds that name the objects carrying their answer.

    Args:
        sample: the sample.
        kinds: kinds of questions.
        prefill: put before the answer to questions that ask for a name.
        limit: maximum number of questions.
        unlocated: also return those that name no object.
    """
    asks = [
        Ask(
            "question",
            question.kind,
            question.question,
            question.answer,
            question.about,
            prefill if question.kind in _NAMED_BY_KIND else None,
        )
        for question in sample.questions
        if question.kind in kinds and (question.about or unlocated)
    ]
    return tuple(asks[:limit])


def _absent(sample: Sample, article: str) -> list[Ask]:
    asks = []
    for question in sample.questions:
        if question.kind == "polling" and question.answer.lower() == "no":
            text = question.question
            if article == "a":
                text = text.replace("Is there an ", "Is there a ", 1)
            asks.append(Ask("polling", "polling", text, "no", NO_OBJECT))
    return asks


def object_label(sample: Sample, ask: Ask) -> str:
    """Returns the names of the objects that carry the answer, joined by "+"."""
    return "+".join(sample.objects[index].name for index in ask.objects)


def known_names(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Returns all object names, sorted."""
    return tuple(sorted({obj.name for sample in samples for obj in sample.objects}))
