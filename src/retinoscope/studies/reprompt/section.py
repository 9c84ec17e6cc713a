"""Image re-prompting: accuracy of new questions against the visual tokens that are kept."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import (
    Figure,
    Interval,
    Record,
    Section,
    Table,
    file_name,
    listing,
    percent,
    percent_interval,
)
from ...report.charts import SHARE, Axis, Level, Look, Panel, Series, small_multiples
from ...report.findings import Finding, make_finding, paired_test, sentence_of
from ...report.rows import first, interval, number, pick
from ...report.style import BLUE, GREEN, ORANGE
from ...report.tables import count, plain_number, share, shares, table, text
from ..runs import StudyRun

NOUN = "image re-prompting"
TABLE_NOTE = "accuracy: share of correct answers from the reduced context, with its 95% interval."

_NAMES = {
    "attention": "most attention",
    "random": "as many random tokens",
    "naive": "asked on its own",
}


def section(runs: Sequence[StudyRun]) -> Section:
    """Makes the section: the main model in full, further models as tables."""
    main = runs[0]
    return Section(
        key="reprompt",
        title="How few visual tokens are enough: image re-prompting",
        question=(
            "After a description, only the text and the visual tokens that it attended to most "
            "stay in the context. How many new questions are still answered correctly?"
        ),
        sentences=tuple(_sentences(main.summary, main.label)),
        figures=(_curve(main.summary),),
        tables=tuple(_table(run, run is not main) for run in runs),
        notes=(
            "Each block keeps the tokens with most attention there, so the union over blocks is "
            "larger than the share. The description itself is not kept. “Asked on its own” is the "
            "ordinary prompt, without a description before it. A share counts as enough if its "
            "accuracy on the same questions is not significantly below that of the whole context.",
            "After Kaduri et al. 2024 (arXiv 2411.17491).",
        ),
        finding=reprompt_finding(main.summary, main.label),
    )


def _accuracy(row: Record | None) -> Interval | None:
    return interval(row, "accuracy")


def _curve_of(rows: Sequence[Record], selector: str) -> list[tuple[float, Interval]]:
    points = [
        (share, x)
        for row in pick(rows, selector=selector)
        if (share := number(row, "share")) is not None and (x := _accuracy(row))
    ]
    return sorted(points, key=lambda pair: pair[0])


def _smallest(rows: Sequence[Record]) -> Record | None:
    """Returns the smallest share whose accuracy is not significantly below the whole context's."""
    for row in sorted(pick(rows, selector="attention"), key=lambda row: number(row, "share") or 0):
        loss = paired_test(row, "loss")
        if number(row, "share") == 1.0 or (loss is not None and loss.sign in ("none", "lower")):
            return row
    return None


def _sentences(rows: Sequence[Record], model: str) -> list[str]:
    sentences = []
    parts = [f"{percent(share)} {percent_interval(x)}" for share, x in _curve_of(rows, "attention")]
    sentences.append(f"{model}, accuracy by share of visual tokens kept: {', '.join(parts)}.")
    for row in pick(rows, selector="attention"):
        test = paired_test(row)
        if test is not None and test.sign in ("higher", "lower"):
            share = percent(number(row, "share") or 0)
            sentences.append(f"At {share}, attention against random tokens: {sentence_of(test)}")
    alone = _accuracy(first(rows, selector="naive"))
    if alone:
        sentences.append(f"Asked on its own: {percent_interval(alone)}.")
    return sentences


def reprompt_finding(rows: Sequence[Record], model: str) -> Finding | None:
    """Whether attention keeps the tokens that new questions need, share by share."""
    row = _smallest(rows)
    whole, x = _accuracy(first(rows, selector="attention", share=1.0)), _accuracy(row)
    if row is None or whole is None or x is None:
        return None
    share = number(row, "share") or 0.0
    fewer = [r for r in pick(rows, selector="attention") if (number(r, "share") or 0) < 1]
    tests = [
        test
        for r in fewer
        if (test := paired_test(r, about=f"at {percent(number(r, 'share') or 0)}"))
    ]
    sentence = f"{model} answers {percent_interval(whole)} of new questions from the whole context"
    accuracies = [
        f"{percent_interval(accuracy)} with {percent(number(r, 'share') or 0)} of the visual "
        "tokens in each block"
        + (f" (as many random ones {percent(control.value)})" if control else "")
        for r in fewer
        if (accuracy := _accuracy(r))
        for control in [_accuracy(first(rows, selector="random", share=r["share"]))]
    ]
    sentence += f", {listing(accuracies)}" if accuracies else ""
    enough = (
        f"With {percent(share)} of them the accuracy is not significantly below that of the whole "
        "context."
        if share < 1
        else "With fewer, the accuracy is significantly below that of the whole context, or there "
        "are too few images to say."
    )
    return make_finding(
        "attention picks the visual tokens that new questions need",
        f"{sentence}. {enough}",
        tests,
        figure=percent(x.value),
        versus=f"of new questions correct with {percent(share)} of the visual tokens, "
        f"{percent(number(row, 'bytes_share') or 0)} of the cache",
    )


def _curve(rows: Sequence[Record]) -> Figure:
    lines = (("attention", Look(BLUE)), ("random", Look(ORANGE, "--", "s")))
    alone = _accuracy(first(rows, selector="naive"))
    facts = [f"{percent(share)}: {percent(x.value)}" for share, x in _curve_of(rows, "attention")]
    return Figure(
        name="reprompt",
        svg=small_multiples(
            "reprompt",
            [
                Panel(
                    [Series(_NAMES[name], _curve_of(rows, name), look) for name, look in lines],
                    levels=[Level(alone.value, _NAMES["naive"], GREEN, ":")] if alone else [],
                )
            ],
            Axis("visual tokens kept in each block", share=True),
            Axis("questions answered", SHARE, share=True),
            size=(6.6, 3.4),
        ),
        alt=f"Accuracy of new questions by share of visual tokens kept. {'; '.join(facts)}.",
        caption="Accuracy of new questions by the share of visual tokens that stay in the context. "
        "Bands are 95% intervals over images.",
        wide=False,
    )


def _table(run: StudyRun, folded: bool) -> Table:
    return table(
        file_name("reprompt", run.label),
        f"{run.label}: new questions from a context with some of the visual tokens, with 95% "
        "intervals.",
        run.summary,
        (
            text("selector", "kept by", _NAMES),
            share("share"),
            plain_number("n_kept", "tokens a block", 0),
            share("union"),
            share("bytes_share", "cache"),
            shares("accuracy", "questions correct"),
            shares("pairs_right", "images all correct"),
            shares("difference", "minus random"),
            count("n"),
        ),
        folded=folded,
    )
