"""What one interface answers about one scene: every question, and a description."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...answers.objects import Overlap, objects_named
from ...answers.scoring import ModelOutput, Score, Scorer
from ...answers.tasks import DESCRIBE, Ask
from ...data import Question, Sample
from ...errors import InputError
from ...store import Scalar
from .._executor import Rows
from .options import LOWER, SMALL_RADIUS

if TYPE_CHECKING:
    from ...engine import VLM, Run, Runs

_POLLING = "polling"


@dataclass(frozen=True, eq=False)
class AskedScene:
    """A scene, and what it takes to ask about it.

    Attributes:
        sample: the scene.
        radii: radius of each of its objects, in pixels.
        known: the names that objects can have.
    """

    sample: Sample
    radii: Sequence[float]
    known: Sequence[str]

    def asks(self) -> list[tuple[str, Ask]]:
        """Returns the measure and the prompt of each question."""
        return [(measure_of(question), _ask(question)) for question in self.sample.questions]

    def size(self, objects: Sequence[int]) -> str | None:
        """Returns the size of the one object that a question is about."""
        if len(objects) != 1:
            return None
        return "small" if self.radii[objects[0]] <= SMALL_RADIUS else "large"


@dataclass(frozen=True, eq=False)
class CleanScene:
    """The clean passes of one interface on one scene.

    Attributes:
        runs: of each question, and last of the description.
        scores: of each question; None where the tokenizer does not know the answer.
        rows: of all questions and of the description.
    """

    runs: Runs
    scores: Sequence[Score | None]
    rows: Rows

    @property
    def describing(self) -> Run:
        return self.runs[-1]


def measure_of(question: Question) -> str:
    """Returns the measure to which a question belongs."""
    kind = question.kind
    if kind.startswith(_POLLING):
        return ("present" if question.answer == "yes" else "absent") + kind.removeprefix(_POLLING)
    return kind


def _ask(question: Question) -> Ask:
    task = _POLLING if question.kind.startswith(_POLLING) else "question"
    return Ask(task, question.kind, question.question, question.answer, question.about)


def ask_everything(vlm: VLM, scene: AskedScene, scorer: Scorer, longest: int) -> CleanScene:
    """Asks one interface every question about a scene, and for a description.

    Args:
        vlm: the interface with its language model.
        scene: the scene.
        scorer: scores its answers.
        longest: maximum number of tokens of the description.
    """
    asks = scene.asks()
    texts = [*(ask.text for _, ask in asks), DESCRIBE]
    image = scene.sample.image
    runs = vlm.run_many(image, [vlm.prompt(image, text) for text in texts])
    scores: list[Score | None] = []
    rows: Rows = []
    for item, ((measure, ask), run) in enumerate(zip(asks, runs[:-1], strict=True)):
        base: dict[str, Scalar] = {"item": item, "question": ask.text, "answer": ask.answer}
        try:
            score = scorer.score(ask, "corrected", ModelOutput(run.logits, after=run.ending))
        except InputError as error:
            scores.append(None)
            rows.append(base | {"error": str(error)})
            continue
        scores.append(score)
        base |= {"measure": measure, "size": scene.size(ask.objects)}
        base |= {"score": float(score.correct != (measure in LOWER))}
        rows.append(base | {"said": score.answer, "probability": score.probability})
    text = runs[-1].generate(max_new_tokens=longest).text
    rows += list(_described(scene, text, len(asks)))
    return CleanScene(runs, scores, rows)


def _described(scene: AskedScene, text: str, first: int) -> Iterator[dict[str, Scalar]]:
    """Yields a row for each kind in the scene, named or not, and one for the names' precision."""
    objects = scene.sample.objects
    named = objects_named(text, scene.known)
    count = Counter(one.name for one in objects)
    for number, name in enumerate(count):
        places = [i for i, one in enumerate(objects) if one.name == name]
        yield {
            "item": first + number,
            "measure": "caption-recall",
            "answer": name,
            "size": scene.size(places),
            "score": float(name in named),
            "said": text,
        }
    precision = Overlap.of(named, frozenset(count)).precision
    yield {
        "item": first + len(count),
        "measure": "caption-precision",
        "score": precision,
        "said": text,
    }
