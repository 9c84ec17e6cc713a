"""Runs and counterfactuals.

    vlm = load("pocket")
    run = vlm.run(vlm.prompt(image, "What is left of the car?"))
    obj = run.image.covering(mask)
    effects = run.counterfactuals([Ablate(obj, fill.zero()), Knockout(obj, "last")])
    effects.logits, effects.generate().texts

A counterfactual computes only the rows that its interventions can change; the rest is read from the
clean run. `exact="reference"` runs the plain full forward pass with hooks, the oracle in tests.

From the outside in: `_load` and `_check` make a `VLM`; a `Run` is one `_clean` pass. What both hold
lies in `_base_vlm` and `_base_run`, on which everything else builds: `_resolve` turns interventions
into positions and values (`_resolved`); `_recompute` says which rows they can change, block by
block; `_incremental` takes these rows through the blocks, with `_segment_attention` in place of
the model's attention. `_steps` goes on after the prompt; `_shared_prefix` is what several prompts
begin with; `_forward` is the reference path.
"""

from . import fill
from ._base_run import NamedPositions
from ._compact import CompactContext, compact_context, context_bytes
from ._effects import Effects
from ._generate import Generation, Generations
from ._interventions import Ablate, Condition, Intervention, Knockout, Patch
from ._load import is_packaged, load
from ._prompt import Prompt
from ._runs import Runs
from ._vlm import VLM, Run

__all__ = [
    "VLM",
    "Ablate",
    "CompactContext",
    "Condition",
    "Effects",
    "Generation",
    "Generations",
    "Intervention",
    "Knockout",
    "NamedPositions",
    "Patch",
    "Prompt",
    "Run",
    "Runs",
    "compact_context",
    "context_bytes",
    "fill",
    "is_packaged",
    "load",
]
