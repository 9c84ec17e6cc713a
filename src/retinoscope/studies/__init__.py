"""The experiments over a data set: resumable, with controls and intervals.

`TokenAblation`, `LogitLens` and `AttentionKnockout` are those of Neo et al. 2024;
`InformationFlow`, `WordAttention` and `ImageReprompting` those of Kaduri et al. 2024 and Zhang et
al. 2024; `Probe` that of Li et al. 2022; `AttentionAlignment` follows VISTA (Harshit and Tasdizen
2024). `AttributionLocalisation` compares the methods of `retinoscope.saliency`.

    results = TokenAblation(vlm, samples).run("runs/ablation")
    results.summary()            # a pyarrow.Table, one row per condition

A study writes a run directory (see `retinoscope.store`); reports are made from that alone.

Names are imported on first use, so that reading a study's options costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..memory import free_memory
    from ..report.findings import Finding, PairedTest
    from ._categories import Categories, read_categories, write_categories
    from ._executor import Executor, Outcome, Progress, Unit
    from ._models import Unchanged, describe, describe_model, open_subject
    from ._outside import evaluating
    from ._paper import SOURCES as PAPER_SOURCES
    from ._paper import PaperNumber
    from ._planted_check import CHECKS, PlantedCheck, check_planted
    from ._readable import Readable, prints_of, sample_fingerprint
    from ._results import Results, open_results
    from ._same_data import SameSamples, same_samples
    from ._study import Study
    from ._survival import Failures
    from .ablation.paper import TOKENS_OBJECT_1
    from .ablation.study import TokenAblation
    from .alignment.gaze_targets import Rules as AlignmentRules
    from .alignment.study import AttentionAlignment
    from .attend.study import AttributionLocalisation
    from .flow.edges import PRESETS as FLOW_PRESETS
    from .flow.edges import parse_edges
    from .flow.layers import LayerSet, layer_sets
    from .flow.study import InformationFlow
    from .group.aggregation import aggregation_specs
    from .group.study import METHODS as GROUP_METHODS
    from .group.study import Grouping
    from .interfaces.study import InterfaceComparison
    from .knockout.study import AttentionKnockout
    from .lens.peak import lens_difference
    from .lens.readers import LensFits
    from .lens.study import LogitLens
    from .look.study import WordAttention
    from .probe.study import Probe
    from .probe.tasks import MEASURES as PROBE_MEASURES
    from .probe.tasks import TASKS as PROBE_TASKS
    from .registry import paper_number, paper_numbers
    from .reprompt.study import ImageReprompting, next_turn
    from .spurious.study import SpuriousGround, grounded_specs
    from .windows import Window, paper_windows, sliding_windows, windows_for

__all__ = [
    "CHECKS",
    "FLOW_PRESETS",
    "GROUP_METHODS",
    "PAPER_SOURCES",
    "PROBE_MEASURES",
    "PROBE_TASKS",
    "TOKENS_OBJECT_1",
    "AlignmentRules",
    "AttentionAlignment",
    "AttentionKnockout",
    "AttributionLocalisation",
    "Categories",
    "Executor",
    "Failures",
    "Finding",
    "Grouping",
    "ImageReprompting",
    "InformationFlow",
    "InterfaceComparison",
    "LayerSet",
    "LensFits",
    "LogitLens",
    "Outcome",
    "PairedTest",
    "PaperNumber",
    "PlantedCheck",
    "Probe",
    "Progress",
    "Readable",
    "Results",
    "SameSamples",
    "SpuriousGround",
    "Study",
    "TokenAblation",
    "Unchanged",
    "Unit",
    "Window",
    "WordAttention",
    "aggregation_specs",
    "check_planted",
    "describe",
    "describe_model",
    "evaluating",
    "free_memory",
    "grounded_specs",
    "layer_sets",
    "lens_difference",
    "next_turn",
    "open_results",
    "open_subject",
    "paper_number",
    "paper_numbers",
    "paper_windows",
    "parse_edges",
    "prints_of",
    "read_categories",
    "same_samples",
    "sample_fingerprint",
    "sliding_windows",
    "windows_for",
    "write_categories",
]

_WHERE = {
    "TokenAblation": ".ablation.study",
    "AlignmentRules": ".alignment.gaze_targets:Rules",
    "AttentionAlignment": ".alignment.study",
    "AttributionLocalisation": ".attend.study",
    "Categories": "._categories",
    "read_categories": "._categories",
    "write_categories": "._categories",
    "Executor": "._executor",
    "Outcome": "._executor",
    "Unit": "._executor",
    "FLOW_PRESETS": ".flow.edges:PRESETS",
    "parse_edges": ".flow.edges",
    "LayerSet": ".flow.layers",
    "layer_sets": ".flow.layers",
    "InformationFlow": ".flow.study",
    "GROUP_METHODS": ".group.study:METHODS",
    "Grouping": ".group.study",
    "aggregation_specs": ".group.aggregation",
    "InterfaceComparison": ".interfaces.study",
    "SpuriousGround": ".spurious.study",
    "grounded_specs": ".spurious.study",
    "AttentionKnockout": ".knockout.study",
    "lens_difference": ".lens.peak",
    "LensFits": ".lens.readers",
    "LogitLens": ".lens.study",
    "WordAttention": ".look.study",
    "Unchanged": "._models",
    "open_subject": "._models",
    "evaluating": "._outside",
    "PAPER_SOURCES": "._paper:SOURCES",
    "PaperNumber": "._paper",
    "TOKENS_OBJECT_1": ".ablation.paper",
    "paper_number": ".registry",
    "paper_numbers": ".registry",
    "CHECKS": "._planted_check",
    "PlantedCheck": "._planted_check",
    "check_planted": "._planted_check",
    "PROBE_MEASURES": ".probe.tasks:MEASURES",
    "PROBE_TASKS": ".probe.tasks:TASKS",
    "Probe": ".probe.study",
    "Readable": "._readable",
    "prints_of": "._readable",
    "sample_fingerprint": "._readable",
    "Finding": "..report.findings",
    "PairedTest": "..report.findings",
    "ImageReprompting": ".reprompt.study",
    "next_turn": ".reprompt.study",
    "Results": "._results",
    "open_results": "._results",
    "SameSamples": "._same_data",
    "same_samples": "._same_data",
    "Progress": "._executor",
    "Study": "._study",
    "describe": "._models",
    "describe_model": "._models",
    "free_memory": "..memory",
    "Failures": "._survival",
    "Window": ".windows",
    "paper_windows": ".windows",
    "sliding_windows": ".windows",
    "windows_for": ".windows",
}
"""Name -> module, and after a colon the name there if it differs."""


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, there = _WHERE[name].partition(":")
    value = globals()[name] = getattr(import_module(module, __name__), there or name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
