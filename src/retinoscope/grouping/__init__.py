"""Perceptual grouping: groups of an image's locations, with text and without.

    groups = group(features["projector"], "kmeans", n_groups=8)     # no text, no labels
    overlap = jaccard(instance_cells(masks, tokens, n), whole, groups)
    overlap.best, overlap.matched                                   # IoU of each instance

    labels = classify(text_scores(locations["joint"], two.text(prompts)))   # with text

Everything works on plain arrays of n locations. The null groupings `random_groups`,
`voronoi_groups` and `superpixel_groups` also overlap with objects, and by much more than 0: compare
every score with theirs.

After Ranasinghe et al. 2022, "Perceptual Grouping in Contrastive Vision-Language Models"
(arXiv 2210.09996).
"""

from ._bottom_up import GROUPINGS, NULLS, Grouping, centres, group
from ._cells import class_cells, counts_of, instance_cells
from ._nulls import random_groups, superpixel_groups, voronoi_groups
from ._overlap import InstanceOverlap, jaccard, overlap_bound
from ._text import (
    BACKGROUNDS,
    TEMPLATE,
    check_different,
    classify,
    prompts_for,
    shuffled,
    text_scores,
)

__all__ = [
    "BACKGROUNDS",
    "GROUPINGS",
    "NULLS",
    "TEMPLATE",
    "Grouping",
    "InstanceOverlap",
    "centres",
    "check_different",
    "class_cells",
    "classify",
    "counts_of",
    "group",
    "instance_cells",
    "jaccard",
    "overlap_bound",
    "prompts_for",
    "random_groups",
    "shuffled",
    "superpixel_groups",
    "text_scores",
    "voronoi_groups",
]
