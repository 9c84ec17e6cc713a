"""Definitions, and what was run: everything needed to check or repeat a report."""

from __future__ import annotations

from collections.abc import Sequence

from ..report.blocks import RunFacts
from ..store import canonical_json
from .runs import StudyRun

DEFINITIONS: tuple[tuple[str, str], ...] = (
    (
        "Visual token",
        "One position of the decoder's input that came from the image, after the projector. Its "
        "box is the part of the original image that it was computed from, through resize, crop "
        "and padding.",
    ),
    (
        "Object tokens, rings",
        "All visual tokens whose box overlaps the object's mask (or is covered to the stated "
        "share); a ring adds all neighbours, including diagonal ones.",
    ),
    (
        "Mean ablation",
        "The chosen embeddings are replaced by the mean visual token of the data set before the "
        "first decoder layer. Everything after that, including generation, sees the edited image.",
    ),
    (
        "Controls",
        "For each set of tokens, as many random ones outside it. For the lens, tokens of no "
        "object, another image's mask, and a copy of the model with random weights. For knockout, "
        "as many random visual tokens as sources; for information flow, as many random edges, and "
        "the untrained copy.",
    ),
    (
        "Intervals",
        "95%. The unit is the image. A share has Wilson's interval, with the effective number of "
        "independent cases where one image gives several; other means have Student's interval over "
        "images. A difference is tested on the same images by flipping signs, and its interval is "
        "the set of values that this test does not reject.",
    ),
    (
        "Verdicts",
        "An effect and its control are measured on the same items, and the paired test decides "
        "whether they differ: p below 0.05 is called significant. Titles and sentences follow "
        "that test; whether two intervals overlap plays no part. A finding that rests on several "
        "tests needs all of them; where only some hold, they are named after Holm's correction. "
        "With fewer than 6 images no such test can be significant, and the finding says so.",
    ),
    (
        "Numbers of the paper",
        "Quoted for orientation where they are known; where none is given, none could be found. "
        "They belong to LLaVA-1.5-7B on COCO: another model on other data.",
    ),
)


def facts_of(runs: Sequence[StudyRun]) -> tuple[RunFacts, ...]:
    return tuple(_entry(run) for run in runs)


def _entry(run: StudyRun) -> RunFacts:
    manifest = run.manifest
    shown = ("command", "model", "data", "seeds", "dtype", "device", "versions", "parameters")
    entries = [("folder", run.place)]
    for name in (*shown, *(key for key in manifest if key not in (*shown, "study"))):
        value = manifest.get(name)
        if value is not None and value != {} and value != "":
            entries.append((name, _flat(value)))
    return RunFacts(f"{run.study}, {run.model}, {run.n_samples} images", tuple(entries))


def _flat(value: object) -> str:
    if isinstance(value, dict):
        parts = []
        for key, item in value.items():
            text = canonical_json(item) if isinstance(item, (dict, list)) else str(item)
            parts.append(f"{key} {text}")
        return "; ".join(parts)
    return str(value)
