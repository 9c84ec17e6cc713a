"""The documents that the page reads. Arrays are NumPy arrays; `_json` encodes them.

`tokens` are indices of the image's visual tokens, 0 to n - 1; positions and queries are positions
in the decoder's input. Boxes are x0 y0 x1 y1 in pixels of the original image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

VERSION = 2


@dataclass(frozen=True)
class CapabilityFacts:
    """A view or a method: whether it is available and, if not, why."""

    name: str
    ok: bool
    why: str = ""


@dataclass(frozen=True)
class LensFacts:
    """A kind of lens: whether the page can read it.

    `why` says why not or, of a fitted lens, what it was fitted on; `command` makes the file of a
    kind that is fitted, others have none.
    """

    name: str
    ok: bool
    why: str = ""
    command: str = ""


@dataclass(frozen=True)
class ModelFacts:
    name: str
    family: str
    n_layers: int
    n_heads: int
    d_model: int
    vocab_size: int


@dataclass(frozen=True)
class StudyFacts:
    """A study's run. `id` is unique within the page; `conditions` are the edits that were run.

    `views` are the page's views of it besides tables: "flow", "maps".
    """

    id: str
    name: str
    title: str
    conditions: Sequence[str]
    views: Sequence[str]


@dataclass(frozen=True)
class SampleOutcome:
    """Whether any prompt was answered right before edits, and which conditions broke that."""

    baseline: bool | None
    broken: Sequence[str]


@dataclass(frozen=True)
class SampleFacts:
    """A sample's entry in the list."""

    index: int
    id: str
    title: str
    thumb: str | None
    objects: Sequence[str]
    outcomes: Mapping[str, SampleOutcome]


@dataclass(frozen=True)
class ViewerManifest:
    mode: str
    title: str
    model: ModelFacts | None
    capabilities: Sequence[CapabilityFacts]
    studies: Sequence[StudyFacts]
    samples: Sequence[SampleFacts]
    lenses: Sequence[LensFacts] = ()
    mean: str = ""
    version: int = VERSION


@dataclass(frozen=True)
class ImageFacts:
    """`src` may be smaller than `width` x `height`, the size of the original."""

    src: str | None
    width: int
    height: int


@dataclass(frozen=True)
class PromptFacts:
    """`kinds` gives each token's kind: text, image, question or generated."""

    text: str
    tokens: Sequence[str]
    kinds: Sequence[str]


@dataclass(frozen=True)
class FrameFacts:
    """The visual tokens `first` to `first + count - 1`: one tile of the image."""

    name: str
    first: int
    count: int
    grid: Sequence[int] | None


@dataclass(frozen=True)
class Unplaced:
    token: int
    label: str


@dataclass(frozen=True, eq=False)
class Visual:
    n: int
    positions: Sequence[int]
    boxes: Float[np.ndarray, "token 4"]
    rows: Sequence[int]
    cols: Sequence[int]
    grid: Sequence[int] | None
    frames: Sequence[FrameFacts]
    unplaced: Sequence[Unplaced]


@dataclass(frozen=True)
class ObjectFacts:
    """`mask` holds COCO's uncompressed run lengths; `box` is x, y, width, height."""

    name: str
    colour: str | None
    tokens: Sequence[int]
    mask: Mapping[str, Sequence[int]]
    box: Sequence[float]


@dataclass(frozen=True)
class QuestionResult:
    question: str
    answer: str
    predicted: str | None
    correct: bool | None


@dataclass(frozen=True)
class Has:
    lens: bool
    attention: bool


@dataclass(frozen=True, eq=False)
class CategoryMap:
    """One class per layer and visual token, -1 for none: a probe's prediction, or a group.

    Studies write them with `retinoscope.studies.write_categories`.
    """

    name: str
    note: str
    classes: Sequence[str]
    layers: Sequence[str]
    values: Int[np.ndarray, "layer token"]


@dataclass(frozen=True, eq=False)
class SampleDocument:
    """One image, the questions about it, and every row that the studies wrote about it."""

    index: int
    id: str
    image: ImageFacts | None
    prompt: PromptFacts | None
    visual: Visual | None
    objects: Sequence[ObjectFacts] = ()
    questions: Sequence[QuestionResult] = ()
    rows: Sequence[Mapping[str, object]] = ()
    has: Has = field(default_factory=lambda: Has(False, False))
    note: str = ""
    categories: Sequence[CategoryMap] = ()


@dataclass(frozen=True, eq=False)
class WordContexts:
    """Where words stand in sentences: `ids` index into `places`.

    A place is the index of a sentence, where the word starts and ends in it in units of UTF-16, and
    the layer of the text.
    """

    sentences: Sequence[str]
    places: Int[np.ndarray, "place 4"]
    ids: Int[np.ndarray, "layer token k"]


@dataclass(frozen=True, eq=False)
class LensDocument:
    """A lens at n positions and some layers; `ids` index into `words`.

    `unit` says what `values` are: "probability" or "similarity" (a cosine).
    """

    kind: str
    unit: str
    layers: Sequence[int]
    n: int
    k: int
    words: Sequence[str]
    ids: Int[np.ndarray, "layer token k"]
    values: Float[np.ndarray, "layer token k"]
    positions: Sequence[int]
    contexts: WordContexts | None = None
    note: str = ""


@dataclass(frozen=True, eq=False)
class WordDocument:
    """A word in the unit of its lens, at the lens's layers and positions."""

    word: str
    values: Float[np.ndarray, "layer token"]
    rank: Int[np.ndarray, "layer token"]


@dataclass(frozen=True)
class MissingLayer:
    layer: int
    why: str


@dataclass(frozen=True, eq=False)
class AttentionDocument:
    """A query's attention to the visual tokens; `rest` sums the weights of other positions."""

    query: int
    token: str
    layers: int
    heads: int
    weights: Float[np.ndarray, "layer head visual"]
    rest: Mapping[str, Float[np.ndarray, "layer head"]]
    missing: Sequence[MissingLayer] = ()


@dataclass(frozen=True)
class Candidate:
    word: str
    id: int
    prob: float


@dataclass(frozen=True)
class AnswerDocument:
    """`candidates` are the most probable first tokens; `chosen` is the most probable."""

    text: str
    candidates: Sequence[Candidate]
    chosen: Candidate
    ms: float
    path: str


@dataclass(frozen=True)
class WordChange:
    word: str
    before: float
    after: float


@dataclass(frozen=True)
class EffectDocument:
    """The effect of edits; `python` is code that reproduces it."""

    before: AnswerDocument
    after: AnswerDocument
    edits: Sequence[Mapping[str, object]]
    word: WordChange | None
    tokens: int
    ms: float
    path: str
    python: str


@dataclass(frozen=True)
class WindowFacts:
    """Decoder blocks `first` to `last`, inclusive."""

    name: str
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class FlowDocument:
    """Relative accuracy of a knockout study by source, target and window; NaN where not run.

    `samples` and `kept` list, by the cell's indices "source,target,window", the samples whose right
    answer became wrong or stayed right.
    """

    sources: Sequence[str]
    targets: Sequence[str]
    windows: Sequence[WindowFacts]
    value: Float[np.ndarray, "source target window"]
    low: Float[np.ndarray, "source target window"]
    high: Float[np.ndarray, "source target window"]
    n: Int[np.ndarray, "source target window"]
    samples: Mapping[str, Sequence[int]]
    kept: Mapping[str, Sequence[int]]


@dataclass(frozen=True, eq=False)
class SweepDocument:
    """Probability of the original answer's first token, with edges cut in each window."""

    sources: Sequence[str]
    targets: Sequence[str]
    windows: Sequence[WindowFacts]
    value: Float[np.ndarray, "1 1 window"]
    before: float
    word: str
    ms: float


@dataclass(frozen=True)
class ColumnFacts:
    """`kind` is text, int, float or estimate; an estimate's cell is value, low, high. `condition`
    is true for a column that identifies a row rather than reporting a result."""

    name: str
    kind: str
    unit: str
    condition: bool


@dataclass(frozen=True)
class TablePart:
    title: str
    columns: Sequence[ColumnFacts]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class SampleValues:
    """A number per sample, under one condition."""

    key: str
    values: Sequence[float]


@dataclass(frozen=True)
class TableDocument:
    columns: Sequence[ColumnFacts]
    rows: Sequence[Sequence[object]]
    note: str
    more: Sequence[TablePart] = ()
    spread: Sequence[SampleValues] = ()
