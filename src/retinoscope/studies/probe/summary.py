"""Summaries: scores of each layer, encoders against each other, training runs as one encoder."""

from __future__ import annotations

from .._training_runs import RUN_COLUMNS
from ..columns import NUMBER, NUMBERS, TEXT, TRUTH, WHOLE, WHOLES, Columns, columns
from ..summary import Computed, Order, c
from . import compare, draws
from .estimates import KINDS, estimates
from .tasks import MEASURES, TASKS

COLUMNS: Columns = {
    **columns(TEXT, "sample error encoder kind of"),
    **RUN_COLUMNS,
    "place": WHOLE,
    "layer": TEXT,
    "depth": WHOLE,
    **columns(TEXT, "task labels"),
    "seed": WHOLE,
    "head": TEXT,
    **columns(WHOLE, "n_parameters n_train"),
    **columns(NUMBER, "strength val"),
    "converged": TRUTH,
    "n_classes": WHOLE,
    "content": TEXT,
    **columns(WHOLES, "classes right said there"),
    "scores": NUMBERS,
    **columns(NUMBER, "top bottom"),
    **dict.fromkeys(draws.BOUNDS, NUMBER),
}
_MEASURED: Order = {"task": tuple(TASKS), "measure": tuple(MEASURES)}
_PLACED: Order = {
    "kind": ("encoder", "untrained", "pixels"),
    **dict.fromkeys(("place", "depth")),
}
SUMMARY = Computed(
    make=estimates,
    by=("task", "measure", "encoder", "kind", "of", "layer"),
    together=("task",),
    where=c("task").is_not_null(),
    columns=draws.COLUMNS,
    kinds=KINDS,
    order=_MEASURED | _PLACED,
)
"""One record per task, measure, encoder and layer.

`value` is the mean over probe seeds, with an interval from resampling images, the same for all
seeds; `seed_sd` is the standard deviation over seeds. `selectivity` is the value minus that with
control labels, for the first seed, paired over images. `bound` is the best that one answer per
location can reach; `constant` is the constant answer.
"""
EXTRAS = {
    "comparison": Computed(
        make=compare.comparison,
        by=("task", "measure", "a", "b"),
        together=("task",),
        where=c("task").is_not_null(),
        columns=draws.COLUMNS,
        kinds=compare.COMPARISON,
        order=_MEASURED | dict.fromkeys(("a", "b")),
    ),
    "groups": Computed(
        make=compare.groups,
        by=("task", "measure", "encoder", "kind", "layer"),
        together=("task",),
        where=c("task").is_not_null(),
        columns=draws.COLUMNS,
        kinds=compare.GROUPS,
        order=_MEASURED | _PLACED,
    ),
}
"""Comparisons of encoders, and groups of training runs.

"comparison": two encoders, or an encoder and one of its baselines, each at the layer that is best
on the validation images. The interval of the difference comes from resampling images, the same for
both, and training runs; the verdict is "higher" or "lower" only where the interval excludes 0.

"groups": the mean over the training runs of one objective, with an interval from resampling images
and training runs together.
"""
