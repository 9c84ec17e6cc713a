"""Section 2: what each visual token says in the vocabulary, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ._collect import StudyRun
from ._lens_figure import lens_figure, readings_figure
from ._models import BUILT_IN, PRETRAINING, SHORT
from ._parts import (
    Claim,
    Column,
    Interval,
    Record,
    Section,
    Table,
    listing,
    percent,
    percent_interval,
)
from ._rows import interval, pick
from ._tables import generic_table

CONTROLS = (
    ("background", "trained", "background tokens"),
    ("shuffled", "trained", "another image's mask"),
    ("object", "untrained", "an untrained copy"),
)


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
        for row in pick(rows, group=group, weights=weights)
        if isinstance(layer := row.get("layer"), int)
        and (x := interval(row, metric))
    ]
    found.sort(key=lambda pair: pair[0])
    return Curve(*zip(*found, strict=True)) if found else None


def section(runs: Sequence[StudyRun]) -> Section:
    """All models on shared axes; the first one leads."""
    main = runs[0]
    curves = {
        run.model: {
            key: curve
            for key in (("object", "trained"), *((g, w) for g, w, _ in CONTROLS))
            if (curve := curve_of(run.summary, *key))
        }
        for run in runs
    }
    figures = [lens_figure(curves)]
    readings = {
        metric: curve
        for metric in ("strict", "lenient", "colour", "any_kind")
        if (curve := curve_of(main.summary, "object", "trained", metric))
    }
    if len(readings) > 1:
        figures.append(readings_figure(main.model, readings))
    known = [run.model for run in runs if run.model in PRETRAINING]
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
        sentences=tuple(_sentence(run.model, curves[run.model]) for run in runs)
        + _pretraining(runs, curves)
        + tuple(_best_layer(run) for run in runs[:1] if run.extra("best_layer")),
        figures=tuple(figures),
        tables=tuple(_table(run, folded=run is not main) for run in runs)
        + tuple(
            generic_table(
                f"lens-{run.model}-best-layer",
                f"{run.model}: the best layer of each image, the paper's statistic.",
                run.extra("best_layer"),
            )
            for run in runs
            if run.extra("best_layer")
        ),
        notes=(*notes, *((BUILT_IN,) if "pocket" in known else ())),
        claim=_claim(main.model, curves),
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
    parts = []
    for run in runs:
        own = curves[run.model].get(("object", "trained"))
        if own and run.model in SHORT:
            parts.append(f"{percent_interval(own.peak)} with {SHORT[run.model]} ({run.model})")
    if len(parts) < 2:
        return ()
    return (
        "The language model's pretraining decides this result; the peak of the curve is "
        f"{listing(parts)}.",
    )


def _best_layer(run: StudyRun) -> str:
    rows = run.extra("best_layer")
    row = next((r for r in rows if r.get("weights", "trained") == "trained"), rows[0])
    share = interval(row, "share", "share_low", "share_high")
    layer = interval(row, "layer", "layer_low", "layer_high")
    if share is None:
        return ""
    where = f", on average layer {layer.value:.1f}" if layer else ""
    text = (
        f"The paper's own statistic, the best layer chosen for each image: "
        f"{percent(share.value)}{where}. Choosing the best of several layers after the fact can "
        "only raise a number, so it has no control here."
    )
    known = paper.paper_number("lens", "best-layer", "share")
    at = paper.paper_number("lens", "best-layer", "layer")
    if known and at:
        text += f" The paper: {100 * known.value:.1f}%, layer {at.value:.1f} of 33 ({paper.SUBJECT})."
    return text


def _claim(model: str, curves: Curves) -> Claim | None:
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
        sentence += (
            f" The same peak is {listing(others)}: it depends on what the language model read "
            "before it saw images."
        )
    if shown is False:
        sentence += " The intervals overlap with a control: the effect does not show."
    known = paper.paper_number("lens", "best-layer", "share")
    return Claim(
        title="Tokens become words",
        figure=percent(own.peak.value),
        versus=versus,
        sentence=sentence,
        shown=shown,
        paper=f"{100 * known.value:.1f}% at the best layer of each image" if known else "",
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
        name=f"lens-{run.model}",
        caption=f"{run.model}: share of tokens whose top word is the object's name, by layer, with "
        "95% intervals over images.",
        columns=(Column("layer"), *(Column(label) for label in found)),
        rows=tuple(shown),
        records=tuple(rows),
        folded=folded,
    )
