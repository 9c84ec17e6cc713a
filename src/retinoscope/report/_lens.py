"""Section 2: what each visual token says in the vocabulary, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ._collect import StudyRun
from ._lens_figure import lens_figure, readings_figure
from ._models import BUILT_IN, OF_PARTS, PRETRAINING, SHORT
from ._parts import (
    PAPER,
    Claim,
    Column,
    Interval,
    Record,
    Section,
    Table,
    file_name,
    listing,
    percent,
    percent_interval,
)
from ._rows import first, interval, number, pick
from ._tables import generic_table

CONTROLS = (
    ("background", "trained", "background tokens"),
    ("shuffled", "trained", "another image's mask"),
    ("object", "untrained", "an untrained copy"),
    ("object", "random adapter", "a random adapter"),
    ("object", "untrained language", "an untrained language model"),
)


_READ_AS = (
    *("strict", "lenient", "colour", "any_kind"),
    *("piece", "synonym", "near", "near_other"),
)
_WORDS_SHOWN = 6


@dataclass(frozen=True)
class Curve:
    """Share of tokens whose top-1 word is the object's name, by layer (0 = input embeddings)."""

    layers: tuple[int, ...]
    points: tuple[Interval, ...]

    @property
    def best(self) -> int:
        return max(range(len(self.points)), key=lambda k: self.points[k].value)

    @property
    def peak(self) -> Interval:
        return self.points[self.best]


def curve_of(
    rows: Sequence[Record], group: str, weights: str, metric: str = "strict"
) -> Curve | None:
    """One curve of a lens summary; None if the study did not measure it."""
    found = [
        (int(layer), x)
        for row in pick(rows, group=group, weights=weights, measure=metric)
        if isinstance(layer := row.get("layer"), int) and (x := interval(row, "share", "n_images"))
    ]
    found.sort(key=lambda pair: pair[0])
    return Curve(*zip(*found, strict=True)) if found else None


def section(runs: Sequence[StudyRun]) -> Section:
    """All models on shared axes; the first one leads."""
    main = runs[0]
    curves = {
        run.label: {
            key: curve
            for key in (("object", "trained"), *((g, w) for g, w, _ in CONTROLS))
            if (curve := curve_of(run.summary, *key))
        }
        for run in runs
    }
    figures = [lens_figure(curves)]
    readings = {
        metric: curve
        for metric in _READ_AS
        if (curve := curve_of(main.summary, "object", "trained", metric))
    }
    if len(readings) > 1:
        figures.append(readings_figure(main.label, readings))
    known = [run.label for run in runs if run.label in PRETRAINING]
    notes = [
        "Read out: the final norm and the unembedding applied to the residual stream of a visual "
        "token after each layer. Layer 0 is what the decoder receives; the last layer is the "
        "model's own output there, normed once.",
        "Controls: the same count on tokens outside every object, on the object tokens of another "
        "image's mask, and on a copy of the model with random weights.",
    ]
    return Section(
        key="lens",
        title="What a visual token says: the logit lens",
        question=(
            "Reading visual tokens as if they were words: at which layer, and in which model, do "
            "an object's tokens have its name as their most probable word?"
        ),
        sentences=tuple(_sentence(run.label, curves[run.label]) for run in runs)
        + _pretraining(runs, curves)
        + tuple(text for run in runs[:1] if (text := _best_layer(run))),
        figures=tuple(figures),
        tables=tuple(_table(run, folded=run is not main) for run in runs)
        + tuple(
            generic_table(
                file_name("lens", run.label, "best-layer"),
                f"{run.label}: the best layer of each image, the paper's statistic.",
                run.extra("best_layer"),
            )
            for run in runs
            if run.extra("best_layer")
        )
        + tuple(table for run in runs if (table := _words(run, curves[run.label]))),
        notes=(
            *notes,
            *((BUILT_IN,) if "pocket" in known else ()),
            *((OF_PARTS,) if any(run.label.startswith("smol") for run in runs) else ()),
            *((_near_note(main),) if "near" in readings else ()),
        ),
        claim=_claim(main, curves),
    )


Curves = dict[str, dict[tuple[str, str], Curve]]


def _against(curves: dict[tuple[str, str], Curve], layer: int) -> list[tuple[str, Interval]]:
    found = []
    for group, weights, name in CONTROLS:
        curve = curves.get((group, weights))
        if curve and layer in curve.layers:
            found.append((name, curve.points[curve.layers.index(layer)]))
    return found


def _sentence(model: str, curves: dict[tuple[str, str], Curve]) -> str:
    own = curves.get(("object", "trained"))
    if own is None:
        return f"{model}: no object token could be read."
    layer = own.layers[own.best]
    text = (
        f"{model}: at its best layer ({layer} of {own.layers[-1]}), {percent_interval(own.peak)} "
        f"of an object's tokens have its name as their top word"
    )
    controls = _against(curves, layer)
    if not controls:
        return text + "; no control was run."
    text += "; " + listing([f"{name} {percent_interval(x)}" for name, x in controls]) + "."
    weak = [name for name, x in controls if not own.peak.above(x)]
    if weak:
        text += f" Not above {listing(weak)}: the effect does not show in this model."
    return text


def _pretraining(runs: Sequence[StudyRun], curves: Curves) -> tuple[str, ...]:
    """Which language pretraining gave which peak, and whether the peaks differ."""
    peaks = {
        run.label: own.peak
        for run in runs
        if (own := curves[run.label].get(("object", "trained"))) and run.label in SHORT
    }
    if len(peaks) < 2:
        return ()
    parts = listing(
        [f"{percent_interval(x)} where the {SHORT[name]} ({name})" for name, x in peaks.items()]
    )
    return (f"The peak of the curve is {parts}. {_differ(list(peaks.values()))}",)


def _differ(peaks: Sequence[Interval]) -> str:
    if max(x.low for x in peaks) > min(x.high for x in peaks):
        return (
            "The models share architecture, images and conversations, so this result depends on "
            "what the language model read before it saw an image."
        )
    return "The intervals overlap: no difference between the pretrainings shows."


def _best_layer(run: StudyRun) -> str:
    """The paper's statistic beside the same one for background tokens, which shows its bias."""
    rows = pick(run.extra("best_layer"), measure="strict")
    row = first(rows, weights="trained", group="object", images="all")
    share, layer = interval(row, "share"), interval(row, "layer")
    if row is None or share is None or layer is None:
        return ""
    last = int(number(row, "n_layers") or 0) - 1
    text = (
        f"The paper's own statistic, the best layer chosen for each object: "
        f"{percent_interval(share)}, on average at layer {layer.value:.1f} of {last}"
    )
    hitting = interval(first(rows, weights="trained", group="object", images="hitting"), "share")
    if hitting:
        text += f" ({percent_interval(hitting)} without objects that no layer names)"
    bias = interval(first(rows, weights="trained", group="background", images="all"), "share")
    if bias:
        text += (
            f". Choosing the best of several layers can only raise a share; for background tokens "
            f"it gives {percent_interval(bias)}"
        )
    text += "."
    paper_share, paper_layer = number(row, "paper_share"), number(row, "paper_layer")
    if paper_share is not None and paper_layer is not None:
        text += f" The paper: {100 * paper_share:.1f}%, layer {paper_layer:.1f} of 33 ({PAPER})."
    return text


def _claim(run: StudyRun, curves: Curves) -> Claim | None:
    model = run.label
    own = curves[model].get(("object", "trained"))
    if own is None:
        return None
    layer = own.layers[own.best]
    controls = _against(curves[model], layer)
    shown = all(own.peak.above(x) for _, x in controls) if controls else None
    others = [
        f"{percent(other.peak.value)} in {name}"
        for name, found in curves.items()
        if name != model and (other := found.get(("object", "trained")))
    ]
    versus = f"against {percent(controls[0][1].value)} of {controls[0][0]}" if controls else ""
    sentence = (
        f"At layer {layer} of {own.layers[-1]}, {percent_interval(own.peak)} of an object's tokens "
        f"in {model} read as its name"
    )
    if controls:
        sentence += f" ({listing([f'{name} {percent(x.value)}' for name, x in controls])})"
    sentence += "."
    if others:
        peaks = [c.peak for f in curves.values() if (c := f.get(("object", "trained")))]
        same_world = all(name in SHORT for name in curves)
        sentence += f" The same peak is {listing(others)}."
        sentence += f" {_differ(peaks)}" if same_world else ""
    if shown is False:
        sentence += " The intervals overlap with a control: the effect does not show."
    row = first(pick(run.extra("best_layer"), measure="strict"), weights="trained", group="object")
    known = None if row is None else number(row, "paper_share")
    return Claim(
        title="Tokens become words",
        figure=percent(own.peak.value),
        versus=versus,
        sentence=sentence,
        shown=shown,
        paper="" if known is None else f"{100 * known:.1f}% at the best layer of each image",
    )


def _table(run: StudyRun, folded: bool) -> Table:
    rows = run.summary
    keys = [("object", "trained", "object tokens"), *CONTROLS]
    strict = {label: curve_of(rows, g, w) for g, w, label in keys}
    more = {
        label: curve_of(rows, "object", "trained", metric)
        for metric, label in (
            ("lenient", "object, lenient"),
            ("colour", "object, its colour"),
            ("any_kind", "object, any object's name"),
            ("piece", "object, any piece of its name"),
            ("synonym", "object, a synonym"),
            ("near", "object, near its name"),
            ("near_other", "object, near another object's name"),
        )
    }
    found = {label: c for label, c in {**strict, **more}.items() if c}
    layers = sorted({layer for c in found.values() for layer in c.layers})
    shown = []
    for layer in layers:
        cells = [str(layer)]
        for c in found.values():
            at = c.layers.index(layer) if layer in c.layers else None
            cells.append("" if at is None else percent_interval(c.points[at]))
        shown.append(tuple(cells))
    return Table(
        name=file_name("lens", run.label),
        caption=f"{run.label}: share of tokens whose top word is the object's name, by layer, with "
        "95% intervals over images.",
        columns=(Column("layer"), *(Column(label) for label in found)),
        rows=tuple(shown),
        records=tuple(rows),
        folded=folded,
    )


def _near_note(run: StudyRun) -> str:
    options = run.manifest["parameters"]
    near = options.get("near") if isinstance(options, dict) else None
    return (
        f"“Near” are the {near} entries of the vocabulary that are nearest to a name by the "
        "language model's own input embeddings (cosine, less what all entries share), the name "
        "itself among them. The control is the same count for the name of another object."
    )


def _words(run: StudyRun, curves: dict[tuple[str, str], Curve]) -> Table | None:
    """Which words stand on top, at some layers, on objects and beside them."""
    rows = pick(run.extra("words"), weights="trained")
    own = curves.get(("object", "trained"))
    if not rows or own is None:
        return None
    last = own.layers[-1]
    layers = sorted({0, last // 4, last // 2, 3 * last // 4, own.layers[own.best], last})
    shown = []
    for layer in layers:
        cells = [str(layer)]
        for group in ("object", "background"):
            found = sorted(
                pick(rows, group=group, layer=layer), key=lambda row: int(number(row, "rank") or 0)
            )[:_WORDS_SHOWN]
            cells.append(
                " · ".join(f"{row['word'] or '(space)'} {percent(number(row, 'share') or 0)}"
                           for row in found)
            )  # fmt: skip
        shown.append(tuple(cells))
    return Table(
        name=file_name("lens", run.label, "words"),
        caption=f"{run.label}: the words that stand on top most often, with their share of all "
        "tokens of objects, and of tokens of no object. The file has every layer, and under which "
        "objects a word stands.",
        columns=(
            Column("layer"),
            Column("object tokens", numeric=False),
            Column("background tokens", numeric=False),
        ),
        rows=tuple(shown),
        records=tuple(rows),
        folded=False,
    )
