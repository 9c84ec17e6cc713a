"""Samples for the studies' tests: two or three coloured squares on grey."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from retinoscope.data import Object, Question, Sample
from retinoscope.engine import Knockout, fill
from retinoscope.models import Layout, Vocabulary
from retinoscope.tokens import Positions, TokenSet

COLORS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 180, 30)}


def draw(number: int, size: int = 56) -> Sample:
    """Sample `number`: a red car and a blue fish, at places that depend on the number."""
    rng = np.random.default_rng(number)
    pixels = np.full((size, size, 3), 128, np.uint8)
    objects = []
    half = size // 2
    for index, (name, color) in enumerate([("car", "red"), ("fish", "blue")]):
        side = size // 4
        x = int(rng.integers(0, half - side - 4)) + (half + 4) * index
        y = int(rng.integers(0, size - side))
        mask = np.zeros((size, size), bool)
        mask[y : y + side, x : x + side] = True
        pixels[mask] = COLORS[color]
        objects.append(Object(name, mask, (x, y, x + side, y + side), color))
    return Sample(
        id=f"drawn-{number}",
        image=Image.fromarray(pixels),
        objects=tuple(objects),
        captions=("a red car and a blue fish.",),
        questions=(
            Question("Is there a car in this image?", "yes", "polling", (0,)),
            Question("Is there an apple in this image?", "no", "polling"),
            Question("What color is the car?", "red", "color", (0,)),
            Question("What is right of the car?", "fish", "relation", (1,)),
            Question("How many things are there?", "two", "count"),
        ),
    )


@pytest.fixture(scope="session")
def make_sample() -> Callable[..., Sample]:
    return draw


@pytest.fixture(scope="session")
def make_samples() -> Callable[..., list[Sample]]:
    return lambda n, size=56: [draw(number, size) for number in range(n)]


@pytest.fixture(scope="session")
def without_mask() -> Callable[[Sample, int], Sample]:
    """Gives a sample with one object's mask emptied."""

    def empty(sample: Sample, index: int) -> Sample:
        objects = list(sample.objects)
        objects[index] = replace(objects[index], mask=np.zeros_like(objects[index].mask))
        return replace(sample, objects=tuple(objects))

    return empty


WORDS = (
    *("<pad>", "<unk>", "a", "and", "yes", "no", "nothing"),
    *("red", "blue", "green", "car", "fish", "apple", "tree"),
)


class WordTokenizer:
    """One token per word; unknown words are `<unk>`."""

    unk_token_id = 1

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        known = {word: index for index, word in enumerate(WORDS)}
        return {"input_ids": [known.get(word, 1) for word in text.lower().split()]}

    def tokenize(self, text: str) -> list[str]:
        return [WORDS[index] for index in self(text)["input_ids"]]

    def decode(self, ids: list[int], **options: bool) -> str:
        return " ".join(WORDS[index] for index in ids)


GRID, FIRST, QUESTION_LENGTH, LAYERS = 7, 2, 6, 8


class Seeing:
    """A run of the seer: the image's tokens at 2 to 50, the question's after them."""

    def __init__(self, vlm: Seer, sample: Sample, text: str) -> None:
        self.vlm, self.sample, self.text, self.image = vlm, sample, text, self
        self.grid = (GRID, GRID)
        width, height = sample.image.size
        self.boxes = np.array(
            [
                (
                    c * width / GRID,
                    r * height / GRID,
                    (c + 1) * width / GRID,
                    (r + 1) * height / GRID,
                )
                for r in range(GRID)
                for c in range(GRID)
            ]
        )
        end = FIRST + GRID**2
        rows, columns = (axis.ravel() for axis in np.mgrid[:GRID, :GRID])
        tiles = np.zeros(GRID**2, dtype=int)
        self.layout = Layout((width, height), self.boxes, rows, columns, tiles, self.grid)
        places = ((tuple(range(FIRST, end)), self.layout),)
        self.sequence = Positions(end + QUESTION_LENGTH + 1, places)
        self.tokens = TokenSet.of(self.sequence, range(FIRST, end))
        self.positions = {
            "last": TokenSet.of(self.sequence, [end + QUESTION_LENGTH]),
            "question": TokenSet.of(self.sequence, range(end, end + QUESTION_LENGTH)),
        }
        self.logits = self.answer(hidden=set())[0]
        self.ending = ""

    def at(self, indices: Iterable[int]) -> TokenSet:
        return TokenSet.of(self.sequence, [FIRST + index for index in indices])

    def row(self, number: int) -> TokenSet:
        return self.at(range(GRID * (number % GRID), GRID * (number % GRID) + GRID))

    def covering(self, mask: np.ndarray, min_cover: float = 0.0) -> TokenSet:
        inside = [
            mask[int(y0) : int(y1), int(x0) : int(x1)].mean() for x0, y0, x1, y1 in self.boxes
        ]
        return self.at(i for i, share in enumerate(inside) if share > min_cover)

    def sees(self, hidden: set[int]) -> list[Object]:
        """Objects of which more than half of the tokens are not hidden."""
        places = [(obj, self.covering(obj.mask).positions) for obj in self.sample.objects]
        return [obj for obj, p in places if 2 * len(hidden & set(p)) < len(p) or not p]

    def answer(self, hidden: set[int]) -> tuple[torch.Tensor, str]:
        seen = {obj.name: obj.color for obj in self.sees(hidden)}
        if "Describe" in self.text:
            said = " and ".join(f"a {color} {name}" for name, color in seen.items())
        elif "Is there" in self.text:
            said = "yes" if any(f" {name} " in self.text for name in seen) else "no"
        elif "color" in self.text:
            said = seen.get("car") or "nothing"
        else:
            said = "fish" if "fish" in seen else "nothing"
        logits = torch.zeros(len(WORDS))
        logits[WORDS.index((said or "nothing").split()[0])] = 5.0
        return logits, said or "nothing"

    def generate(self, max_new_tokens: int) -> SimpleNamespace:
        return SimpleNamespace(text=self.answer(set())[1])

    def counterfactuals(self, edits: Sequence[object], exact: str) -> Effects:
        self.vlm.batches.append(len(edits))
        answers = [self.answer(self.hidden(edit)) for edit in edits]
        texts = [text for _, text in answers]
        return Effects(torch.stack([logits for logits, _ in answers]), texts)

    def hidden(self, edit: object) -> set[int]:
        """Tokens whose content no longer reaches the answer: the seer reads in layers 3 and 4."""
        if isinstance(edit, Knockout):
            whole = {3, 4} <= set(edit.layers)
            to_last = edit.target.positions == self.positions["last"].positions
            return set(edit.source.positions) if whole and to_last else set()
        return set(getattr(edit, fields(edit)[0].name).positions)

    def lens(self, top_k: int, positions: TokenSet, kind: object) -> SimpleNamespace:
        """From layer 5 on, an object's tokens say its name; all else says "nothing"."""
        ids = torch.full((LAYERS + 1, len(positions), top_k), WORDS.index("nothing"))
        for obj in self.sample.objects:
            for p in self.covering(obj.mask).positions:
                ids[5:, p - FIRST] = WORDS.index(obj.name)
        return SimpleNamespace(layers=tuple(range(LAYERS + 1)), ids=ids)


class Effects:
    """What the stand-in answers under edits."""

    def __init__(self, logits: torch.Tensor, texts: list[str]) -> None:
        self.logits, self.texts = logits, texts

    def __len__(self) -> int:
        return len(self.logits)

    def generate(self, max_new_tokens: int) -> SimpleNamespace:
        return SimpleNamespace(texts=self.texts)


class Seer:
    """A stand-in for a VLM that knows exactly what it sees, so that a study's numbers are known."""

    name, fingerprint, dtype, device = "seer", "seer-1", torch.float32, torch.device("cpu")
    n_layers, vocab_size, tokenizer = LAYERS, len(WORDS), WordTokenizer()
    adapter = SimpleNamespace(vocabulary=Vocabulary(tokenizer))

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = {sample.image.tobytes(): sample for sample in samples}
        self.batches: list[int] = []
        self.runs = 0

    def prompt(self, image: Image.Image, text: str, prefill: str | None = None) -> tuple:
        return image, text

    def run(self, prompt: tuple) -> Seeing:
        self.runs += 1
        image, text = prompt
        empty = Sample("unknown", image)
        return Seeing(self, self.samples.get(image.tobytes(), empty), text)

    def run_many(self, image: Image.Image, prompts: Sequence[tuple]) -> SeeingMany:
        return SeeingMany([self.run(prompt) for prompt in prompts])


class SeeingMany(list):
    """The stand-in's runs of several prompts."""

    def only(self, indices: Sequence[int]) -> SeeingMany:
        return SeeingMany(self[index] for index in indices)

    def counterfactuals(self, conditions: Callable, exact: str) -> list:
        return [run.counterfactuals(conditions(run), exact=exact) for run in self]


@pytest.fixture
def seer(monkeypatch: pytest.MonkeyPatch) -> type[Seer]:
    """The class `Seer`, with what the studies take from other rooms replaced."""
    from retinoscope.studies import _sets
    from retinoscope.studies.ablation import study as _ablation

    monkeypatch.setattr(_sets, "registers", lambda run, sigmas: run.at([0]))
    monkeypatch.setattr(
        _sets,
        "integrated_gradients",
        lambda run, target, *, baseline, steps: SimpleNamespace(
            scores=-torch.arange(49.0), completeness=0.0
        ),
    )
    monkeypatch.setattr(
        _ablation, "fill", SimpleNamespace(mean=lambda vlm, samples: fill.zero(), zero=fill.zero)
    )
    monkeypatch.setattr(_ablation, "Ablate", Ablation)
    return Seer


@dataclass(frozen=True)
class Ablation:
    tokens: Positions
    fill: str
