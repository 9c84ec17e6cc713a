"""Saliency maps: how much each visual token matters for an answer, by thirteen methods.

    goal = saliency.resolve(run, saliency.Target.difference("yes", "no"))
    heat_map = saliency.integrated_gradients(run, goal)
    heat_map.values               # (n,) one per visual token
    heat_map.pixels()             # (height, width) of the original image
    heat_map.plot().savefig("map.svg")

    for name, method in saliency.METHODS.items():
        for layer in method.layers_of(run.vlm):
            method(run, goal, layer=layer)

A map explains a `Target`: a token, a word of several tokens, a part of a text, the difference of
two logits. It is read where the target is *predicted*. `contrastive` and `matching` have the
methods for CLIP, SigLIP and BLIP's image-text matching; `saliency_model` wraps a model of any of
these kinds to make maps of texts. `attribution_patching` is the one estimate that comes with its
rank correlation with exact effects.
"""

from . import contrastive, matching
from ._attention_maps import attention, chefer, rollout
from ._curves import Curves, insertion_deletion
from ._effect_maps import ablation_effect, ablation_estimate, knockout_effect, occlusion, rise
from ._gradient_maps import grad_cam, gradient_input, integrated_gradients, smooth_grad
from ._heat_map import HeatMap
from ._lens_map import lens_probability
from ._method import Method
from ._methods import METHODS, methods_named
from ._models import ImageTextPair, SaliencyModel, saliency_model
from ._patching import AttributionPatching, attribution_patching
from ._rank import RankCorrelation, rank_correlation
from ._sanity import weight_dependence
from ._target import SCORES, Exact, Goal, Target, TargetScore, resolve

__all__ = [
    "METHODS",
    "SCORES",
    "AttributionPatching",
    "Curves",
    "Exact",
    "Goal",
    "HeatMap",
    "ImageTextPair",
    "Method",
    "RankCorrelation",
    "SaliencyModel",
    "Target",
    "TargetScore",
    "ablation_effect",
    "ablation_estimate",
    "attention",
    "attribution_patching",
    "chefer",
    "contrastive",
    "grad_cam",
    "gradient_input",
    "insertion_deletion",
    "integrated_gradients",
    "knockout_effect",
    "lens_probability",
    "matching",
    "methods_named",
    "occlusion",
    "rank_correlation",
    "resolve",
    "rise",
    "rollout",
    "saliency_model",
    "smooth_grad",
    "weight_dependence",
]
