"""Figures of the probes: the two axes as paths over layers, and every task by layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...report.blocks import Figure, Interval, Record, python_lines
from ...report.charts import Axis, Level, Look, Panel, Series, look_of, small_multiples
from ...report.rows import interval, number, pick, values
from ...report.style import GREY
from ..runs import StudyRun

SEMANTICS = ("name", "class_accuracy")
LOCALISATION = ("foreground", "iou")
"""Task and measure that represent each axis in the scatter plot."""

_SCATTER = """
def points(task, measure):
    return {(r["encoder"], r["layer"]): r for r in rows
            if (r["task"], r["measure"], r["kind"]) == (task, measure, "encoder")}

names, places = points("name", "class_accuracy"), points("foreground", "iou")
for encoder in dict.fromkeys(key[0] for key in names):
    keys = [key for key in names if key[0] == encoder and key in places]
    plt.plot([names[k]["value"] for k in keys], [places[k]["value"] for k in keys], "o-",
             label=encoder)
plt.xlabel("names of objects, masks given"); plt.ylabel("foreground IoU"); plt.legend()
plt.savefig("probe-axes.svg")
"""
_CURVES = """
tasks = list(dict.fromkeys(r["task"] for r in rows))
fig, panels = plt.subplots(1, len(tasks), figsize=(3.2 * len(tasks), 3))
for panel, task in zip(panels, tasks):
    measure = next(r["measure"] for r in rows if r["task"] == task)
    for encoder in dict.fromkeys(r["encoder"] for r in rows):
        own = [r for r in rows if r["encoder"] == encoder
               and (r["task"], r["measure"]) == (task, measure)]
        panel.plot([r["layer"] for r in own], [r["value"] for r in own], "o-", label=encoder)
    panel.set_title(task)
panels[0].legend(); fig.savefig("probe-layers.svg")
"""


def groups_of(run: StudyRun) -> list[Record]:
    """One row per encoder (averaged over training runs) and per baseline."""
    return run.extra("groups")


def axes_figure(run: StudyRun) -> Figure | None:
    """Semantics against localisation: a path per encoder, a point per layer."""
    rows = groups_of(run)
    across, up = _estimates(rows, SEMANTICS), _estimates(rows, LOCALISATION)
    shared = [key for key in across if key in up]
    if not shared:
        return None
    looks = _looks(rows, [name for name, _ in shared])
    series, texts = [], {}
    for name, look in looks.items():
        keys = [key for key in shared if key[0] == name]
        points = [(across[key].value, up[key]) for key in keys]
        series.append(Series(name, points, look, bars=True, along=[across[key] for key in keys]))
        if look.color != GREY and len(looks) <= 6:
            texts |= {(across[key].value, up[key].value): key[1] for key in (keys[0], keys[-1])}
    bounds = (number(row, "bound") for row in _task(rows, LOCALISATION))
    bound = next((value for value in bounds if value is not None), None)
    levels = [] if bound is None else [Level(bound, _LEVELS["bound"], dash=":")]
    facts = [
        f"{name} {layer}: {across[name, layer].value:.2f}, {up[name, layer].value:.2f}"
        for name, layer in shared
        if looks[name].color != GREY
    ]
    return Figure(
        name="probe-axes",
        svg=small_multiples(
            "probe-axes",
            [Panel(series, levels=levels, texts=texts)],
            Axis("names of objects, their masks given: mean class accuracy", (0, None), share=True),
            Axis("object or background: IoU", share=True),
            size=(9.2, 4.4),
            legend=3,
        ),
        alt="Accuracy of names and IoU of the foreground by encoder and layer. "
        + "; ".join(facts)
        + ".",
        caption="Semantics against localisation. A path is an encoder, its points are layers from "
        "the image on; grey is random weights or raw pixels. Lines are 95% intervals over images"
        + (" and training runs." if any(int(r.get("n_runs") or 1) > 1 for r in rows) else "."),
        code=python_lines(run.place, _SCATTER, 'extras()["groups"]'),
    )


def layers_figure(run: StudyRun, measures: Sequence[tuple[str, str, str]]) -> Figure | None:
    """Every task by layer: one panel per task, one line per encoder.

    Args:
        measures: task, measure and title of each panel.
    """
    rows = [row for row in groups_of(run) if row.get("kind") != "pixels"]
    shown = [one for one in measures if _task(rows, one[:2])]
    if not shown:
        return None
    columns = min(3, len(shown))
    return Figure(
        name="probe-layers",
        svg=small_multiples(
            "probe-layers",
            [_by_layer(run, _task(rows, one[:2]), *one) for one in shown],
            Axis(),
            Axis(limits=(0, None), share=True),
            columns=columns,
            size=(9.6, 2.9),
            same=False,
            legend=3,
        ),
        alt="Every task by layer: " + "; ".join(title for _, _, title in shown) + ".",
        caption="Every task by layer. Bands are 95% intervals.",
        code=python_lines(run.place, _CURVES, 'extras()["groups"]'),
    )


def _by_layer(run: StudyRun, rows: Sequence[Record], task: str, measure: str, title: str) -> Panel:
    layers = list(dict.fromkeys(str(row["layer"]) for row in sorted(rows, key=_order)))
    series = [
        Series(
            name,
            [
                (layers.index(str(row["layer"])), x)
                for row in pick(rows, encoder=name)
                if (x := interval(row, "value"))
            ],
            look,
        )
        for name, look in _looks(rows, [str(name) for name in values(rows, "encoder")]).items()
    ]
    levels = [
        Level(level, label, dash=":" if name == "bound" else "--")
        for name, label in _LEVELS.items()
        if (level := _level(run, task, measure, name)) is not None
    ]
    return Panel(series, title, levels, ticks=dict(enumerate(layers)))


def _looks(rows: Sequence[Record], encoders: Iterable[str]) -> dict[str, Look]:
    """Baselines are grey."""
    kinds = {str(row["encoder"]): str(row.get("kind")) for row in rows}
    looks: dict[str, Look] = {}
    for name in dict.fromkeys(encoders):
        baseline = Look(GREY, "", "x") if kinds[name] == "pixels" else Look(GREY, ":", "D")
        number_of = sum(look.color != GREY for look in looks.values())
        looks[name] = look_of(number_of) if kinds[name] == "encoder" else baseline
    return looks


_LEVELS = {
    "bound": "best that one answer per location can reach",
    "constant": "constant answer",
}


def _level(run: StudyRun, task: str, measure: str, name: str) -> float | None:
    rows = pick(run.summary, task=task, measure=measure)
    return next((x for row in rows if (x := number(row, name)) is not None), None)


def _order(row: Record) -> tuple[bool, int]:
    """Encoders first: they define the layer order, and baselines have only some of the layers."""
    return row.get("kind") != "encoder", int(row.get("depth") or 0)


def _estimates(rows: Sequence[Record], task: tuple[str, str]) -> dict[tuple[str, str], Interval]:
    """(Encoder, layer) -> estimate."""
    return {
        (str(row["encoder"]), str(row["layer"])): x
        for row in _task(rows, task)
        if (x := interval(row, "value"))
    }


def _task(rows: Sequence[Record], task: tuple[str, str]) -> list[Record]:
    return pick(rows, task=task[0], measure=task[1])
