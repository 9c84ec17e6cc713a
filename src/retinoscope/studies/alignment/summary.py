"""Summaries: how far maps agree with where people looked, beside the bounds."""

from __future__ import annotations

import polars as pl

from ...stats.maps import METRICS
from .._map_options import COMPLETENESS
from ..columns import NUMBER, TEXT, WHOLE, Columns, columns
from ..summary import VALUE, Contrast, Estimate, Summary, c
from .names import GRANULARITIES

COLUMNS: Columns = {
    **columns(TEXT, "sample error"),
    "item": WHOLE,
    **columns(TEXT, "segment granularity provenance"),
    **columns(WHOLE, "observers n_fixations dropped"),
    **columns(TEXT, "kind reads weights method"),
    "layer": WHOLE,
    "condition": TEXT,
    **columns(NUMBER, f"covered {COMPLETENESS}"),
    **dict.fromkeys(METRICS, NUMBER),
    "reason": TEXT,
    "candidates": WHOLE,
    **columns(NUMBER, "preferred rank"),
}
BOUNDS = ("people", "mask", "centre", "other-image")
"""Conditions without a method."""
_MAP = ("kind", "weights", "method", "layer")
_BESIDE = {"other_text": {"condition": "other-text"}} | {
    bound.replace("-", "_"): {"condition": bound, **dict.fromkeys(_MAP)} for bound in BOUNDS
}
_MAP_ORDER = {"weights": ("trained", "untrained"), "method": None, "layer": None}


def _defined(value: pl.Expr) -> dict[str, pl.Expr]:
    """Numbers of rows and of images that have the value, and of rows that lack it."""
    return {
        "n": value.count(),
        "n_samples": c("sample").filter(value.is_not_null()).n_unique(),
        "n_undefined": value.null_count(),
    }


def _asked(metric: str) -> pl.Expr:
    """Whether the row has the metric, or a reason ("ncc, sim: why; nss: why") why it does not."""
    undefined = c("reason").cast(pl.String).str.contains(rf"(^|; |, ){metric}[,:]")
    return c(metric).is_not_null() | undefined


def _where_defined(name: str) -> pl.Expr:
    return pl.when(VALUE.is_not_null()).then(c(name))


SUMMARY = Summary(
    by=("provenance", "granularity", *_MAP),
    where=c("condition") != "ranking",
    own={"condition": "own"},
    beside=_BESIDE,
    measures=tuple(METRICS),
    measure="metric",
    measured=_asked,
    estimates=(
        Estimate("own", VALUE, share=False),
        *(Estimate(name, _where_defined(name), share=False) for name in _BESIDE),
    ),
    means=_defined(VALUE) | {"n_people": _where_defined("people").count()},
    differences=(
        Contrast("gain", VALUE, minus=c("other_text")),
        Contrast("over_centre", VALUE, minus=c("centre")),
        Contrast("under_people", VALUE, minus=c("people")),
    ),
    curve=("provenance", "granularity", "metric", "weights"),
    order={
        "provenance": None,
        "granularity": tuple(GRANULARITIES),
        "metric": tuple(METRICS),
        **_MAP_ORDER,
    },
    interval="interval",
    interval_of=lambda record: "own" if record["n"] else None,
)
"""One record per provenance, granularity, kind of model, weights, method, layer and metric.

`own` and the conditions beside it are means over the segments that have an own score; `gain` is own
minus other-text, `over_centre` own minus centre, `under_people` own minus people, each over the
segments that have both. `n_undefined` counts segments for which the metric is undefined. P values
and bands are corrected for the number of maps of a metric.
"""
EXTRAS = {
    "ranking": Summary(
        by=("provenance", *_MAP),
        where=c("condition") == "ranking",
        estimates=(Estimate("preferred", c("preferred")), Estimate("rank", c("rank"), share=False)),
        means=_defined(c("preferred")) | {"chance": (1 / c("candidates")).mean()},
        differences=(Contrast("over_chance", c("preferred"), minus=1 / c("candidates")),),
        order={"provenance": None, **_MAP_ORDER},
        interval="interval",
    )
}
"""How often the image's own description has the map most like where people looked.

The comparison is among `candidates` descriptions; `chance` is the mean of 1 / `candidates`.
"""
