"""Measures single differences to the released code on the runs of a reproduction."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..answers.matching import names_object, paper_names_object
from ..answers.tasks import DESCRIBE
from ..curation import Curated
from ..report.blocks import listing, percent
from ..report.rows import first, interval, number, pick
from ..store import Json, read_results
from ..studies.lens.curves import at_cover
from ..studies.runs import StudyRun
from ..studies.token_sets import RING_1, NamedSet


@dataclass(frozen=True)
class Facts:
    """A reproduction's folder: its plan, and its curations by name ("paper/objects")."""

    root: Path
    plan: Mapping[str, Json]
    curated: Mapping[str, Curated]

    @property
    def notes(self) -> dict[str, str]:
        """The names of the parts that were left out, with the reasons."""
        notes = self.plan.get("notes")
        return {k: str(v) for k, v in notes.items()} if isinstance(notes, dict) else {}

    @cached_property
    def captions(self) -> list[tuple[str, str]]:
        """Name and caption of each object about which the hallucination filter asked the model."""
        name = next((n for n in self.curated if n.endswith("/objects")), None)
        if name is None:
            return []
        rows = read_results(self.root / "curation" / name).to_pylist()
        answers = [(row["object"], json.loads(row["heard"])) for row in rows if row.get("heard")]
        return [(obj, answer["caption"]) for obj, answer in answers if "caption" in answer]


Measure = Callable[[Facts, Mapping[str, StudyRun]], str]


def caption_rule(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
    verdicts = [
        (paper_names_object(f"{DESCRIBE} {text}", name), names_object(text, name))
        for name, text in facts.captions
    ]
    if not verdicts:
        return ""
    n = len(verdicts)
    released, words = sum(a for a, _ in verdicts), sum(b for _, b in verdicts)
    return (
        f"of {n} captions before the filter, {released} ({percent(released / n)}) are right by "
        f"substring and {words} ({percent(words / n)}) by whole word, on the same text; "
        f"{sum(a and not b for a, b in verdicts)} only by substring, "
        f"{sum(b and not a for a, b in verdicts)} only by whole word"
    )


def rules_of(task: str, name: str) -> Measure:
    """Measures baseline accuracy and the loss without object and ring under both rules."""

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
            interval(first(run.summary, task=task, mode=mode, **RING_1.columns), "decrease")
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
    """Returns the numbers of objects before and after one filter, by mode."""
    counts = {}
    for mode in ("paper", "corrected"):
        curated = facts.curated.get(f"{mode}/objects")
        names = [] if curated is None else [count.filter for count in curated.counts]
        if curated is not None and step in names:
            place = names.index(step)
            counts[mode] = (curated.counts[place - 1].objects, curated.counts[place].objects)
    return counts


def filter_of(step: str) -> Measure:
    def measure(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
        counts = _steps(facts, step)
        return listing(
            [f"{mode} rule keeps {after} of {before}" for mode, (before, after) in counts.items()]
        )

    return measure


def tokens(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
    file = facts.root / "paper" / "masks-captions.json"
    file = file if file.exists() else facts.root / "paper" / "masks-questions.json"
    if not file.exists():
        noted = [why for name, why in facts.notes.items() if name.endswith(": tokens")]
        return noted[0] if noted else ""
    counts = json.loads(file.read_bytes())
    if not counts["objects"] or not counts["either"]:
        return ""
    objects = counts["objects"]
    return (
        f"over {objects} objects {counts['tokens_released'] / objects:.1f} tokens "
        f"against {counts['tokens_exact'] / objects:.1f}; of those in either set "
        f"{percent(counts['shared'] / counts['either'])} are in both"
    )


def gradient(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
    parts = []
    for mode in ("paper", "corrected"):
        run = runs.get(f"{mode}/captions")
        if run is None:
            return ""
        rows = pick(run.summary, token_set="gradient", mode=mode, task="polling")
        if not rows:
            return ""
        row = min(rows, key=lambda row: abs(int(row["n_drawn"] or 0) - 40))
        lost = interval(row, "decrease")
        if lost is None:
            return ""
        tokens = NamedSet.of(row).label
        parts.append(f"{tokens} lose {percent(lost.value)} in {mode} mode (polling)")
    return listing(parts)


def never(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
    run = runs.get("lens/lens")
    rows = [] if run is None else run.extra("best_layer")
    rows = pick(rows, weights="trained", group="object", measure="strict")
    # A run at several covers has a row for each; any overlap includes every object.
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


def covers(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
    run = runs.get("lens/lens")
    rows = [] if run is None else run.extra("best_layer")
    parts = [
        f"{percent(share.value)} {at_cover(number(row, 'cover'))}"
        for row in pick(rows, weights="trained", group="object", measure="strict", images="all")
        if (share := interval(row, "share"))
    ]
    return f"{listing(parts)}, at the best layer of each image" if len(parts) > 1 else ""


def all_images(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
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


def mean_images(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
    run = next((r for p, r in runs.items() if p.endswith(("/captions", "/questions"))), None)
    options = {} if run is None else run.manifest.get("parameters")
    mean = options.get("mean") if isinstance(options, dict) else None
    return f"here over {mean['images']} images" if isinstance(mean, dict) else ""


def asked(facts: Facts, runs: Mapping[str, StudyRun]) -> str:
    parts = []
    for mode in ("paper", "corrected"):
        run = runs.get(f"{mode}/questions")
        rows = [] if run is None else run.extra("baseline")
        row = interval(first(rows, task="question", mode=mode, part="all"), "accuracy")
        parts += [] if row is None else [f"{row.n} questions in {mode} mode"]
    return listing(parts) if len(parts) == 2 else ""


MEASURES: Mapping[str, Measure] = {
    "Caption: when an object counts as named": caption_rule,
    "Caption: effect on the result": rules_of("generative", "captions"),
    "Yes/no: when an answer is yes": rules_of("polling", "captions"),
    "Question: when an answer is right": rules_of("question", "questions"),
    "Question: how many of an image": asked,
    "Curation: the crop": filter_of("survives-crop"),
    "Curation: the hallucination filter": filter_of("hallucination"),
    "Which tokens are the object's": tokens,
    "Integrated gradients: the target": gradient,
    "The mean visual token": mean_images,
    "Knockout: what is reported": all_images,
    "Lens: images without any hit": never,
    "Lens: which tokens count": covers,
}
"""Measures by the names of the differences in `differences.json`."""
