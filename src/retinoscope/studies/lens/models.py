"""The lens of several models on the same images: differences, paired by object."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Interval, percent, percent_interval
from ...report.findings import PairedTest, listing
from ...report.rows import interval, pick
from ..runs import StudyRun
from .curves import at_cover, covers_of
from .peak import lens_difference
from .pretraining import SHORT


def between_models(runs: Sequence[StudyRun]) -> tuple[str, ...]:
    """Returns each further model's share next to the first one's, with the paired difference."""
    sentences = []
    for cover in covers_of(runs[0]):
        parts = [
            f"{percent_interval(share)} in {run.label} (difference {test})"
            for run, share, test in _others(runs, cover)
        ]
        if parts:
            where = f", {at_cover(cover)}" if cover is not None else ""
            sentences.append(f"On the same images{where}: {listing(parts)}.")
    return (*sentences, *([text] if (text := _follows(runs)) else []))


def models_in_short(runs: Sequence[StudyRun]) -> str:
    """As `between_models` without the tests, and the conclusion."""
    shares_of: dict[str, list[str]] = {}
    for cover in covers_of(runs[0]):
        for run, share, _ in _others(runs, cover):
            shares_of.setdefault(run.label, []).append(percent(share.value))
    if not shares_of:
        return ""
    parts = [f"{' / '.join(shares)} in {name}" for name, shares in shares_of.items()]
    return " ".join(filter(None, (f"On the same images: {listing(parts)}.", _follows(runs))))


def _others(
    runs: Sequence[StudyRun], cover: float | None
) -> list[tuple[StudyRun, Interval, PairedTest]]:
    """Returns further models on the main one's data, with differences over the same objects."""
    main = runs[0]
    others = []
    for run in runs[1:]:
        rows = pick(run.extra("peak"), cover=cover)
        share = interval(rows[0] if rows else None, "share")
        if share is None or _data(run) != _data(main):
            continue
        test = lens_difference(main.extra("objects"), run.extra("objects"), cover)
        if test is not None:
            others.append((run, share, test))
    return others


def _follows(runs: Sequence[StudyRun]) -> str:
    """Returns the conclusion from differences between packaged models of the same shape."""
    if not all(run.label in SHORT for run in runs):
        return ""
    significant, rest = [], []
    for cover in covers_of(runs[0]):
        tests = [test for *_, test in _others(runs, cover)]
        if tests:
            every = all(test.sign in ("higher", "lower") for test in tests)
            (significant if every else rest).append(at_cover(cover))
    parts = []
    if significant:
        parts.append(
            f"{_capital(listing(significant))} all differences are significant; as the models "
            "share everything else, the result depends on what the language model read before it "
            "saw any image."
        )
    if rest:
        parts.append(f"{_capital(listing(rest))} not all differences are significant.")
    return " ".join(parts)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _data(run: StudyRun) -> object:
    data = run.manifest.get("data")
    return data.get("fingerprint") if isinstance(data, dict) else data
