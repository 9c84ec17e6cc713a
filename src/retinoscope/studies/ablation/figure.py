"""Figures of the ablation study."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Figure, Interval, Record, percent
from ...report.rows import first, interval, number, pick, values
from ...report.style import BLUE, GREY, INK, MUTED, ORANGE, PAPER, PURPLE, figure_style, svg_of

LABELS = {
    "object": "object",
    "object+1": "object + 1 ring",
    "object+2": "object + 2 rings",
    "registers": "registers",
}
TITLES = {"generative": "Caption", "polling": "Yes/no", "question": "Question"}


def _decrease(rows: Sequence[Record], **keys: str) -> Interval | None:
    return interval(first(rows, **keys), "decrease")


def conditions_figure(rows: Sequence[Record], tasks: Sequence[str]) -> Figure | None:
    """One panel a task: each token set beside its matched random control; None without sets."""
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import PercentFormatter

    conditions = [c for c in LABELS if pick(rows, condition=c)]
    if not conditions:
        return None
    with figure_style("ablation"):
        drawing = Drawing(figsize=(9.2, 0.9 + 0.62 * len(conditions)))
        panels = drawing.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
        for panel, task in zip(panels, tasks, strict=True):
            for y, condition in enumerate(conditions):
                control = f"random={condition}"
                paired = 0.17 * bool(pick(rows, condition=control))
                for name, shift, color, fill in (
                    (control, paired, GREY, PAPER),
                    (condition, -paired, BLUE, BLUE),
                ):
                    x = _decrease(rows, task=task, condition=name)
                    if x is None:
                        continue
                    panel.plot([x.low, x.high], [y + shift] * 2, color=color, lw=2.2, zorder=2)
                    panel.plot(
                        x.value, y + shift, "o", color=color, mfc=fill, mew=1.6, ms=7, zorder=3
                    )
            panel.set_title(TITLES.get(task, task))
            panel.set_xlim(-0.03, 1.03)
            panel.set_ylim(len(conditions) - 0.5, -0.5)
            panel.set_yticks(range(len(conditions)), [LABELS[c] for c in conditions])
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
        f"{task}, {LABELS[c]}: {percent(a.value)}"
        + (f" against {percent(b.value)} for random tokens" if b else "")
        for task in tasks
        for c in conditions
        if (a := _decrease(rows, task=task, condition=c))
        for b in [_decrease(rows, task=task, condition=f"random={c}")]
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

    counted = {
        kind: sorted(
            (str(c) for c in values(rows, "condition") if str(c).startswith(f"{kind}-")),
            key=lambda name: int(name.rsplit("-", 1)[1]),
        )
        for kind in ("random", "gradient")
    }
    if not any(counted.values()):
        return None
    with figure_style("ablation-count"):
        drawing = Drawing(figsize=(9.2, 3.1))
        panels = drawing.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
        for panel, task in zip(panels, tasks, strict=True):
            _curves(panel, rows, task, counted)
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


def _curves(panel, rows: Sequence[Record], task: str, counted: dict[str, list[str]]) -> None:
    for kind, color, mark, dash, label in (
        ("gradient", ORANGE, "s", "-", "highest integrated gradients"),
        ("random", GREY, "o", "--", "random"),
    ):
        points = [
            (int(c.rsplit("-", 1)[1]), x)
            for c in counted[kind]
            if (x := _decrease(rows, task=task, condition=c))
        ]
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
    for condition, color, mark, label in (
        ("object", BLUE, "D", "object, + 1 ring, + 2 rings"),
        ("object+1", BLUE, "D", "object, + 1 ring, + 2 rings"),
        ("object+2", BLUE, "D", "object, + 1 ring, + 2 rings"),
        ("registers", PURPLE, "^", "registers"),
    ):
        row = first(rows, task=task, condition=condition)
        x = interval(row, "decrease")
        n = number(row, "n_tokens") if row else None
        if row is None or x is None or not n:
            continue
        panel.plot([n, n], [x.low, x.high], color=color, lw=2.2)
        panel.plot(n, x.value, mark, color=color, ms=7, mec=PAPER, mew=1, label=label, zorder=4)
    panel.tick_params(labelcolor=MUTED)
