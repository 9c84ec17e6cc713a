"""The lens of several models on the same images: differences, paired by object."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Interval, percent, percent_interval
from ...report.findings import PairedTest, listing
from ...report.rows import interval, pick
from ..runs import StudyRun
from .curves import at_cover, cover_name, covers_of, kinds_of
from .findings import nearest_control
from .options import LABELS
from .peak import lens_difference
from .pretraining import SHORT

LIES_AND_CAUSES = ("embedding", "jacobian")
"""The kinds of lens that show on which words a state lies, and which words it causes."""


def lying_and_causing(runs: Sequence[StudyRun]) -> tuple[str, ...]:
    """Returns for each model whether object tokens lie on their name and whether they cause it.

    Each is judged against all of its own controls.
    """
    sentences = []
    for run in runs:
        cover = covers_of(run)[-1]
        parts = {}
        for kind in LIES_AND_CAUSES:
            rows = pick(run.extra("peak"), lens=kind, cover=cover)
            share, control = interval(rows[0] if rows else None, "share"), nearest_control(rows)
            if share is not None and control is not None and control[2].sign != "too few":
                parts[kind] = (control[2].sign == "higher", percent(share.value))
        if len(parts) < len(LIES_AND_CAUSES):
            continue
        (lie, lying), (cause, causing) = (parts[kind] for kind in LIES_AND_CAUSES)
        verb = {True: "", False: "do not measurably "}
        sentences.append(
            f"An object's tokens in {run.label}, {cover_name(cover)}, {verb[lie]}lie on its name "
            f"(embedding lens {lying}) {'and' if lie == cause else 'but'} {verb[cause]}cause it "
            f"(Jacobian lens {causing})."
        )
    return tuple(sentences)


def between_models(runs: Sequence[StudyRun], lens: str) -> tuple[str, ...]:
    """Returns each further model's share next to the first one's, with the paired difference."""
    sentences = []
    by = "" if kinds_of(runs[0]) == ["logit"] else f", by the {LABELS[lens]}"
    for cover in covers_of(runs[0]):
        parts = [
            f"{percent_interval(share)} in {run.label} (difference {test})"
            for run, share, test in _others(runs, cover, lens)
        ]
        if parts:
            where = f", {at_cover(cover)}" if cover is not None else ""
            sentences.append(f"On the same images{where}{by}: {listing(parts)}.")
    return (*sentences, *([text] if (text := _follows(runs, lens)) else []))


def models_in_short(runs: Sequence[StudyRun]) -> str:
    """As `between_models` without the tests, and the conclusion."""
    if len(kinds_of(runs[0])) > 1:
        return " ".join(lying_and_causing(runs))
    shares_of: dict[str, list[str]] = {}
    for cover in covers_of(runs[0]):
        for run, share, _ in _others(runs, cover, "logit"):
            shares_of.setdefault(run.label, []).append(percent(share.value))
    if not shares_of:
        return ""
    parts = [f"{' / '.join(shares)} in {name}" for name, shares in shares_of.items()]
    return " ".join(
        filter(None, (f"On the same images: {listing(parts)}.", _follows(runs, "logit")))
    )


def _others(
    runs: Sequence[StudyRun], cover: float | None, lens: str
) -> list[tuple[StudyRun, Interval, PairedTest]]:
    """Returns further models on the main one's data, with differences over the same objects."""
    main = runs[0]
    others = []
    for run in runs[1:]:
        rows = pick(run.extra("peak"), lens=lens, cover=cover)
        share = interval(rows[0] if rows else None, "share")
        if share is None or _data(run) != _data(main):
            continue
        test = lens_difference(main.extra("objects"), run.extra("objects"), cover, lens)
        if test is not None:
            others.append((run, share, test))
    return others


def _follows(runs: Sequence[StudyRun], lens: str) -> str:
    """Returns the conclusion from differences between packaged models of the same shape."""
    if not all(run.label in SHORT for run in runs):
        return ""
    significant, rest = [], []
    for cover in covers_of(runs[0]):
        tests = [test for *_, test in _others(runs, cover, lens)]
        if tests:
            every = all(test.sign in ("higher", "lower") for test in tests)
            (significant if every else rest).append(at_cover(cover))
    parts = []
    by = "" if kinds_of(runs[0]) == ["logit"] else f" by the {LABELS[lens]}"
    if significant:
        parts.append(
            f"{_capital(listing(significant))} all differences{by} are significant; as the models "
            "share everything else, the result depends on what the language model read before it "
            "saw any image."
        )
    if rest:
        parts.append(f"{_capital(listing(rest))} not all differences{by} are significant.")
    return " ".join(parts)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _data(run: StudyRun) -> object:
    data = run.manifest.get("data")
    return data.get("fingerprint") if isinstance(data, dict) else data
