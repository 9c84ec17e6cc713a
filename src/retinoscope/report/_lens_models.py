"""The lens of several models on the same images: whether they differ, in pairs of objects."""

from __future__ import annotations

from collections.abc import Sequence

from ..studies import lens_difference
from ..studies.findings import listing
from ._collect import StudyRun
from ._lens_curves import at_cover, covers_of
from ._models import SHORT
from ._parts import percent_interval
from ._rows import interval, pick


def between_models(runs: Sequence[StudyRun]) -> tuple[str, ...]:
    """Each further model's share beside the first one's, with the paired difference."""
    main, others = runs[0], runs[1:]
    # A difference is taken over the same images, so other data are not compared.
    others = [run for run in others if _data(run) == _data(main)]
    if not others:
        return ()
    sentences = []
    shown = []
    for cover in covers_of(main):
        parts = []
        for run in others:
            rows = pick(run.extra("peak"), cover=cover)
            share = interval(rows[0] if rows else None, "share")
            test = lens_difference(main.extra("objects"), run.extra("objects"), cover)
            if share is None or test is None:
                continue
            parts.append(f"{percent_interval(share)} in {run.label} (difference {test})")
            shown.append(test.sign in ("higher", "lower"))
        if parts:
            sentences.append(f"On the same images, {at_cover(cover)}: {listing(parts)}.")
    if all(run.label in SHORT for run in runs) and shown:
        sentences.append(_follows(shown))
    return tuple(sentences)


def _follows(shown: Sequence[bool]) -> str:
    if all(shown):
        return (
            "The models share architecture, images and conversations, so this result depends on "
            "what the language model read before it saw an image."
        )
    if any(shown):
        return "Not every one of these differences between the pretrainings is significant."
    return "No difference between the pretrainings is significant."


def _data(run: StudyRun) -> object:
    data = run.manifest.get("data")
    return data.get("fingerprint") if isinstance(data, dict) else data
