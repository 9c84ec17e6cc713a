"""Figures of the ablation study."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Figure, Interval, Record, percent
from ...report.rows import first, interval, number, pick, values
from ...report.style import BLUE, GREY, INK, MUTED, ORANGE, PAPER, PURPLE, figure_style, svg_of
from ..token_sets import OBJECT, RING_1, RING_2, NamedSet

SETS = (OBJECT, RING_1, RING_2, NamedSet("registers"))
TITLES = {"generative": "Caption", "polling": "Yes/no", "question": "Question"}


def _decrease(rows: Sequence[Record], task: str, tokens: NamedSet) -> Interval | None:
    return interval(first(rows, task=task, **tokens.columns), "decrease")


def conditions_figure(rows: Sequence[Record], tasks: Sequence[str]) -> Figure | None:
    """One panel a task: each token set beside its matched random control; None without sets."""
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import PercentFormatter

    sets = [one for one in SETS if pick(rows, **one.columns)]
    if not sets:
        return None
    with figure_style("ablation"):
        drawing = Drawing(figsize=(9.2, 0.9 + 0.62 * len(sets)))
        panels = drawing.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
        for panel, task in zip(panels, tasks, strict=True):
            for y, one in enumerate(sets):
                paired = 0.17 * bool(pick(rows, **one.control.columns))
                for tokens, shift, color, fill in (
                    (one.control, paired, GREY, PAPER),
                    (one, -paired, BLUE, BLUE),
                ):
                    x = _decrease(rows, task, tokens)
                    if x is None:
                        continue
                    panel.plot([x.low, x.high], [y + shift] * 2, color=color, lw=2.2, zorder=2)
                    panel.plot(
                        x.value, y + shift, "o", color=color, mfc=fill, mew=1.6, ms=7, zorder=3
                    )
            panel.set_title(TITLES.get(task, task))
            panel.set_xlim(-0.03, 1.03)
            panel.set_ylim(len(sets) - 0.5, -0.5)
            panel.set_yticks(range(len(sets)), [one.label for one in sets])
            panel.tick_params(axis="y", labelcolor=INK)
            panel.set_xticks([0, 0.5, 1])
            panel.xaxis.set_major_formatter(PercentFormatter(1.0))
            panel.grid(axis="y", visible=False)
            panel.spines["left"].set_visible(False)
        panels[0].set_xlabel("right answers lost", loc="left")
        drawing.legend(
            handles=[
                _dot(BLUE, BLUE, "these tokens"),
                _dot(GREY, PAPER, "as many random tokens elsewhere"),
            ],
            loc="lower right",
            bbox_to_anchor=(0.995, -0.12),
            ncols=2,
        )
        drawing.tight_layout(w_pad=2.0)
        svg = svg_of(drawing)
    facts = [
        f"{task}, {one.label}: {percent(a.value)}"
        + (f" against {percent(b.value)} for random tokens" if b else "")
        for task in tasks
        for one in sets
        if (a := _decrease(rows, task, one))
        for b in [_decrease(rows, task, one.control)]
    ]
    return Figure(
        name="ablation",
        svg=svg,
        alt="Right answers lost, by token set and task. " + "; ".join(facts) + ".",
        caption="Right answers lost when tokens are replaced by the mean token. Filled: the named "
        "tokens; hollow: as many random tokens elsewhere. Bars are 95% intervals.",
    )


def _dot(color: str, fill: str, label: str):
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, marker="o", mfc=fill, mew=1.6, ms=7, lw=2.2, label=label)


def count_figure(rows: Sequence[Record], tasks: Sequence[str]) -> Figure | None:
    """The same loss against the number of replaced tokens; None without counted sets."""
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import FuncFormatter, PercentFormatter

    sizes = sorted(int(n) for n in values(rows, "n_drawn") if n is not None)
    if not sizes:
        return None
    with figure_style("ablation-count"):
        drawing = Drawing(figsize=(9.2, 3.1))
        panels = drawing.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
        for panel, task in zip(panels, tasks, strict=True):
            _curves(panel, rows, task, sizes)
            _sets(panel, rows, task)
            panel.set_title(TITLES.get(task, task))
            panel.set_xscale("log")
            panel.set_xticks([5, 10, 20, 40, 100])
            panel.minorticks_off()
            panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
            panel.set_ylim(-0.03, 1.03)
            panel.set_yticks([0, 0.5, 1])
            panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        panels[0].set_ylabel("right answers lost")
        panels[0].set_xlabel("tokens replaced (log scale)", loc="left")
        handles = {
            label: handle
            for panel in panels
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
        }
        drawing.legend(
            handles.values(), handles, loc="lower right", bbox_to_anchor=(0.995, -0.09), ncols=3
        )
        drawing.tight_layout(w_pad=2.0)
        svg = svg_of(drawing)
    return Figure(
        name="ablation-count",
        svg=svg,
        alt="Right answers lost against the number of replaced tokens, for tokens with high "
        "integrated gradients, random tokens, and the object's tokens. Numbers in the table.",
        caption="The same loss against how many tokens are replaced: chosen by integrated "
        "gradients, at random, or because they show the object (0, 1, 2 rings).",
    )


def _curves(panel, rows: Sequence[Record], task: str, sizes: Sequence[int]) -> None:
    for kind, color, mark, dash, label in (
        ("gradient", ORANGE, "s", "-", "highest integrated gradients"),
        ("random", GREY, "o", "--", "random"),
    ):
        points = [(n, x) for n in sizes if (x := _decrease(rows, task, NamedSet(kind, n_drawn=n)))]
        if not points:
            continue
        at = [n for n, _ in points]
        panel.plot(at, [x.value for _, x in points], dash, marker=mark, color=color, label=label)
        panel.fill_between(
            at,
            [x.low for _, x in points],
            [x.high for _, x in points],
            color=color,
            alpha=0.16,
            lw=0,
        )


def _sets(panel, rows: Sequence[Record], task: str) -> None:
    for one in SETS:
        color, mark, label = BLUE, "D", "object, + 1 ring, + 2 rings"
        if one.token_set == "registers":
            color, mark, label = PURPLE, "^", "registers"
        row = first(rows, task=task, **one.columns)
        x = interval(row, "decrease")
        n = number(row, "n_tokens") if row else None
        if row is None or x is None or not n:
            continue
        panel.plot([n, n], [x.low, x.high], color=color, lw=2.2)
        panel.plot(n, x.value, mark, color=color, ms=7, mec=PAPER, mew=1, label=label, zorder=4)
    panel.tick_params(labelcolor=MUTED)
