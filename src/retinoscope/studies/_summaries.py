"""Each study's summaries, and which rows each of them has to see together."""

from __future__ import annotations

from ..stats.maps import METRICS as MAP_METRICS
from . import _ablation_summary as ablation
from . import _alignment_summary as alignment
from . import _attend_summary as attend
from . import _flow_summary as flow
from . import _knockout_summary as knockout
from . import _lens_peak as lens_peak
from . import _lens_summary as lens
from . import _look_summary as look
from . import _reprompt_summary as reprompt
from ._partition import Part, Partition
from ._tables import Cell
from .grouping import _aggregation as aggregation
from .grouping import _spurious as spurious
from .grouping import _summary as grouping
from .probing import _compare, _draws
from .probing import _summary as probe

_ITEM = ("sample", "item", "error")
_PROBABILITIES = ("probability_before", "probability_after")


def _ablated(task: Cell, mode: Cell, condition: Cell) -> Part | None:
    # A set and its random control are compared.
    name = str(condition).removeprefix("random=")
    return None if condition in (None, "none") else (task, mode, name)


def _clean(task: Cell, mode: Cell, condition: Cell) -> Part | None:
    return (task, mode) if condition == "none" else None


def _cut(source: Cell, target: Cell, window: Cell) -> Part | None:
    name = str(source).removeprefix("random=")
    return None if source in (None, "none") else (name, target, window)


def _uncut(source: Cell) -> Part | None:
    return "none" if source == "none" else None


def _layer(weights: Cell, group: Cell, layer: Cell) -> Part | None:
    # The object's tokens are compared with the background's; the shuffled ones with nothing.
    if group is None:
        return None
    return (weights, "shuffled" if group == "shuffled" else "object", layer)


def _curves(weights: Cell, group: Cell) -> Part | None:
    return None if group is None else (weights, group)


def _windows(source: Cell, target: Cell) -> Part | None:
    if source in (None, "none"):
        return None
    return (str(source).removeprefix("random="), target)


def _edges(weights: Cell, reading: Cell, edges: Cell) -> Part | None:
    if edges in (None, flow.NONE):
        return None
    return (weights, reading, str(edges).removeprefix(flow.CONTROL))


def _flowing(task: Cell, weights: Cell, reading: Cell, edges: Cell, layers: Cell) -> Part | None:
    if edges in (None, flow.NONE):
        return None
    return (task, weights, reading, str(edges).removeprefix(flow.CONTROL), layers)


def _untouched(edges: Cell) -> Part | None:
    return flow.NONE if edges == flow.NONE else None


def _looking(weights: Cell, row: Cell, layer: Cell, head: Cell) -> Part | None:
    return None if row is None else (weights, row, layer, head)


def _aligned(provenance: Cell, granularity: Cell, condition: Cell) -> Part | None:
    # A map is compared with its bounds, which have no method.
    return None if condition in (None, "ranking") else (provenance, granularity)


def _ranked(condition: Cell) -> Part | None:
    return "all" if condition == "ranking" else None


def _attending(task: Cell, weights: Cell, method: Cell) -> Part | None:
    return None if method is None else (task, weights, method)


def _leading(task: Cell, weights: Cell) -> Part | None:
    # All methods of a task are compared with its best.
    return task if weights == "trained" else None


SUMMARIES: dict[str, tuple[Partition, dict[str, Partition]]] = {
    "ablation": (
        Partition(
            ablation.summarise_ablation,
            ("task", "mode", "condition"),
            _ablated,
            (*_ITEM, "kept", "baseline_correct", "correct", "n_tokens", *_PROBABILITIES),
            ablation.summary_order,
        ),
        {
            "baseline": Partition(
                ablation.baseline,
                ("task", "mode", "condition"),
                _clean,
                ("sample", "error", "answer", "correct"),
                ablation.baseline_order,
            )
        },
    ),
    "lens": (
        Partition(
            lens.summarise_lens,
            ("weights", "group", "layer"),
            _layer,
            (*_ITEM, "cover", "n_tokens", *lens.MEASURES),
            lens.summary_order,
            lens.scanned_layers,
        ),
        {
            "best_layer": Partition(
                lens.best_layer,
                ("weights", "group"),
                _curves,
                (*_ITEM, "cover", "layer", "n_tokens", *lens.MEASURES[:2]),
                lens.best_order,
            ),
            "peak": Partition(
                lens_peak.peaks,
                ("weights", "group"),
                # Every control is read at the layers that the object's tokens choose.
                lambda weights, group: None if group is None else "all",
                (*_ITEM, "cover", "layer", "n_tokens", *lens.MEASURES[:2]),
                lens_peak.peak_order,
            ),
            "objects": Partition(
                lens_peak.peak_objects,
                ("weights", "group"),
                lambda weights, group: "all" if (weights, group) == ("trained", "object") else None,
                (*_ITEM, "cover", "layer", "n_tokens", *lens.MEASURES[:2]),
                lens_peak.object_order,
            ),
            "words": Partition(
                lens.common_words,
                ("weights", "group", "layer"),
                lambda weights, group, layer: None if group is None else (weights, group, layer),
                (*_ITEM, "cover", "object", "n_tokens", "words"),
                lens.words_order,
            ),
        },
    ),
    "knockout": (
        Partition(
            knockout.summarise_knockout,
            ("source", "target", "window"),
            _cut,
            (
                *(*_ITEM, "first_layer", "last_layer", "n_source", "n_edges"),
                *("baseline_correct", "correct", *_PROBABILITIES),
            ),
            knockout.summary_order,
            knockout.scanned_windows,
        ),
        {
            "peaks": Partition(
                knockout.knockout_peaks,
                ("source", "target"),
                _windows,
                ("sample", "window", "baseline_correct", "correct"),
                knockout.peaks_order,
                plain=False,
            ),
            "baseline": Partition(
                knockout.knockout_baseline,
                ("source",),
                _uncut,
                ("sample", "error", "kind", "correct"),
                lambda record: 0,
            ),
        },
    ),
    "flow": (
        Partition(
            flow.summarise_flow,
            ("task", "weights", "reading", "edges", "layers"),
            _flowing,
            (
                *(*_ITEM, "layers_kind", "first_layer", "last_layer", "n_layers"),
                *("n_edges", "n_generated_keys", "changed", "correct_after"),
                *("f1", "precision", "recall", "truth_f1", "truth_precision", "truth_recall"),
                *("judge_f1", "judge_precision", "judge_recall"),
                *(*_PROBABILITIES, "rank_before", "rank_after"),
            ),
            flow.summary_order,
            flow.scanned_layers,
        ),
        {
            "peaks": Partition(
                flow.flow_peaks,
                ("weights", "reading", "edges"),
                _edges,
                ("sample", "error", "task", "layers", "layers_kind", "f1"),
                flow.peaks_order,
                plain=False,
            ),
            "baseline": Partition(
                flow.flow_baseline,
                ("edges",),
                _untouched,
                (
                    *("sample", "error", "task", "weights", "correct_before"),
                    *("probability_before", "truth_f1", "truth_precision", "truth_recall"),
                ),
                flow.baseline_order,
            ),
            "paths": Partition(
                flow.flow_paths,
                ("task", "weights", "reading", "edges", "layers"),
                lambda task, weights, reading, edges, layers: (
                    (task, weights, reading, layers) if edges in flow.PATHS else None
                ),
                (*_ITEM, "f1", *_PROBABILITIES),
                flow.paths_order,
            ),
        },
    ),
    "look": (
        Partition(
            look.summarise_look,
            ("weights", "row", "layer", "head"),
            _looking,
            (*_ITEM, *look.MEASURES),
            look.summary_order,
            look.scanned_heads,
        ),
        {
            "peaks": Partition(
                look.look_peaks,
                ("weights", "row"),
                lambda weights, row: None if row is None else (weights, row),
                ("sample", "error", "layer", "head", "inside", "shuffled_inside"),
                look.peaks_order,
                plain=False,
            )
        },
    ),
    "probe": (
        Partition(
            probe.summarise_probe,
            ("task",),
            lambda task: task,
            _draws.COLUMNS,
            probe.summary_order,
        ),
        {
            "comparison": Partition(
                _compare.compare_probes,
                ("task",),
                lambda task: task,
                _draws.COLUMNS,
                _compare.comparison_order,
            ),
            "groups": Partition(
                _compare.average_probes,
                ("task",),
                lambda task: task,
                _draws.COLUMNS,
                probe.summary_order,
            ),
        },
    ),
    "group": (
        Partition(
            grouping.summarise_grouping,
            ("kind", "model"),
            lambda kind, model: None if kind is None else (kind, model),
            grouping.COLUMNS,
            grouping.summary_order,
        ),
        {
            "classes": Partition(
                grouping.class_table,
                ("kind", "model"),
                lambda kind, model: model if kind == "top-down" else None,
                grouping.COLUMNS,
                grouping.class_order,
            ),
            "aggregation": Partition(
                aggregation.aggregation_table,
                ("kind", "model"),
                # Objectives and seeds are compared with one another.
                lambda kind, model: kind if aggregation.objective_of(str(model)) else None,
                grouping.COLUMNS,
                aggregation.aggregation_order,
            ),
        },
    ),
    "spurious": (
        Partition(
            spurious.summarise_spurious,
            ("model",),
            lambda model: None if model is None else "all",
            spurious.COLUMNS,
            spurious.spurious_order,
        ),
        {},
    ),
    "reprompt": (
        Partition(
            reprompt.summarise_reprompt,
            ("selector", "share"),
            # A share with and without its random control: few rows enough to be one part.
            lambda selector, share: None if selector is None else "all",
            (
                *(*_ITEM, "correct", "probability", "n_kept", "union", "n_context", "n_visual"),
                *("context_bytes", "whole_bytes"),
            ),
            reprompt.summary_order,
        ),
        {},
    ),
    "alignment": (
        Partition(
            alignment.summarise_alignment,
            ("provenance", "granularity", "condition"),
            _aligned,
            (*_ITEM, "kind", "weights", "method", "layer", *MAP_METRICS, "reason"),
            alignment.alignment_order,
        ),
        {
            "ranking": Partition(
                alignment.summarise_ranking,
                ("condition",),
                _ranked,
                (
                    *("sample", "error", "provenance", "kind", "weights", "method", "layer"),
                    *("candidates", "preferred", "rank"),
                ),
                alignment.ranking_order,
            )
        },
    ),
    "attend": (
        Partition(
            attend.summarise_attend,
            ("task", "weights", "method"),
            _attending,
            (*_ITEM, "layer", *attend.MEASURES),
            attend.summary_order,
            attend.scanned_maps,
        ),
        {
            "leaderboard": Partition(
                attend.leaderboard,
                ("task", "weights"),
                _leading,
                (*_ITEM, "method", "layer", *attend.MEASURES),
                attend.leader_order,
            )
        },
    ),
}
