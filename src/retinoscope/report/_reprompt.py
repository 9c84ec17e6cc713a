"""Image re-prompting: accuracy of new questions against the visual tokens that are kept."""

from __future__ import annotations

from collections.abc import Sequence

from ._collect import StudyRun
from ._parts import (
    Claim,
    Column,
    Figure,
    Interval,
    Record,
    Section,
    Table,
    file_name,
    percent,
    percent_interval,
)
from ._rows import first, interval, number, pick
from ._style import BLUE, GREEN, INK, ORANGE, figure_style, svg_of

_NAMES = {
    "attention": "most attention",
    "random": "as many random tokens",
    "naive": "asked on its own",
}


def section(runs: Sequence[StudyRun]) -> Section:
    """The main model in full, further models as tables."""
    main = runs[0]
    return Section(
        key="reprompt",
        title="How few visual tokens are enough: image re-prompting",
        question=(
            "After a description, only the text and the visual tokens that it attended to most "
            "stay in the context. How many new questions are still answered?"
        ),
        sentences=tuple(_sentences(main.summary, main.label)),
        figures=(_curve(main.summary),),
        tables=tuple(_table(run, run is not main) for run in runs),
        notes=(
            "In each block the tokens with most attention there are kept, so that the union over "
            "blocks is larger than the share. The description itself is not kept. “Asked on its "
            "own” is the ordinary prompt, without a description before it. A share counts as "
            "enough where its interval meets the whole context's.",
            "After Kaduri et al. 2024 (arXiv 2411.17491).",
        ),
        claim=_claim(main.summary, main.label),
    )


def _accuracy(row: Record | None) -> Interval | None:
    return interval(row, "accuracy")


def _curve_of(rows: Sequence[Record], selector: str) -> list[tuple[float, Interval]]:
    found = [
        (share, x)
        for row in pick(rows, selector=selector)
        if (share := number(row, "share")) is not None and (x := _accuracy(row))
    ]
    return sorted(found, key=lambda pair: pair[0])


def _smallest(rows: Sequence[Record]) -> Record | None:
    """The smallest share whose accuracy is not below the whole context's interval."""
    whole = _accuracy(first(rows, selector="attention", share=1.0))
    if whole is None:
        return None
    for row in pick(rows, selector="attention"):
        x = _accuracy(row)
        if x and not whole.above(x):
            return row
    return None


def _sentences(rows: Sequence[Record], model: str) -> list[str]:
    found = []
    parts = [f"{percent(share)} {percent_interval(x)}" for share, x in _curve_of(rows, "attention")]
    found.append(f"{model}, accuracy by share of visual tokens kept: {', '.join(parts)}.")
    for row in pick(rows, selector="attention"):
        difference = interval(row, "difference", "difference_n")
        if difference and (difference.low > 0 or difference.high < 0):
            found.append(
                f"At {percent(number(row, 'share') or 0)}, attention keeps "
                f"{100 * difference.value:+.0f} points against random tokens "
                f"({100 * difference.low:+.0f} to {100 * difference.high:+.0f})."
            )
    own = _accuracy(first(rows, selector="naive"))
    if own:
        found.append(f"Asked on its own: {percent_interval(own)}.")
    return found


def _claim(rows: Sequence[Record], model: str) -> Claim | None:
    row = _smallest(rows)
    whole = _accuracy(first(rows, selector="attention", share=1.0))
    x = _accuracy(row)
    if row is None or whole is None or x is None:
        return None
    share = number(row, "share") or 0.0
    control = _accuracy(first(rows, selector="random", share=share))
    sentence = (
        f"With {percent(share)} of the visual tokens in each block "
        f"({percent(number(row, 'union') or 0)} of them in any), {model} answers "
        f"{percent_interval(x)} of new questions, from the whole context {percent_interval(whole)}"
    )
    if control:
        sentence += f"; with as many random tokens {percent_interval(control)}"
    shown = None if control is None else x.above(control)
    sentence += ". The intervals overlap: the choice does not show." if shown is False else "."
    return Claim(
        title=(
            "Some visual tokens are enough once the image is described"
            if share < 1
            else "No fewer visual tokens are enough"
        ),
        figure=percent(share),
        versus=f"of the visual tokens, {percent(number(row, 'bytes_share') or 0)} of the cache",
        sentence=sentence,
        shown=shown,
    )


def _curve(rows: Sequence[Record]) -> Figure:
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import PercentFormatter

    with figure_style("reprompt"):
        drawing = Drawing(figsize=(6.6, 3.4))
        panel = drawing.subplots()
        for selector, color, dash, mark in (
            ("attention", BLUE, "-", "o"),
            ("random", ORANGE, "--", "s"),
        ):
            points = _curve_of(rows, selector)
            if points:
                at = [share for share, _ in points]
                low, high = [x.low for _, x in points], [x.high for _, x in points]
                panel.fill_between(at, low, high, color=color, alpha=0.14, lw=0)
                middle = [x.value for _, x in points]
                panel.plot(at, middle, dash, marker=mark, color=color, label=_NAMES[selector])
        own = _accuracy(first(rows, selector="naive"))
        if own:
            panel.axhline(own.value, color=GREEN, ls=":", label=_NAMES["naive"])
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0))
        panel.set_ylim(-0.03, 1.03)
        panel.set_xlabel("visual tokens kept in each block", loc="left")
        panel.set_ylabel("questions answered")
        panel.tick_params(labelcolor=INK)
        panel.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
        svg = svg_of(drawing)
    facts = [f"{percent(share)}: {percent(x.value)}" for share, x in _curve_of(rows, "attention")]
    return Figure(
        name="reprompt",
        svg=svg,
        alt=f"Accuracy of new questions by share of visual tokens kept. {'; '.join(facts)}.",
        caption="Accuracy of new questions by the share of visual tokens that stay in the context. "
        "Bands are 95% intervals over images.",
        wide=False,
    )


def _table(run: StudyRun, folded: bool) -> Table:
    shown = []
    for row in run.summary:
        cells = [interval(row, name) for name in ("accuracy", "pairs_right")]
        difference = interval(row, "difference", "difference_n")
        shown.append(
            (
                _NAMES[str(row["selector"])],
                percent(number(row, "share") or 0),
                f"{number(row, 'n_kept'):.0f}",
                percent(number(row, "union") or 0),
                percent(number(row, "bytes_share") or 0),
                *("" if x is None else percent_interval(x) for x in cells),
                "" if difference is None else percent_interval(difference),
                str(row["n"]),
            )
        )
    return Table(
        name=file_name("reprompt", run.label),
        caption=f"{run.label}: new questions from a context with some of the visual tokens, with "
        "95% intervals.",
        columns=(
            Column("kept by", numeric=False),
            Column("share"),
            Column("tokens a block"),
            Column("union"),
            Column("cache"),
            Column("questions right"),
            Column("images all right"),
            Column("minus random"),
            Column("n"),
        ),
        rows=tuple(shown),
        records=tuple(run.summary),
        folded=folded,
    )
