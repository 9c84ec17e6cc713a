"""Runs and counterfactuals.

    vlm = load("pocket")
    run = vlm.run(vlm.prompt(image, "What is left of the car?"))
    obj = run.image.covering(mask)
    effects = run.counterfactuals([Ablate(obj, fill.zero()), Knockout(obj, "last")])
    effects.logits, effects.generate().texts

Every counterfactual is a plain full forward pass with hooks: the reference path, which stays as the
oracle of anything faster.
"""

from . import fill
from ._effects import Effects
from ._generate import Generation, Generations
from ._interventions import Ablate, Condition, Intervention, Knockout, Patch
from ._load import load
from ._prompt import Prompt
from ._run import NamedPositions, Run
from ._vlm import VLM

__all__ = [
    "VLM",
    "Ablate",
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
    "fill",
    "load",
]
