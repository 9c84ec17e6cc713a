"""What single rules about words, objects and outlines do."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from retinoscope.answers.hallucination import HallucinationFilter
from retinoscope.answers.matching import names_object, paper_names_object
from retinoscope.answers.scoring import ModelOutput
from retinoscope.answers.tasks import Ask, question_asks
from retinoscope.tokens import region_cover
from retinoscope.tokens.released import kept_polygons, released_tokens

from ._effects import Bench
from ._outlines import SIZE, Layout24, outlines, shoelace

TEXT = Path(__file__).parents[1] / "LICENSE"
SHORT = ("bear", "bed", "bus", "car", "cat", "oven", "tie")
"""Names of COCO's that other words hold."""


def caption_rule(bench: Bench) -> str:
    """In English text that was not written for it and does not change: the licence's."""
    words = sorted(set(re.findall(r"[a-z]+", TEXT.read_text("utf-8").lower())))
    inside = [
        word
        for word in words
        if any(paper_names_object(word, n) and not names_object(word, n) for n in SHORT)
    ]
    return (
        f"of {len(words)} different words of this project's licence, {len(inside)} hold one of "
        f"{', '.join(SHORT)} inside another word: {', '.join(inside)}"
    )


def question_rule(bench: Bench) -> str:
    tokenizer = bench.pocket.tokenizer
    names = sorted({obj.name for sample in bench.samples for obj in sample.objects})
    n = len(tokenizer)
    both = [0, 0]
    for name in names:
        ask = Ask("question", "question", "What is it?", name, (0,))
        for index in range(n):
            logits = torch.zeros(n)
            logits[index] = 1.0
            for place, mode in enumerate(("paper", "corrected")):
                both[place] += bench.scorer.score(ask, mode, ModelOutput(logits)).correct
    return (
        f"of {len(names) * n} pairs of a name and a predicted token of pocket's, {both[0]} are "
        f"right under the released rule and {both[1]} under the corrected one"
    )


def first_question(bench: Bench) -> str:
    kinds = ("color", "kind", "relation", "question")
    every = [len(question_asks(sample, kinds)) for sample in bench.samples]
    return (
        f"{len(every)} scenes: {sum(n > 0 for n in every)} questions against {sum(every)}; in the "
        "authors' file each image has at most one"
    )


def which_tokens(bench: Bench) -> str:
    layout = Layout24(SIZE).layout
    ours = theirs = both = either = 0
    found = outlines(60, seed=0)
    for obj in found:
        released = released_tokens(obj, SIZE, 24).ravel()
        exact = region_cover(obj.mask, SIZE, layout.boxes) > 0
        ours, theirs = ours + exact.sum(), theirs + released.sum()
        both, either = both + (exact & released).sum(), either + (exact | released).sum()
    return (
        f"{len(found)} outlines in {SIZE[0]} x {SIZE[1]} pixels: {theirs / len(found):.1f} tokens "
        f"against {ours / len(found):.1f}; of those in either set {both / either:.0%} are in both"
    )


def patchless(bench: Bench) -> str:
    found = [
        obj
        for obj in outlines(400, seed=1, at_edge=True)
        if obj.mask.any() and kept_polygons(obj, SIZE)
    ]
    none = sum(not released_tokens(obj, SIZE, 24).any() for obj in found)
    return (
        f"of {len(found)} outlines in the last 30 rows of {SIZE[0]} x {SIZE[1]} pixels that keep "
        f"three vertices, {none} have no patch; of 400 anywhere else, "
        f"{sum(not released_tokens(o, SIZE, 24).any() for o in outlines(400, seed=0))}"
    )


def replaced_pixels(bench: Bench) -> str:
    layout = Layout24(SIZE).layout
    image = Image.new("RGB", SIZE)
    counts = []
    for obj in outlines(60, seed=0):
        areas = []
        for mode in ("paper", "corrected"):
            shown, boxes = HallucinationFilter(mode=mode).seen(image, obj, layout)
            left = (SIZE[0] - shown.width) // 2
            pixels = np.zeros(SIZE[::-1], bool)
            for x0, y0, x1, y1 in boxes:
                pixels[int(y0) : int(np.ceil(y1)), left + int(x0) : left + int(np.ceil(x1))] = True
            areas.append(pixels)
        paper, exact = areas
        counts.append((paper.sum(), exact.sum(), (paper & exact).sum() / (paper | exact).sum()))
    paper, corrected, both = np.mean(counts, axis=0)
    return (
        f"60 outlines in {SIZE[0]} x {SIZE[1]} pixels: {paper:.0f} pixels are replaced against "
        f"{corrected:.0f}, and {both:.0%} of those in either are in both; a third of the image "
        "is not shown"
    )


def stated_area(bench: Bench) -> str:
    found = outlines(400, seed=2, radius=(14, 30))
    pairs = [(shoelace(obj), obj.area) for obj in found]
    inside = [[1000 < area < 2000 for area in pair] for pair in pairs]
    moved = sum(a != b for a, b in inside)
    apart = np.mean([abs(a - b) for a, b in pairs])
    return (
        f"{len(found)} outlines: the outline's area and its pixels differ by {apart:.1f} on "
        f"average; {moved} of {sum(any(one) for one in inside)} pass by one of them only"
    )
