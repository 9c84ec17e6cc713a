"""How well each method finds the object at each layer, and which method finds it best."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ...answers.tasks import TASKS
from .._map_options import COMPLETENESS
from ..columns import NUMBER, TEXT, WHOLE, Columns, columns
from ..summary import VALUE, Computed, Contrast, Estimate, Record, Summary, c
from .options import BASELINES, MAP_METHODS, RANDOM

RANKED = ("pointing", "mass", "ap", "iou_best")
"""Measures of the leaderboard; higher is better."""
UNBOUNDED = ("insertion", "deletion", "spearman", COMPLETENESS)
"""Measures that are not shares: they can leave 0 to 1."""
MEASURES = (
    *(*RANKED, "iou_area", "iou_otsu"),
    *("shuffled_pointing", "shuffled_mass", "shuffled_ap", "area"),
    *UNBOUNDED,
)
COLUMNS: Columns = {
    **columns(TEXT, "sample error"),
    "item": WHOLE,
    **columns(TEXT, "task object target weights method"),
    "layer": WHOLE,
    "value": NUMBER,
    "n_tokens": WHOLE,
    "area": NUMBER,
    **dict.fromkeys(MEASURES, NUMBER),
    "reason": TEXT,
}

SUMMARY = Summary(
    by=("task", "weights", "method", "layer"),
    where=c("method").is_not_null(),
    estimates=tuple(Estimate(name, c(name), share=name not in UNBOUNDED) for name in MEASURES),
    means={"n_undefined": c("pointing").null_count(), "n_controls": c("insertion").count()},
    differences=(Contrast("difference", c("ap"), minus=c("shuffled_ap")),),
    curve=("task", "weights"),
    order={
        "task": TASKS,
        "weights": ("trained", "untrained"),
        "method": (*MAP_METHODS, *BASELINES),
        "layer": None,
    },
    interval="method_of_interval",
    interval_of=lambda record: "area",
)
"""One record per task, weights, method and layer (null if the method takes none).

`difference` is "ap" minus "shuffled_ap" on the same targets. `n_undefined` counts targets whose map
points nowhere (it is constant), which are in no mean; `n_controls` those with curves. All methods
and layers of a task are corrected together.
"""
_SCORE, _CONTROL = Estimate("value", VALUE), Estimate("control", VALUE)
_ABOVE, _BEHIND = (Contrast(name, VALUE, minus={}) for name in ("above", "behind"))


def _leaders(rows: pl.DataFrame) -> Iterator[Record]:
    """Yields the methods of a task, best first, by each measure.

    For a method that takes a layer, each target counts at the layer that was best on the *other*
    half of the images (every second one), so that no layer is judged on the images that chose it
    (a single image has no other half and counts at its own best layer); `layers` lists the layers.
    `above` is the measure minus its control on the same targets: that under another image's mask,
    or for "iou_best" that of the map "random". `behind` is the measure minus the best method's, on
    targets where both are defined; empty for the best.
    """
    rows = rows.with_columns(half=c("sample").rank("dense") % 2)
    for measure in RANKED:
        methods = rows.with_columns(value=c(measure)).partition_by(
            "method", maintain_order=True, as_dict=True
        )
        chosen = {str(method): _at_best_layers(some) for (method,), some in methods.items()}
        scores = {method: _SCORE.over(some) for method, some in chosen.items()}
        placed = sorted(
            (method for method in chosen if scores[method].n), key=lambda name: -scores[name].value
        )
        best = next((method for method in placed if method not in BASELINES), None)
        if best is None:
            continue
        for place, method in enumerate(placed):
            some, score, shuffled = chosen[method], scores[method], f"shuffled_{measure}"
            layers = some["layer"].drop_nulls().unique().sort().to_list()
            control = (
                some.with_columns(value=c(shuffled))
                if shuffled in MEASURES
                else chosen.get(RANDOM, some.clear())
            )
            yield {
                "task": rows["task"][0],
                "measure": measure,
                "method": method,
                "layers": ", ".join(map(str, layers)),
                "first_layer": layers[0] if layers else None,
                **_SCORE.columns(score),
                **_CONTROL.columns(_CONTROL.over(control)),
                **_ABOVE.columns(_ABOVE.over(some, control)),
                **_BEHIND.columns(None if method == best else _BEHIND.over(some, chosen[best])),
                "best": best,
                "place": place,
                "n": score.n,
                "n_samples": score.n_groups,
                "n_undefined": some.height - score.n,
            }


def _at_best_layers(rows: pl.DataFrame) -> pl.DataFrame:
    """Returns each target of a method at the layer with the largest mean on the other half of the
    images, or on all of them if that half has no value."""
    best = {}
    for half in (0, 1):
        other = rows.filter(c("half") != half)
        means = (
            (other if other["value"].count() else rows)
            .group_by("layer", maintain_order=True)
            # A mostly undefined map must not win by its few defined values, nor one of equal means
            # by how its sum was rounded.
            .agg(mean=pl.when(VALUE.count() > 0).then((VALUE.sum() / pl.len()).round(12)))
            .sort("mean", descending=True, nulls_last=True, maintain_order=True)
        )
        best[half] = means["layer"][0]
    return rows.filter(c("layer").eq_missing(c("half").replace_strict(best, return_dtype=pl.Int64)))


EXTRAS = {
    "leaderboard": Computed(
        make=_leaders,
        by=("task", "measure", "method"),
        # All methods of a task are compared with its best.
        together=("task",),
        where=c("weights") == "trained",
        columns=("item", "method", "layer", *MEASURES),
        kinds={
            **columns(TEXT, "task measure method layers"),
            "first_layer": WHOLE,
            **_SCORE.kinds,
            **_CONTROL.kinds,
            **_ABOVE.kinds,
            **_BEHIND.kinds,
            "best": TEXT,
            **columns(WHOLE, "place n n_samples n_undefined"),
        },
        order={"task": TASKS, "measure": RANKED, "place": None},
    )
}
