"""The experiments of Neo et al. 2024 over a data set: resumable, with controls and intervals.

    results = TokenAblation(vlm, samples).run("runs/ablation")
    results.summary()            # a pyarrow.Table, one row per condition

A study writes a run directory (see `retinoscope.store`); reports are made from that alone.
"""

from ._ablation import TokenAblation
from ._executor import Executor, Outcome
from ._filters import FilterOutcome, HallucinationFilter, replace_pixels
from ._knockout import AttentionKnockout
from ._lens import LogitLens
from ._matching import MODES, answers, names_object
from ._paper import NUMBERS, PaperNumber, paper_number
from ._readable import Readable
from ._results import Results, open_results
from ._study import Progress, Study
from ._tasks import PAPER_PROMPTS, PREFILL, TASKS, PromptOptions
from ._windows import Window, paper_windows, sliding_windows, windows_for
from ._words import plural, words_of

__all__ = [
    "MODES",
    "NUMBERS",
    "PAPER_PROMPTS",
    "PREFILL",
    "TASKS",
    "AttentionKnockout",
    "Executor",
    "FilterOutcome",
    "HallucinationFilter",
    "LogitLens",
    "Outcome",
    "PaperNumber",
    "Progress",
    "PromptOptions",
    "Readable",
    "Results",
    "Study",
    "TokenAblation",
    "Window",
    "answers",
    "names_object",
    "open_results",
    "paper_number",
    "paper_windows",
    "plural",
    "replace_pixels",
    "sliding_windows",
    "windows_for",
    "words_of",
]
