"""Mean IoU, overlap with instances and accuracy of each condition, against nulls and bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl
from jaxtyping import Int

from ...grouping import NULLS
from ...stats import cell_bound, mean_iou, mean_iou_difference, paired_difference
from .._best import interval_columns, interval_kinds, number, test_columns, test_kinds
from ..columns import NUMBER, TEXT, TRUTH, WHOLE, Columns, columns
from ..summary import Contrast, Estimate, Record, c
from .bottom_up import BOTTOM_UP
from .top_down import BOUND, CLASSIFICATION, PRESENT, TOP_DOWN, WITHOUT

CONDITION: Columns = {
    **columns(TEXT, "weights method"),
    "is_control": TRUTH,
    **columns(TEXT, "layer part"),
    "layer_number": WHOLE,
    **columns(TEXT, "background candidates"),
}
LABELS = ("classes", "right", "predicted", "there")
"""Columns of an image's labels: each class, and its pixels that are right, predicted and there."""
USED = (*CONDITION, *LABELS, "locations", "left_out", "correct", "chance", "best", "matched")
USED += ("n", "n_undefined", "n_groups", "seen")
KINDS: Columns = {
    **columns(TEXT, "kind model"),
    **{name: kind for name, kind in CONDITION.items() if name != "is_control"},
    **columns(TEXT, "measure control"),
    **interval_kinds("value"),
    **interval_kinds("control_value"),
    **test_kinds("difference"),
    **interval_kinds("matched"),
    **columns(NUMBER, "bound constant seen n_groups"),
    **columns(WHOLE, "n n_samples n_classes n_undefined"),
    **columns(TEXT, "left_out method_of_interval"),
}
ACCURACY = Estimate("value", c("correct"))
ABOVE_CHANCE = Contrast("difference", c("correct"), minus=c("chance"), control="chance")
BEST = Estimate("value", c("best"), total=c("n"))
MATCHED = Estimate("matched", c("matched"), total=c("n"))
NULL = Estimate("control_value", c("null"), total=c("n"))
MEANS = {"seen": c("seen").fill_nan(None).mean(), "n_samples": c("sample").n_unique()}
LABEL_MEANS = MEANS | {"n": pl.len(), "left_out": c("left_out").drop_nulls().first()}
GROUP_MEANS = MEANS | {
    "n_groups": c("n_groups").mean(),
    **{name: c(name).sum() for name in ("n", "n_undefined")},
}
NAME_MEANS = MEANS | {"n": pl.len(), "control_value": c("chance").mean()}
"""Further numbers in the records of each kind."""

Groups = Mapping[tuple, pl.DataFrame]


def estimates(rows: pl.DataFrame) -> Iterator[Record]:
    """A record, with its control, for each condition of one kind and one model."""
    make = {TOP_DOWN: _labels, BOTTOM_UP: _groups, CLASSIFICATION: _named}[rows["kind"][0]]
    yield from make(rows, rows.partition_by(*CONDITION, maintain_order=True, as_dict=True))


def label_counts(*frames: pl.DataFrame) -> list[Int[np.ndarray, "image label 3"]]:
    """Pixels of each row and class, as in `stats.class_counts`, over the classes of all frames."""
    long = [
        frame.select(LABELS).with_row_index("row").explode(LABELS).drop_nulls() for frame in frames
    ]
    names = pl.concat(frame_rows.select("classes") for frame_rows in long).unique().sort("classes")
    counts_of_frames = []
    for frame, frame_rows in zip(frames, long, strict=True):
        counts = np.zeros((frame.height, names.height, 3), np.int64)
        placed = frame_rows.join(names.with_row_index("label"), on="classes")
        counts[placed["row"], placed["label"]] = placed.select(LABELS[1:]).to_numpy()
        counts_of_frames.append(counts)
    return counts_of_frames


def _condition(rows: pl.DataFrame) -> Record:
    """The columns that identify the condition of these rows."""
    return rows.select("kind", "model", *CONDITION).row(0, named=True)


def _labels(rows: pl.DataFrame, conditions: Groups) -> Iterator[Record]:
    cells = rows.filter(c("method") == BOUND).select("sample", "locations", "classes", "there")
    cells = cells.explode("locations", "classes", "there")
    limits: dict[tuple[tuple[str, ...], bool], Record] = {}
    for of_condition in conditions.values():
        condition = _condition(of_condition)
        if condition["method"] == BOUND or condition["is_control"]:
            continue
        (counts,) = label_counts(of_condition)
        estimate = mean_iou(counts, of_condition["sample"].to_numpy())
        # Samples, and whether the background counts.
        key = tuple(of_condition["sample"]), condition["background"] != WITHOUT
        if key not in limits:
            bounding = cells.join(of_condition, on="sample", how="semi")
            limits[key] = _limits(bounding if key[1] else bounding.filter(c("classes") != ""))
        record: Record = {
            **condition,
            "measure": "mean IoU",
            **interval_columns("value", estimate),
            **limits[key],
            **of_condition.select(**LABEL_MEANS).row(0, named=True),
            "n_classes": int((counts.sum((0, 2)) > 0).sum()),
            "method_of_interval": estimate.method,
        }
        if condition["candidates"] == PRESENT:
            record["constant"] = None
        control = conditions.get(
            tuple({**condition, "is_control": True}[name] for name in CONDITION)
        )
        yield record | ({} if control is None else _beside_shuffled(of_condition, control))


def _limits(cells: pl.DataFrame) -> Record:
    """The bound of labels that are constant on locations, and that of one label for all pixels."""
    if cells.is_empty():
        return {}
    pixels = (
        cells.pivot("classes", index=["sample", "locations"], aggregate_function="first")
        .drop("sample", "locations")
        .fill_null(0)
        .to_numpy()
    )
    of_class = pixels.sum(0)
    return {
        "bound": number(float(np.nanmean(cell_bound(pixels)))),
        "constant": float((of_class / of_class.sum()).max() / (of_class > 0).sum()),
    }


def _beside_shuffled(of_condition: pl.DataFrame, control: pl.DataFrame) -> Record:
    """The control with another class's prompt, word or map, on the same images."""
    pairs = of_condition.select("sample", *LABELS).join(
        control.select("sample", *LABELS), on="sample", maintain_order="left", suffix="_shuffled"
    )
    shuffled = pairs.select(c(f"{name}_shuffled").alias(name) for name in LABELS)
    measured, of_control = label_counts(pairs, shuffled)
    images = pairs["sample"].to_numpy()
    return {
        "control": "shuffled",
        **interval_columns("control_value", mean_iou(of_control, images)),
        **test_columns("difference", mean_iou_difference(measured, of_control, images)),
    }


def _groups(rows: pl.DataFrame, conditions: Groups) -> Iterator[Record]:
    nulls = rows.filter(c("method").is_in(NULLS)).partition_by(
        "method", maintain_order=True, as_dict=True
    )
    # The null that overlaps most with the instances.
    strongest = max(nulls, key=lambda name: BEST.over(nulls[name]).value)
    for of_condition in conditions.values():
        condition = _condition(of_condition)
        if condition["method"] == BOUND:
            continue
        best = BEST.over(of_condition)
        bound = rows.filter(c("method") == BOUND).join(of_condition, on="sample", how="semi")
        record: Record = {
            **condition,
            "measure": "Jaccard index of instances",
            **BEST.columns(best),
            **MATCHED.columns(MATCHED.over(of_condition)),
            "bound": number(BEST.over(bound).value),
            **of_condition.select(**GROUP_MEANS).row(0, named=True),
            "method_of_interval": best.method,
        }
        if condition["method"] not in NULLS:
            record |= _above_null(of_condition, strongest[0], nulls[strongest])
        yield record


def _above_null(of_condition: pl.DataFrame, name: str, null: pl.DataFrame) -> Record:
    """The null, groups that ignore the features, on the same images."""
    pairs = of_condition.filter(c("n") > 0).join(
        null.select("sample", null="best"), on="sample", maintain_order="left"
    )
    if pairs.is_empty():
        return {}
    # Both have the same instances, so weights per image give the mean over instances.
    best, of_null, sizes = pairs.select("best", "null", "n").to_numpy().T
    difference = paired_difference(best, of_null, pairs["sample"].to_numpy(), sizes=sizes)
    return {
        "control": name,
        **NULL.columns(NULL.over(pairs)),
        **test_columns("difference", difference),
    }


def _named(rows: pl.DataFrame, conditions: Groups) -> Iterator[Record]:
    for of_condition in conditions.values():
        accuracy = ACCURACY.over(of_condition)
        yield {
            **_condition(of_condition),
            "measure": "accuracy",
            **ACCURACY.columns(accuracy),
            **ABOVE_CHANCE.columns(ABOVE_CHANCE.over(of_condition, None)),
            **of_condition.select(**NAME_MEANS).row(0, named=True),
            "method_of_interval": accuracy.method,
        }


def classes(rows: pl.DataFrame) -> Iterator[Record]:
    """IoU of each class in each condition; "" is the background."""
    union = c("predicted") + c("there") - c("right")
    yield from (
        rows.explode(LABELS)
        .drop_nulls("classes")
        .group_by("model", *CONDITION, c("classes").alias("class"))
        .agg(c(LABELS[1:]).sum())
        .with_columns(iou=c("right") / union)
        .iter_rows(named=True)
    )
