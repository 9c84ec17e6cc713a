"""Every known difference between the released code and the corrected rules, and what it does.

What the runs of a reproduction can tell is measured from them; the rest is stated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ..curation import Curated
from ..store import Json, read_results
from ..studies import DESCRIBE, names_object, paper_names_object
from ._collect import StudyRun
from ._lens_curves import at_cover
from ._parts import listing, percent
from ._rows import first, interval, number, pick


@dataclass(frozen=True)
class Facts:
    """A reproduction's folder: its plan, and its curations by name ("paper/objects")."""

    root: Path
    plan: Mapping[str, Json]
    curated: Mapping[str, Curated]

    @property
    def notes(self) -> dict[str, str]:
        """What was left out, and why."""
        found = self.plan.get("notes")
        return {k: str(v) for k, v in found.items()} if isinstance(found, dict) else {}

    @cached_property
    def captions(self) -> list[tuple[str, str]]:
        """Name and caption of every object that the hallucination filter asked about."""
        name = next((n for n in self.curated if n.endswith("/objects")), None)
        if name is None:
            return []
        rows = read_results(self.root / "curation" / name).to_pylist()
        heard = [(row["object"], json.loads(row["heard"])) for row in rows if row.get("heard")]
        return [(obj, said["caption"]) for obj, said in heard if "caption" in said]


@dataclass(frozen=True)
class Difference:
    """One difference; `measured` says what it did in these runs, "" where they cannot tell."""

    what: str
    paper: str
    corrected: str
    effect: str
    measured: str = ""
    measure: Callable[[Facts, Mapping[str, StudyRun]], str] | None = field(default=None, repr=False)


NEITHER = "Not in either mode. "


def differences(facts: Facts, runs: Sequence[StudyRun]) -> tuple[Difference, ...]:
    """All of them, measured where these runs allow it."""
    places = {run.place: run for run in runs}
    return tuple(
        one if one.measure is None else replace(one, measured=one.measure(facts, places))
        for one in _ALL
    )


def _caption_rule(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
    said = [
        (paper_names_object(f"{DESCRIBE} {text}", name), names_object(text, name))
        for name, text in facts.captions
    ]
    if not said:
        return ""
    n = len(said)
    released, words = sum(a for a, _ in said), sum(b for _, b in said)
    return (
        f"of {n} captions before the filter, {released} ({percent(released / n)}) are right by "
        f"substring and {words} ({percent(words / n)}) by whole word, on the same text; "
        f"{sum(a and not b for a, b in said)} only by substring, "
        f"{sum(b and not a for a, b in said)} only by whole word"
    )


def _rules_of(task: str, name: str) -> Callable[[Facts, Mapping[str, StudyRun]], str]:
    """Baseline accuracy, and the loss without object and ring, under both rules on one run."""

    def measure(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
        run = runs.get(f"paper/{name}") or runs.get(f"corrected/{name}")
        if run is None:
            return ""
        parts = []
        baseline = [
            interval(first(run.extra("baseline"), task=task, mode=mode, part="all"), "accuracy")
            for mode in ("paper", "corrected")
        ]
        if baseline[0] and baseline[1]:
            parts.append(
                f"baseline accuracy {percent(baseline[0].value)} under the released rule, "
                f"{percent(baseline[1].value)} under the corrected one, on the same "
                f"{baseline[0].n} answers"
            )
        lost = [
            interval(first(run.summary, task=task, mode=mode, condition="object+1"), "decrease")
            for mode in ("paper", "corrected")
        ]
        if lost[0] and lost[1]:
            parts.append(
                f"decrease without object and ring {percent(lost[0].value)} of {lost[0].n} "
                f"against {percent(lost[1].value)} of {lost[1].n}"
            )
        return "; ".join(parts)

    return measure


def _steps(facts: Facts, step: str) -> dict[str, tuple[int, int]]:
    """Objects before and after one filter, by mode."""
    found = {}
    for mode in ("paper", "corrected"):
        curated = facts.curated.get(f"{mode}/objects")
        names = [] if curated is None else [count.filter for count in curated.counts]
        if curated is not None and step in names:
            place = names.index(step)
            found[mode] = (curated.counts[place - 1].objects, curated.counts[place].objects)
    return found


def _filter_of(step: str) -> Callable[[Facts, Mapping[str, StudyRun]], str]:
    def measure(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
        found = _steps(facts, step)
        if not found:
            return ""
        parts = [
            f"{mode} rule keeps {after} of {before}" for mode, (before, after) in found.items()
        ]
        return listing(parts)

    return measure


def _tokens(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
    file = facts.root / "paper" / "masks-captions.json"
    file = file if file.exists() else facts.root / "paper" / "masks-questions.json"
    if not file.exists():
        noted = [why for name, why in facts.notes.items() if name.endswith(": tokens")]
        return noted[0] if noted else ""
    told = json.loads(file.read_bytes())
    if not told["objects"] or not told["either"]:
        return ""
    return (
        f"over {told['objects']} objects {told['tokens_released'] / told['objects']:.1f} tokens "
        f"against {told['tokens_exact'] / told['objects']:.1f}; of those in either set "
        f"{percent(told['shared'] / told['either'])} are in both"
    )


def _gradient(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
    parts = []
    for mode in ("paper", "corrected"):
        run = runs.get(f"{mode}/captions")
        if run is None:
            return ""
        rows = [r for r in run.summary if str(r["condition"]).startswith("gradient-")]
        rows = pick(rows, mode=mode, task="polling")
        if not rows:
            return ""
        row = min(rows, key=lambda r: abs(int(str(r["condition"]).split("-")[1]) - 40))
        lost = interval(row, "decrease")
        if lost is None:
            return ""
        parts.append(f"{row['condition']} loses {percent(lost.value)} in {mode} mode (polling)")
    return listing(parts)


def _never(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
    run = runs.get("lens/lens")
    rows = [] if run is None else run.extra("best_layer")
    rows = pick(rows, weights="trained", group="object", measure="strict")
    # Covers in turn would be several rows; any overlap has every object.
    rows = pick(rows, cover=0.0) or rows
    every, hitting = (interval(first(rows, images=name), "share") for name in ("all", "hitting"))
    if every is None:
        return ""
    if hitting is None:
        return "no image has any hit"
    count = int(number(first(rows, images="hitting") or {}, "n_images") or 0)
    return (
        f"{percent(every.value)} over all images, {percent(hitting.value)} over the {count} with "
        "a hit"
    )


def _covers(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
    run = runs.get("lens/lens")
    rows = [] if run is None else run.extra("best_layer")
    parts = [
        f"{percent(share.value)} {at_cover(number(row, 'cover'))}"
        for row in pick(rows, weights="trained", group="object", measure="strict", images="all")
        if (share := interval(row, "share"))
    ]
    return f"{listing(parts)}, at the best layer of each image" if len(parts) > 1 else ""


def _all_images(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
    run = runs.get("paper/knockout") or runs.get("corrected/knockout")
    accuracy = (
        None if run is None else interval(first(run.extra("baseline"), kind="all"), "accuracy")
    )
    if accuracy is None:
        return ""
    return (
        f"{percent(accuracy.value)} of {accuracy.n} questions are right before any edit: the "
        "released code's accuracies are these relative ones times that"
    )


def _mean_images(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
    run = next((r for p, r in runs.items() if p.endswith(("/captions", "/questions"))), None)
    options = {} if run is None else run.manifest.get("parameters")
    mean = options.get("mean") if isinstance(options, dict) else None
    return f"here over {mean['images']} images" if isinstance(mean, dict) else ""


_ALL = (
    Difference(
        "Caption: when an object counts as named",
        "Case-sensitive substring of a text that includes the prompt: “cat” in “located”.",
        "Whole word: the name, a synonym or a plural.",
        "Raises baseline accuracy and hides losses, where the name is part of other words; lowers "
        "it where only a synonym is said.",
        measure=_caption_rule,
    ),
    Difference(
        "Caption: effect on the result",
        "As above.",
        "As above.",
        "An answer that is right by chance survives any edit: the decrease shrinks.",
        measure=_rules_of("generative", "captions"),
    ),
    Difference(
        "Yes/no: when an answer is yes",
        "“yes” anywhere in the lower-cased text, prompt included.",
        "The largest logit of a yes is above that of a no.",
        "Small for models that answer in one word; “eyes” would count as yes.",
        measure=_rules_of("polling", "captions"),
    ),
    Difference(
        "Question: when an answer is right",
        "The answer's first piece starts with the predicted token, so that an empty or a "
        "one-letter prediction counts.",
        "The predicted token is the first piece of the answer, in one of its spellings.",
        "Broken output counts as right, so that the decrease shrinks.",
        measure=_rules_of("question", "questions"),
    ),
    Difference(
        "Curation: the crop",
        "A polygon must keep three vertices inside the centre square.",
        "At least one visual token must be left on the object.",
        "Drops objects at the border that the model still sees.",
        measure=_filter_of("survives-crop"),
    ),
    Difference(
        "Curation: the hallucination filter",
        "Both captions are judged by substring; the noise is not seeded.",
        "Both are judged by whole word; the noise is seeded by object.",
        "Keeps objects that are only “named” inside other words, drops those that still are after "
        "their pixels are gone.",
        measure=_filter_of("hallucination"),
    ),
    Difference(
        "Which tokens are the object's",
        "Patches of floor(side / 24) pixels over the centre square, and vertices outside it are "
        "dropped, which bends the outline.",
        "Exact boxes of the tokens in the original image.",
        "On most sides the sets lie up to one row and column too far to the bottom right: part of "
        "the object is not replaced.",
        measure=_tokens,
    ),
    Difference(
        "Integrated gradients: what is explained",
        "The first id of the encoded “Yes”, for LLaVA-1.5 the beginning-of-text token, also for "
        "questions.",
        "The logit of the answer.",
        "Makes the gradient baseline weaker than meant.",
        measure=_gradient,
    ),
    Difference(
        "Integrated gradients: the sum",
        f"{NEITHER}Both end points in full, divided by the number of points; in half precision.",
        "Trapezoid rule in float32.",
        "Shifts the scores of all tokens alike, so the ranking changes little.",
    ),
    Difference(
        "Integrated gradients: the baseline",
        f"{NEITHER}Reaches one position past the image, which can enter the top set.",
        "Visual tokens only.",
        "At most one of the n tokens is not visual.",
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
        measure=_mean_images,
    ),
    Difference(
        "Annotations: crowds",
        f"{NEITHER}Not excluded; their run lengths crash the crop.",
        "Counted as instances and never studied.",
        "Images with a crowd of the category are left out.",
    ),
    Difference(
        "Annotations: area",
        f"{NEITHER}COCO's own area field.",
        "Visible pixels of the rasterised mask.",
        "Differs by the pixels of the outline; moves objects at the bounds.",
    ),
    Difference(
        "Knockout: what is reported",
        f"{NEITHER}Accuracy over all images, also those whose baseline is wrong.",
        "Relative accuracy: of the right answers, those that stay right.",
        "Scales all numbers by the baseline accuracy; the paper's tables are relative.",
        measure=_all_images,
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
        measure=_never,
    ),
    Difference(
        "Lens: which tokens count",
        "Not stated: tokens covered by half, or at all.",
        "Both, side by side, in both modes.",
        "Tokens at the border count or do not: the share can be higher or lower for it.",
        measure=_covers,
    ),
    Difference(
        "Resuming",
        f"{NEITHER}Rejected images are evaluated again, the count of accepted ones starts at 0.",
        "A finished image is never run again; the result is the same bytes.",
        "The released code's image count depends on interruptions.",
    ),
)
