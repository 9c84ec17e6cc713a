"""The experiments over a data set: resumable, with controls and intervals.

`TokenAblation`, `LogitLens` and `AttentionKnockout` are those of Neo et al. 2024;
`InformationFlow`, `WordAttention` and `ImageReprompting` those of Kaduri et al. 2024 and Zhang et
al. 2024; `Probe` that of Li et al. 2022; `AttentionAlignment` is after VISTA (Harshit and Tasdizen
2024). `AttributionLocalisation` compares the methods of `retinoscope.attribution`.

    results = TokenAblation(vlm, samples).run("runs/ablation")
    results.summary()            # a pyarrow.Table, one row per condition

A study writes a run directory (see `retinoscope.store`); reports are made from that alone.
"""

from ..report.findings import Finding, PairedTest
from ._categories import Categories, read_categories, write_categories
from ._clean import CleanAnswers
from ._executor import Executor, Outcome
from ._filters import FilterOutcome, HallucinationFilter, replace_pixels
from ._judge import ChatJudge, Judge, Judgement
from ._matching import MODES, answers, names_object, paper_names_object
from ._models import Unchanged, open_subject
from ._outside import evaluating
from ._paper import NUMBERS, TOKENS_OBJECT_1, PaperNumber, paper_number
from ._paper import SOURCES as PAPER_SOURCES
from ._planted_check import CHECKS, PlantedCheck, check_planted
from ._readable import Readable, one_line, prints_of, sample_fingerprint
from ._released import (
    VERTICES,
    centre_square,
    kept_polygons,
    released_side,
    released_tokens,
)
from ._results import Results, open_results
from ._same_data import SameSamples, same_samples
from ._study import Progress, Study, describe_model, free_memory
from ._survival import Failures
from ._tasks import (
    DESCRIBE,
    PAPER_PROMPTS,
    PREFILL,
    TASKS,
    Ask,
    PromptOptions,
    polling_text,
    question_asks,
)
from ._windows import Window, paper_windows, sliding_windows, windows_for
from ._words import plural, words_of
from .ablation.study import TokenAblation
from .alignment.aims import Rules as AlignmentRules
from .alignment.study import AttentionAlignment
from .attend.study import AttributionLocalisation
from .flow.edges import PRESETS as FLOW_PRESETS
from .flow.edges import parse_edges
from .flow.layers import LayerSet, layer_sets
from .flow.objects import Overlap, objects_named
from .flow.study import InformationFlow
from .group import GROUP_METHODS, Grouping, SpuriousGround, aggregation_specs, grounded_specs
from .knockout.study import AttentionKnockout
from .lens.peak import lens_difference
from .lens.study import LogitLens
from .look.study import WordAttention
from .probe import PROBE_MEASURES, PROBE_TASKS, Probe
from .reprompt.study import ImageReprompting, next_turn

__all__ = [
    "CHECKS",
    "DESCRIBE",
    "FLOW_PRESETS",
    "GROUP_METHODS",
    "MODES",
    "NUMBERS",
    "PAPER_PROMPTS",
    "PAPER_SOURCES",
    "PREFILL",
    "PROBE_MEASURES",
    "PROBE_TASKS",
    "TASKS",
    "TOKENS_OBJECT_1",
    "VERTICES",
    "AlignmentRules",
    "Ask",
    "AttentionAlignment",
    "AttentionKnockout",
    "AttributionLocalisation",
    "Categories",
    "ChatJudge",
    "CleanAnswers",
    "Executor",
    "Failures",
    "FilterOutcome",
    "Finding",
    "Grouping",
    "HallucinationFilter",
    "ImageReprompting",
    "InformationFlow",
    "Judge",
    "Judgement",
    "LayerSet",
    "LogitLens",
    "Outcome",
    "Overlap",
    "PairedTest",
    "PaperNumber",
    "PlantedCheck",
    "Probe",
    "Progress",
    "PromptOptions",
    "Readable",
    "Results",
    "SameSamples",
    "SpuriousGround",
    "Study",
    "TokenAblation",
    "Unchanged",
    "Window",
    "WordAttention",
    "aggregation_specs",
    "answers",
    "centre_square",
    "check_planted",
    "describe_model",
    "evaluating",
    "free_memory",
    "grounded_specs",
    "kept_polygons",
    "layer_sets",
    "lens_difference",
    "names_object",
    "next_turn",
    "objects_named",
    "one_line",
    "open_results",
    "open_subject",
    "paper_names_object",
    "paper_number",
    "paper_windows",
    "parse_edges",
    "plural",
    "polling_text",
    "prints_of",
    "question_asks",
    "read_categories",
    "released_side",
    "released_tokens",
    "replace_pixels",
    "same_samples",
    "sample_fingerprint",
    "sliding_windows",
    "windows_for",
    "words_of",
    "write_categories",
]
