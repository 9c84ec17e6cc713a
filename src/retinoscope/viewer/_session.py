"""A live model: runs that are kept for a while, and answers to requests about them.

All methods compute in the calling thread; the server calls them in its single model thread.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from ..data import scenes
from ..engine import Effects, Knockout, fill
from ..errors import InputError
from ..lens import NAMED
from ..memory import budget
from ..sources import source_of
from ..studies import sliding_windows
from ..tokens import likely_pieces
from ._documents import (
    AnswerDocument,
    AttentionDocument,
    Candidate,
    EffectDocument,
    Has,
    SampleDocument,
    SweepDocument,
    WindowFacts,
    WordChange,
    WordDocument,
)
from ._edits import interventions, lines, target_of
from ._of_lens import KEPT_WORDS, Reading, by_name, reading_of
from ._of_run import (
    attention_of,
    image_facts,
    notes_on,
    prompt_facts,
    visual_of,
)
from ._requests import (
    MAX_TOP_K,
    AblateEdit,
    AttentionRequest,
    Edit,
    EffectRequest,
    GenerateRequest,
    LensRequest,
    RunRequest,
    SweepRequest,
    WordRequest,
)

if TYPE_CHECKING:
    from ..data import Sample
    from ..engine import VLM, Run
    from ..engine.fill import Mean
    from ..lens import Kind

N_CANDIDATES = 10
KEPT_RUNS = 16
"""Maximum number of runs of one client."""
KEPT_LENSES = 3
"""Maximum number of kinds of lens that one run keeps."""
MEAN_IMAGES = 32
Item = TypeVar("Item")


class GoneError(InputError):
    """A run or an image that is unknown or no longer kept."""


class ClientItems(Generic[Item]):
    """Each client's latest items, by names that cannot be guessed; thread-safe.

    A client with too many loses its own least recently used one. If all items together take too
    much memory, the client that holds the most loses one, but never the one just added.

    Args:
        most: maximum number of items of one client.
        what: name of an item in errors.
        memory: maximum bytes of all items.
        size: returns an item's size in bytes.
    """

    def __init__(self, most: int, what: str, memory: int, size: Callable[[Item], int]) -> None:
        self._most, self._what, self._memory, self._size = most, what, memory, size
        self._items: OrderedDict[str, tuple[str, int, Item]] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._lock = Lock()

    def add(self, item: Item, client: str = "") -> str:
        name, size = secrets.token_hex(8), self._size(item)
        with self._lock:
            self._items[name] = client, size, item
            self._counts[client] += 1
            self._bytes[client] += size
            if self._counts[client] > self._most:
                self._drop(client)
            while self._bytes.total() > self._memory and len(self._items) > 1:
                # The item just added stays, so its own client must have another one to lose.
                several = [
                    name for name in self._counts if name != client or self._counts[name] > 1
                ]
                self._drop(max(several, key=self._bytes.__getitem__))
        return name

    def _drop(self, client: str) -> None:
        name = next(name for name, (owner, _, _) in self._items.items() if owner == client)
        self._counts[client] -= 1
        self._bytes[client] -= self._items.pop(name)[1]
        if not self._counts[client]:
            del self._counts[client], self._bytes[client]

    def __getitem__(self, name: str) -> Item:
        """Returns an item; raises GoneError for an unknown name."""
        with self._lock:
            if name not in self._items:
                raise GoneError(
                    f"the {self._what} is not kept any more (the last {self._most} are): ask again"
                )
            self._items.move_to_end(name)
            return self._items[name][2]

    def __len__(self) -> int:
        return len(self._items)


@dataclass(eq=False)
class Live:
    """A run that the page works on."""

    run: Run
    ask: RunRequest
    readings: OrderedDict[str, Reading] = field(default_factory=OrderedDict)
    """By kind of lens, the one asked for last at the end."""

    def reading(self, name: str, kinds: Mapping[str, Kind], top_k: int = 1) -> Reading:
        """Returns the reading of a kind of lens, which may be unfinished.

        Raises:
            InputError: there is no such kind.
        """
        known = self.readings.get(name)
        if known is None or known.top_k < top_k:
            if name not in kinds:
                names = ", ".join(dict.fromkeys([*kinds, *self.readings]))
                raise InputError(f"expected a kind of lens ({names}), got {name!r}")
            self.readings[name] = reading_of(self.run, kinds[name], top_k)
        self.readings.move_to_end(name)
        old = [other for other in self.readings if other in kinds]
        for other in old[: max(0, len(old) - KEPT_LENSES)]:
            del self.readings[other]
        return self.readings[name]


class Session:
    """Runs of one model.

    Args:
        vlm: the model.
        data: the mean visual token is taken over the first `MEAN_IMAGES` of these samples, or
            over drawn scenes if it is None or cannot be reopened by name.
        lenses: fitted lenses that are offered besides those that need nothing but the model.

    Raises:
        InputError: a lens was fitted to another model.
    """

    def __init__(
        self, vlm: VLM, data: Sequence[Sample] | None = None, lenses: Sequence[Kind] = ()
    ) -> None:
        self.vlm = vlm
        self.kinds = by_name([*NAMED, *lenses], vlm.adapter)
        self.runs: ClientItems[Live] = ClientItems(
            KEPT_RUNS, "run", budget(None, vlm.device), _bytes_of
        )
        source = None if data is None else source_of(data)
        if data is None or source is None:
            data, self.mean_python = scenes(MEAN_IMAGES), f"rs.data.scenes({MEAN_IMAGES})"
        else:
            self.mean_python = f"rs.sources.reopen_source({source})[:{MEAN_IMAGES}]"
        self._samples = data[:MEAN_IMAGES]
        self._mean: Mean | None = None

    def mean(self) -> Mean:
        """Returns the mean visual token, computed when first needed."""
        if self._mean is None:
            self._mean = fill.mean(self.vlm, self._samples, cache=False)
        return self._mean

    @property
    def mean_of(self) -> str:
        return f"the visual tokens of {len(self._samples)} images: {self.mean_python}"

    def ask(
        self, image: Image.Image, ask: RunRequest, src: str, client: str = ""
    ) -> tuple[str, SampleDocument, AnswerDocument]:
        """Runs a prompt for `client`; raises InputError as `vlm.prompt` does."""
        start = time.perf_counter()
        prompt = self.vlm.prompt(image, ask.question, ask.prefill, raw=ask.raw)
        run = self.vlm.run(prompt)
        answer = self._answer(run, run.logits, "clean", start)
        name = self.runs.add(Live(run, ask), client)
        return name, live_sample(run, name, src), answer

    def generate(self, ask: GenerateRequest) -> AnswerDocument:
        """Returns the whole greedy continuation, under edits if there are any."""
        live, start = self.runs[ask.run], time.perf_counter()
        effects = self._effects(live, ask.edits)
        text = effects.generate(ask.max_new_tokens).texts[0]
        path = effects.path[0] if ask.edits else "clean"
        return self._answer(live.run, effects.logits[0], path, start, text)

    def lens(self, ask: LensRequest) -> Reading:
        """Returns the reading of a lens, computed step by step."""
        return self.runs[ask.run].reading(ask.kind, self.kinds, ask.top_k)

    def word(self, ask: WordRequest) -> WordDocument:
        return self.runs[ask.run].reading(ask.kind, self.kinds).finish().word(ask.word)

    def attention(self, ask: AttentionRequest) -> AttentionDocument:
        return attention_of(self.runs[ask.run].run, ask.query)

    def effect(self, ask: EffectRequest) -> EffectDocument:
        """Runs one forward pass under all edits together."""
        live = self.runs[ask.run]
        before = self._answer(live.run, live.run.logits, "clean", time.perf_counter())
        if any(isinstance(edit, AblateEdit) and edit.fill == "mean" for edit in ask.edits):
            # Computed once for all edits, so its time does not count.
            self.mean()
        start = time.perf_counter()
        effects = self._effects(live, ask.edits)
        logits, path = effects.logits[0], effects.path[0]
        after = self._answer(live.run, logits, path, start)
        word = None
        if ask.word is not None:
            piece = likely_pieces(live.run, ask.word)[0]
            changed = (_probs(scores)[piece] for scores in (live.run.logits, logits))
            word = WordChange(ask.word, *(float(value) for value in changed))
        asked = live.ask
        return EffectDocument(
            before=before,
            after=after,
            edits=[edit.model_dump() for edit in ask.edits],
            word=word,
            tokens=len({token for edit in ask.edits for token in edit.tokens}),
            ms=after.ms,
            path=path,
            python=lines(
                self.vlm.name,
                asked.question,
                asked.prefill,
                asked.raw,
                ask.edits,
                self.mean_python,
            ),
        )

    def sweep(self, ask: SweepRequest) -> Sweep:
        """Returns a sweep over windows of layers, computed step by step."""
        return Sweep(self.runs[ask.run].run, ask)

    def _effects(self, live: Live, edits: Sequence[Edit]) -> Effects:
        edit = interventions(live.run, edits, self.mean, lambda name: self.runs[name].run)
        return live.run.counterfactuals([edit])

    def _answer(
        self,
        run: Run,
        logits: Float[Tensor, " vocab"],
        path: str,
        start: float,
        text: str | None = None,
    ) -> AnswerDocument:
        probs, ids = _probs(logits).topk(min(N_CANDIDATES, len(logits)))
        words = run.adapter.vocabulary.texts(ids.tolist())
        candidates = [
            Candidate(*values) for values in zip(words, ids.tolist(), probs.tolist(), strict=True)
        ]
        ms = (time.perf_counter() - start) * 1000
        chosen = candidates[0]
        return AnswerDocument(chosen.word if text is None else text, candidates, chosen, ms, path)


class Work(Protocol):
    """A computation in steps, which other clients' requests may come between."""

    @property
    def total(self) -> int: ...

    @property
    def done(self) -> int: ...

    def step(self) -> None: ...

    def document(self) -> object: ...


class Sweep:
    """A knockout from some tokens to a target, in every window of layers.

    Raises:
        InputError: tokens or target do not exist, or the window is wider than the model is deep.
    """

    CHUNK = 4

    def __init__(self, run: Run, ask: SweepRequest) -> None:
        tokens, target = run.image.at(ask.tokens), target_of(run, ask.target)
        self.windows = sliding_windows(run.adapter.n_layers, ask.width)
        cuts = [Knockout(tokens, target, window.layers) for window in self.windows]
        run.resolve(cuts[:1])
        self._run, self._cuts = run, cuts
        self._target = ask.target if isinstance(ask.target, str) else "positions"
        self._probs: list[float] = []
        self._ms = 0.0
        self._answer = int(run.logits.argmax())

    @property
    def total(self) -> int:
        return len(self._cuts)

    @property
    def done(self) -> int:
        return len(self._probs)

    def step(self) -> None:
        """Computes the next few windows."""
        start = time.perf_counter()
        chosen = self._cuts[self.done : self.done + self.CHUNK]
        logits = self._run.counterfactuals(chosen).logits
        self._probs += _probs(logits)[:, self._answer].tolist()
        self._ms += (time.perf_counter() - start) * 1000

    def document(self) -> SweepDocument:
        """Returns the document of a finished sweep."""
        return SweepDocument(
            sources=["selection"],
            targets=[self._target],
            windows=[WindowFacts(w.name, w.first, w.last) for w in self.windows],
            value=np.array(self._probs, dtype=np.float32)[None, None],
            before=float(_probs(self._run.logits)[self._answer]),
            word=self._run.adapter.vocabulary.texts([self._answer])[0],
            ms=self._ms,
        )


def live_sample(run: Run, name: str, src: str) -> SampleDocument:
    """Returns the sample document of a live run, without ground truth."""
    image = run.prompt.images[0] if run.prompt.images else None
    return SampleDocument(
        index=-1,
        id=name,
        image=None if image is None else image_facts(image.size, src),
        prompt=prompt_facts(run.prompt.text, run.tokens, run.inputs),
        visual=visual_of(run.sequence),
        has=Has(True, run.vlm.capabilities.supports("attention")),
        note=notes_on(run),
    )


def _bytes_of(live: Live) -> int:
    """Returns an upper bound of the bytes that a run holds.

    These are hidden states, keys and values, embeddings, its lens's copies of the states and its
    results, and the image as given and as the model takes it.
    """
    run = live.run
    width = run.adapter.d_model
    # Per layer and position: three vectors; for each lens a float32 one, its best words, and 64-bit
    # ranks of others.
    lens = 4 * width + 12 * MAX_TOP_K + 8 * (KEPT_WORDS + 1)
    place = 3 * width * run.embeddings.element_size() + KEPT_LENSES * lens
    pixels = sum(3 * image.width * image.height for image in run.prompt.images)
    inputs = sum(tensor.nbytes for image in run.inputs.pixels for tensor in image.values())
    return place * (run.adapter.n_layers + 1) * run.n + pixels + inputs


def _probs(logits: Tensor) -> Tensor:
    return torch.softmax(logits.float(), -1)
