"""What is measured of the interfaces' arms."""

from __future__ import annotations

import polars as pl

from ..comparison import Measure, means
from ._world import SMALL_RADIUS

_POLLING = pl.col("kind") == "polling"
_NO, _YES = pl.col("expected") == "no", pl.col("said") == "yes"
_SMALL = pl.col("radius") <= SMALL_RADIUS


def _kind(name: str) -> pl.Expr:
    return pl.col("kind") == name


MEASURES: dict[str, Measure] = {
    "present": Measure("yes on present kinds", _POLLING & ~_NO, _YES),
    "present-small": Measure("yes on present kinds, small objects", _POLLING & _SMALL, _YES),
    "absent": Measure("yes on absent kinds", _POLLING & _NO, _YES),
    "absent-adversarial": Measure(
        "yes on absent kinds that belong here", _kind("polling-adversarial") & _NO, _YES
    ),
    "color": Measure("colour given the kind", _kind("color")),
    "kind": Measure("kind given the colour", _kind("kind")),
    "position": Measure("position", _kind("position")),
    "relation": Measure("relation", _kind("relation")),
    "count": Measure("count", pl.col("kind").is_in(["count", "count-color", "count-kind"])),
    "twin-color": Measure("colour of one of two alike", _kind("twin-color")),
    "caption-recall": Measure("objects named in captions", _kind("caption-recall")),
    "caption-recall-small": Measure(
        "small objects named in captions", _kind("caption-recall") & _SMALL
    ),
    "caption-precision": Measure("names in captions that are there", _kind("caption-precision")),
}
"""Name -> what is measured, in the order of the table."""


def _said(name: str, title: str, there: pl.Expr, reported: pl.Expr) -> Measure:
    of = there & reported & (pl.col("kind") == "polling")
    return Measure(title, of, pl.col("said") == name, table="reports")


_REPORTED = pl.col("reported")

OF_REFINERS: dict[str, Measure] = {
    "recall": Measure("objects found", hit=pl.col("found"), table="finds"),
    "recall-small": Measure(
        "small objects found", pl.col("small"), hit=pl.col("found"), table="finds"
    ),
    "precision": Measure(
        "found objects that are there",
        hit=pl.col("found"),
        per=pl.col("reported"),
        table="finds",
    ),
    "yes-to-false": _said("yes", "yes on absent kinds that were found", _NO, _REPORTED),
    "yes-to-absent": _said("yes", "yes on absent kinds that were not found", _NO, ~_REPORTED),
    "no-to-missed": _said("no", "no on present kinds that were not found", ~_NO, ~_REPORTED),
    "no-to-found": _said("no", "no on present kinds that were found", ~_NO, _REPORTED),
}
"""What refiners find, and how often their errors are answered."""

_IMAGE = pl.col("query") == "image"

OF_RETRIEVAL: dict[str, Measure] = {
    "caption-contrast": Measure(
        "caption of an image, by contrast", _IMAGE, pl.col("contrast_right"), table="retrieval"
    ),
    "caption": Measure("caption of an image, ranked anew", _IMAGE, table="retrieval"),
    "image-contrast": Measure(
        "image of a caption, by contrast", ~_IMAGE, pl.col("contrast_right"), table="retrieval"
    ),
    "image": Measure("image of a caption, ranked anew", ~_IMAGE, table="retrieval"),
}
"""How often the first of all held-out scenes is the right one."""


OF_ATTENTION = means(
    "attention",
    {
        "inside": "on the objects of its scene",
        "chance": "the area that they cover",
        "inside_another": "on the objects of another scene",
        "chance_another": "the area that those cover",
    },
)
"""Shares of the attention of the text's global token."""

OF_RECONSTRUCTION = means(
    "reconstruction",
    {
        "own": "with its own queries",
        "other": "with another scene's queries",
        "alone": "by the masked autoencoder alone",
    },
)
"""Squared error on hidden patches, as a share of the variance of all pixels."""


def of_completion(modality: str, ratio: float, partner: str) -> Measure:
    """How often the scene's own token is the nearest of all to that of its masked image or text.

    Args:
        modality: "image" or "text", the one that is masked.
        ratio: of its patches or words that are hidden.
        partner: the other modality, of the "same" scene or of "another".
    """
    of = (
        (pl.col("modality") == modality)
        & ((pl.col("ratio") - ratio).abs() < 1e-6)
        & (pl.col("partner") == partner)
    )
    return Measure(f"{100 * ratio:.0f}%", of, table="completion")
