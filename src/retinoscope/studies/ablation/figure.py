"""Figures of the ablation study."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Figure, Interval, Record, percent
from ...report.charts import SHARE, Axis, Look, Panel, Series, small_multiples
from ...report.rows import first, interval, number, pick, values
from ...report.style import BLUE, GREY, ORANGE, PURPLE
from ..token_sets import OBJECT, RING_1, RING_2, NamedSet

REGISTERS = NamedSet("registers")
SETS = (OBJECT, RING_1, RING_2, REGISTERS)
TITLES = {"generative": "Caption", "polling": "Yes/no", "question": "Question"}
_LOST = "correct answers lost"


def _decrease(rows: Sequence[Record], task: str, tokens: NamedSet) -> Interval | None:
    return interval(first(rows, task=task, **tokens.columns), "decrease")


def conditions_figure(rows: Sequence[Record], tasks: Sequence[str]) -> Figure | None:
    """One panel per task: each token set next to its random control; None without sets."""
    sets = [tokens for tokens in SETS if pick(rows, **tokens.columns)]
    if not sets:
        return None

    def series(task: str) -> list[Series]:
        points: dict[bool, list[tuple[float, Interval]]] = {False: [], True: []}
        for place, tokens in enumerate(sets):
            control = _decrease(rows, task, tokens.control)
            pairs = ((_decrease(rows, task, tokens), False), (control, True))
            for measured, is_control in pairs:
                shift = 0.17 * (1 if is_control else -1) if control else 0.0
                points[is_control] += [(place + shift, measured)] if measured else []
        return [
            Series("these tokens", points[False], Look(BLUE, ""), bars=True),
            Series(
                "as many random tokens elsewhere",
                points[True],
                Look(GREY, "", hollow=True),
                bars=True,
            ),
        ]

    facts = [
        f"{task}, {tokens.label}: {percent(a.value)}"
        + (f" against {percent(b.value)} for random tokens" if b else "")
        for task in tasks
        for tokens in sets
        if (a := _decrease(rows, task, tokens))
        for b in [_decrease(rows, task, tokens.control)]
    ]
    return Figure(
        name="ablation",
        svg=small_multiples(
            "ablation",
            [Panel(series(task), TITLES.get(task, task)) for task in tasks],
            Axis(_LOST, SHARE, (0, 0.5, 1), share=True),
            Axis(
                limits=(len(sets) - 0.5, -0.5),
                ticks={place: tokens.label for place, tokens in enumerate(sets)},
            ),
            size=(9.2, 0.9 + 0.62 * len(sets)),
            sideways=True,
        ),
        alt="Correct answers lost, by token set and task. " + "; ".join(facts) + ".",
        caption="Correct answers lost when tokens are replaced by the mean token. Filled: the "
        "named tokens; hollow: as many random tokens elsewhere. Bars are 95% intervals.",
    )


def count_figure(rows: Sequence[Record], tasks: Sequence[str]) -> Figure | None:
    """The same loss against the number of replaced tokens; None without counted sets."""
    sizes = sorted(int(n) for n in values(rows, "n_drawn") if n is not None)
    if not sizes:
        return None

    def drawn(task: str, kind: str) -> list[tuple[float, Interval]]:
        measured = ((n, _decrease(rows, task, NamedSet(kind, n_drawn=n))) for n in sizes)
        return [(n, x) for n, x in measured if x]

    def counted(task: str, sets: Sequence[NamedSet]) -> list[tuple[float, Interval]]:
        points = []
        for tokens in sets:
            row = first(rows, task=task, **tokens.columns)
            n, x = number(row, "n_tokens") if row else None, interval(row, "decrease")
            points += [(n, x)] if n and x else []
        return points

    def series(task: str) -> list[Series]:
        objects = counted(task, (OBJECT, RING_1, RING_2))
        registers = counted(task, (REGISTERS,))
        return [
            Series("highest integrated gradients", drawn(task, "gradient"), Look(ORANGE, "-", "s")),
            Series("random", drawn(task, "random"), Look(GREY, "--")),
            Series("object, + 1 ring, + 2 rings", objects, Look(BLUE, "", "D"), bars=True),
            Series("registers", registers, Look(PURPLE, "", "^"), bars=True),
        ]

    return Figure(
        name="ablation-count",
        svg=small_multiples(
            "ablation-count",
            [Panel(series(task), TITLES.get(task, task)) for task in tasks],
            Axis("tokens replaced (log scale)", ticks=(5, 10, 20, 40, 100), log=True),
            Axis(_LOST, SHARE, (0, 0.5, 1), share=True),
            size=(9.2, 3.1),
        ),
        alt="Correct answers lost against the number of replaced tokens, for tokens with high "
        "integrated gradients, random tokens, and the object's tokens. Numbers in the table.",
        caption="The same loss by the number of replaced tokens: those of highest integrated "
        "gradients, random ones, and the object's with 0, 1 and 2 rings.",
    )
