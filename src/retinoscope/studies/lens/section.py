"""Section 2: what each visual token says in the vocabulary, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...report.blocks import PAPER, Interval, Record, Section, listing, percent, percent_interval
from ...report.findings import Finding, PairedTest, make_finding, paired_test, weakest
from ...report.rows import first, interval, number, pick
from .._run_tables import extra_tables
from ..runs import StudyRun
from .curves import CONTROLS, OWN, at_cover, cover_name, covers_of, curve_of, curves_of
from .figure import lens_figure, readings_figure
from .models import between_models, models_in_short
from .pretraining import BUILT_IN, OF_PARTS, PRETRAINING
from .tables import layers_tables, peak_table, words_table

NOUN = "logit lens"
TABLE_NOTE = (
    "Shares of an object's tokens whose most probable word is its name, by layer, with 95% "
    "intervals."
)

_READ_AS = (
    *("strict", "lenient", "colour", "any_kind"),
    *("piece", "synonym", "near", "near_other"),
)
CLAIM = "tokens become words"


def section(runs: Sequence[StudyRun]) -> Section:
    """Makes the section: all models on shared axes, the first one leading."""
    main = runs[0]
    covers = covers_of(main)
    figures = [lens_figure({run.label: {c: curves_of(run, c) for c in covers} for run in runs})]
    readings = {
        cover: {
            metric: curve
            for metric in _READ_AS
            if (curve := curve_of(main.summary, *OWN, cover, metric))
        }
        for cover in covers
    }
    if any(len(by_rule) > 1 for by_rule in readings.values()):
        figures.append(readings_figure(main.label, readings))
    tables = [
        *(table for run in runs if (table := peak_table(run, run is not main))),
        *(table for run in runs for table in layers_tables(run, run is not main)),
        *extra_tables(
            runs, "lens", "best_layer", "the best layer of each image, the paper's statistic."
        ),
        *(table for run in runs if (table := words_table(run))),
    ]
    findings = [finding for run in runs if (finding := lens_finding(run))]
    return Section(
        key="lens",
        title="What a visual token says: the logit lens",
        question=(
            "Reading visual tokens as if they were words: at which layer, and in which model, do "
            "an object's tokens have its name as their most probable word?"
        ),
        sentences=(
            *(finding.sentence for finding in findings),
            *between_models(runs),
            *(text for cover in covers if (text := _best_layer(main, cover))),
        ),
        figures=tuple(figures),
        tables=tuple(tables),
        notes=_notes(runs, "near" in readings[covers[0]]),
        finding=_with_models(findings[0], runs) if findings else None,
    )


def lens_finding(run: StudyRun) -> Finding | None:
    """Returns one model's result at every cover, from its "peak" table."""
    covers = covers_of(run)
    parts, tests, shares, controls = [], [], [], []
    for cover in covers:
        rows = pick(run.extra("peak"), cover=cover)
        measured = interval(rows[0] if rows else None, "share", "n_images")
        if measured is None:
            continue
        shares.append(measured)
        layers = str(rows[0]["layers"])
        text = f"layer{'s' if ',' in layers else ''} {layers} of {rows[0]['last_layer']}"
        beside = _beside(rows)
        if test := weakest([test for *_, test in beside], at_cover(cover)):
            tests.append(test)
            control = next(x for name, x, _ in beside if test.against.endswith(name))
            controls.append(control)
            text += f"; {test.against.removeprefix('against ')} {percent(control.value)}"
        parts.append(f"{percent_interval(measured)} {at_cover(cover)}".strip() + f" ({text})")
    if not shares:
        return None
    row = first(pick(run.extra("best_layer"), measure="strict"), weights="trained", group="object")
    known = None if row is None else number(row, "paper_share")
    return make_finding(
        CLAIM,
        f"In {run.label} an object's tokens read as its name: {listing(parts)}",
        tests,
        figure=_over([percent(x.value) for x in shares]),
        versus=_versus(covers, controls),
        follows=_border(run),
        paper="" if known is None else f"{100 * known:.1f}% at the best layer of each image",
    )


def _beside(rows: Sequence[Record]) -> list[tuple[str, Interval, PairedTest]]:
    """Returns name, share and test of each control at one cover."""
    controls = []
    for group, weights, name in CONTROLS:
        for row in pick(rows, control_group=group, control_weights=weights):
            share = interval(row, "control_share", "n_images")
            test = paired_test(row, images="n_images", against=f"against {name}")
            if share is not None and test is not None:
                controls.append((name, share, test))
    return controls


def _over(parts: Sequence[str]) -> str:
    return " / ".join(parts)


def _versus(covers: Sequence[float | None], controls: Sequence[Interval]) -> str:
    text = f"({_over([cover_name(cover) for cover in covers])})" if covers != [None] else ""
    if controls:
        text += f" against {_over([percent(x.value) for x in controls])} for the nearest control"
    return text.strip()


def _border(run: StudyRun) -> str:
    """Returns the conclusion from the difference between the covers."""
    for row in run.extra("peak"):
        if (row.get("control_group"), row.get("control_weights")) != OWN:
            continue
        test = paired_test(row, images="n_images")
        if test is None or test.sign == "too few":
            continue
        here, there = (at_cover(number(row, name)) for name in ("cover", "control_cover"))
        if test.sign == "lower":
            lower = paired_test(row, images="n_images", sign=-1)
            return (
                "The result rests on tokens at the object's border: on the same objects it is "
                f"{lower} lower {here}."
            )
        if test.sign == "higher":
            return (
                "The result rests on tokens that lie mostly on the object: on the same objects it "
                f"is {test} higher {here}."
            )
        minus = f"{here.removeprefix('at ')} minus {there.removeprefix('at ')}"
        return f"The two kinds of tokens do not differ significantly ({minus}: {test})."
    return ""


def _with_models(finding: Finding, runs: Sequence[StudyRun]) -> Finding:
    """Adds the other models' results to the main model's finding."""
    more = models_in_short(runs)
    return replace(finding, sentence=f"{finding.sentence} {more}") if more else finding


def _best_layer(run: StudyRun, cover: float | None) -> str:
    """Returns the paper's statistic, with that for background tokens, which shows its bias."""
    rows = pick(run.extra("best_layer"), measure="strict", weights="trained")
    of_object = pick(rows, group="object", cover=cover)
    row = first(of_object, images="all")
    share, layer = interval(row, "share"), interval(row, "layer")
    if row is None or share is None or layer is None:
        return ""
    last = int(number(row, "n_layers") or 0) - 1
    text = (
        f"The paper's own statistic, the best layer chosen for each object, {at_cover(cover)}: "
        f"{percent_interval(share)}, on average at layer {layer.value:.1f} of {last}"
    )
    if hitting := interval(first(of_object, images="hitting"), "share"):
        text += f" ({percent_interval(hitting)} without objects that are named at no layer)"
    if bias := interval(first(rows, group="background", images="all"), "share"):
        text += (
            f". Choosing the best of several layers can only raise a share; for background tokens "
            f"it gives {percent_interval(bias)}"
        )
    text += "."
    paper_share, paper_layer = number(row, "paper_share"), number(row, "paper_layer")
    if paper_share is not None and paper_layer is not None:
        text += f" The paper: {100 * paper_share:.1f}%, layer {paper_layer:.1f} of 33 ({PAPER})."
    return text


def _notes(runs: Sequence[StudyRun], near: bool) -> tuple[str, ...]:
    known = [run.label for run in runs if run.label in PRETRAINING]
    return (
        "Read out: the final norm and the unembedding applied to the residual stream of a visual "
        "token after each layer. Layer 0 is what the decoder receives; the last layer is the "
        "model's own output, normalised once.",
        "Cover: how much of a token's box the object's mask must cover for the token to count. "
        "With any overlap, tokens at the object's border count, which may show mostly background; "
        "with half cover, only tokens that lie mostly on the object. The paper's rule is not "
        "certain, so both are given.",
        "Controls: the same count on tokens outside every object, on the object tokens of another "
        "image's mask, and on a copy of the model with random weights. A peak is biased upwards on "
        "the images that selected it, so each image counts at the layer that was best on the other "
        "half of the images.",
        *((BUILT_IN,) if "pocket" in known else ()),
        *((OF_PARTS,) if any(run.label.startswith("smol") for run in runs) else ()),
        *((_near_note(runs[0]),) if near else ()),
    )


def _near_note(run: StudyRun) -> str:
    options = run.manifest["parameters"]
    near = options.get("near") if isinstance(options, dict) else None
    return (
        f"“Near” are the {near} entries of the vocabulary that are closest to a name by the "
        "language model's own input embeddings (cosine, without what all entries share), including "
        "the name itself. The control is the same count for the name of another object."
    )
