"""Every known difference between the released code and the corrected rules, and what it does.

What the runs of a reproduction can tell is measured from them. Beside it stands what each one does
on small models, as `python -m benchmarks.differences` found it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from ..studies.runs import StudyRun
from . import _measured
from ._measured import Facts


@dataclass(frozen=True)
class Difference:
    """One difference.

    Attributes:
        what: its name.
        paper, corrected: the two rules.
        effect: what it does.
        measured: what it did in these runs, "" where they cannot tell.
    """

    what: str
    paper: str
    corrected: str
    effect: str
    measured: str = ""
    measure: Callable[[Facts, Mapping[str, StudyRun]], str] | None = field(default=None, repr=False)

    @property
    def on_small_models(self) -> str:
        """What it does there; "" where there is nothing to measure."""
        return _small().get(self.what, "")


NEITHER = "Not in either mode. "
ON_SMALL_MODELS = "differences.json"
"""In this folder: what was measured; written by `python -m benchmarks.differences`."""


@cache
def _small() -> dict[str, str]:
    return json.loads((Path(__file__).parent / ON_SMALL_MODELS).read_text("utf-8"))


def differences(facts: Facts, runs: Sequence[StudyRun]) -> tuple[Difference, ...]:
    """All of them, measured where these runs allow it."""
    places = {run.place: run for run in runs}
    return tuple(
        one if one.measure is None else replace(one, measured=one.measure(facts, places))
        for one in ALL
    )


ALL: tuple[Difference, ...] = (
    Difference(
        "Caption: when an object counts as named",
        "Case-sensitive substring of a text that includes the prompt: “cat” in “located”.",
        "Whole word: the name, a synonym or a plural.",
        "Raises baseline accuracy and hides losses, where the name is part of other words; lowers "
        "it where only a synonym is said.",
        measure=_measured.caption_rule,
    ),
    Difference(
        "Caption: effect on the result",
        "As above.",
        "As above.",
        "An answer that is right by chance survives any edit: the decrease shrinks.",
        measure=_measured.rules_of("generative", "captions"),
    ),
    Difference(
        "Yes/no: when an answer is yes",
        "“yes” anywhere in the lower-cased text, prompt included.",
        "The largest logit of a yes is above that of a no.",
        "Small for models that answer in one word; “eyes” would count as yes.",
        measure=_measured.rules_of("polling", "captions"),
    ),
    Difference(
        "Question: when an answer is right",
        "The answer's first piece starts with the predicted token, so that a one-letter prediction "
        "counts, and so does an end of text, which is decoded as nothing.",
        "The predicted token is the first piece of the answer, in one of its spellings.",
        "Broken output counts as right, so that the decrease shrinks.",
        measure=_measured.rules_of("question", "questions"),
    ),
    Difference(
        "Question: how many of an image",
        "The first of them.",
        "All of them.",
        "Nothing in the authors' file, where an image has one question at most.",
        measure=_measured.asked,
    ),
    Difference(
        "Curation: the area",
        "The annotation's own field, where it has one.",
        "Visible pixels of the rasterised mask.",
        "Differs by the pixels of the outline; moves objects at the bounds.",
    ),
    Difference(
        "Curation: the crop",
        "A polygon must keep three vertices inside the centre square, its right and lower edge "
        "excluded.",
        "At least one visual token must be left on the object.",
        "Drops objects at the border that the model still sees.",
        measure=_measured.filter_of("survives-crop"),
    ),
    Difference(
        "Curation: an object without a patch",
        f"{NEITHER}Kept for questions, and nothing is ablated; both modes drop it.",
        "Dropped.",
        "Such an object's answers survive every edit.",
    ),
    Difference(
        "Curation: what the hallucination filter replaces",
        "Patches of floor(side / 24) pixels in the centre square, and the model is shown that "
        "square; the noise is not seeded (here it is).",
        "The boxes of the object's tokens, in the whole image.",
        "Part of what the model still sees of the object is left, and all that surrounds the "
        "square is gone.",
    ),
    Difference(
        "Curation: the hallucination filter",
        "Both captions are judged by substring.",
        "Both are judged by whole word.",
        "Keeps objects that are only “named” inside other words, drops those that still are after "
        "their pixels are gone.",
        measure=_measured.filter_of("hallucination"),
    ),
    Difference(
        "Which tokens are the object's",
        "Patches of floor(side / 24) pixels over the centre square, and vertices outside it, or on "
        "its right or lower edge, are dropped, which bends the outline.",
        "Exact boxes of the tokens in the original image.",
        "On most sides the sets lie up to one row and column too far to the bottom right: part of "
        "the object is not replaced.",
        measure=_measured.tokens,
    ),
    Difference(
        "Integrated gradients: the target",
        "The first id of the encoded “Yes”, for LLaVA-1.5 the beginning-of-text token, also for "
        "questions.",
        "The logit of the answer.",
        "Ranks the tokens by something that nobody asked for.",
        measure=_measured.gradient,
    ),
    Difference(
        "Integrated gradients: the prompt of questions",
        "“Is there a NAME in this image?”, whatever is asked (the script for LLaVA-Phi takes the "
        "question's own prompt).",
        "The question's own.",
        "The set belongs to another question: of its tokens a part only is that of the one asked.",
    ),
    Difference(
        "Integrated gradients: the sum",
        "Both end points in full, divided by the number of points; in the model's precision.",
        "Trapezoid rule in float32.",
        "Hardly changes the ranking; the scores no longer add up to the change of the logit.",
    ),
    Difference(
        "Integrated gradients: the baseline",
        "Reaches one position past the image, which can enter the top set and is then replaced by "
        "the mean visual token, too.",
        "Visual tokens only.",
        "The position after the image is often among the first, and since the baseline has another "
        "text there, the gradients of all visual tokens are others.",
    ),
    Difference(
        "Random sets",
        f"{NEITHER}One draw without a seed.",
        "Seeded; beside them as many random tokens outside each object set, as its control.",
        "The paper's random sets have another size than the object's and may hit the object.",
    ),
    Difference(
        "The mean visual token",
        f"{NEITHER}Over 50,000 validation images of ImageNet.",
        "Over the images that are given, by default those of the data.",
        "Another point in the middle of the same cloud; the released file's name says test images.",
        measure=_measured.mean_images,
    ),
    Difference(
        "Annotations: crowds",
        f"{NEITHER}Not excluded; their run lengths crash the crop.",
        "Counted as instances and never studied.",
        "The released code stops with an error at the first such target: nothing to measure.",
    ),
    Difference(
        "Knockout: towards the last row",
        "Object and ring keep their tokens of that row; of all visual tokens, those outside it.",
        "Of every source the tokens outside that row.",
        "Tokens of the row can no longer attend to themselves: more is cut than what flows there.",
    ),
    Difference(
        "Knockout: what is reported",
        f"{NEITHER}Accuracy over all images, also those whose baseline is wrong.",
        "Relative accuracy: of the right answers, those that stay right.",
        "Scales all numbers by the baseline accuracy; the paper's tables are relative.",
        measure=_measured.all_images,
    ),
    Difference(
        "Knockout: probability",
        f"{NEITHER}Compares the probabilities of the tokens predicted before and after, which can "
        "be two tokens.",
        "Probability of the expected answer, before and after.",
        "The released drop mixes two answers where the prediction changes.",
    ),
    Difference(
        "Knockout: the mask",
        f"{NEITHER}Writes False into the mask, which blocks nothing under eager attention.",
        "Blocks in every attention implementation, checked against a reference.",
        "Nothing on the released path; silently no knockout on others.",
    ),
    Difference(
        "Lens: the last layer",
        f"{NEITHER}Normed twice.",
        "Normed once: the last layer's reading is the model's own output.",
        "Only the last of the layers.",
    ),
    Difference(
        "Lens: images without any hit",
        "Not stated; an argmax gives them layer 0.",
        "Reported with and without them, and as the peak of the mean curve.",
        "With them the share and the best layer are lower.",
        measure=_measured.never,
    ),
    Difference(
        "Lens: which tokens count",
        "Not stated: tokens covered by half, or at all.",
        "Both, side by side, in both modes.",
        "Tokens at the border count or do not: the share can be higher or lower for it.",
        measure=_measured.covers,
    ),
    Difference(
        "Resuming",
        f"{NEITHER}Rejected images are evaluated again, the count of accepted ones starts at 0.",
        "A finished image is never run again; the result is the same bytes.",
        "The released count depends on interruptions: interrupted after half of the images, it "
        "accepts half as many again.",
    ),
)
