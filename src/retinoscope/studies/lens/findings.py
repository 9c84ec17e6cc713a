"""What the lens study found: each kind of lens against its controls, and against the logit lens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...report.blocks import PAPER, Interval, Record, listing, percent, percent_interval
from ...report.findings import Finding, PairedTest, make_finding, paired_test, weakest
from ...report.rows import first, interval, number, pick
from ..runs import StudyRun
from .curves import CONTROLS, OWN, at_cover, cover_name, covers_of, kinds_of
from .options import LABELS

CLAIM = "tokens become words"
MISSED = "object names missed by the logit lens are found"


def main_finding(run: StudyRun) -> Finding | None:
    """Returns one model's result: several kinds of lens compared, or one against its controls."""
    kinds = kinds_of(run)
    if "logit" in kinds and len(kinds) > 1:
        return lenses_finding(run)
    return lens_finding(run, kinds[0]) if kinds else None


def lenses_finding(run: StudyRun) -> Finding | None:
    """Returns the other kinds of lens against the logit lens, where most of a token is covered."""
    cover = covers_of(run)[-1]
    parts, tests, shares = [], [], {}
    for kind in kinds_of(run):
        rows = pick(run.extra("peak"), lens=kind, cover=cover)
        share = interval(rows[0] if rows else None, "share", "n_images")
        if share is None:
            continue
        shares[kind] = share
        control = nearest_control(rows)
        beside = f" (nearest control: {control[0]}, {percent(control[1].value)})" if control else ""
        parts.append(f"{percent_interval(share)} by the {LABELS[kind]}{beside}")
        same = {"control_group": "object", "control_weights": "trained", "control_cover": cover}
        of = None if kind == "logit" else first(rows, control_lens="logit", **same)
        about = f"by the {LABELS[kind]}"
        if test := paired_test(
            of, images="n_images", about=about, against="against the logit lens"
        ):
            tests.append(test)
    if not tests:
        return None
    best = max(shares, key=lambda kind: shares[kind].value)
    return make_finding(
        MISSED,
        f"In {run.label} an object's tokens, {cover_name(cover)}, read as its name: "
        f"{_semicolons(parts)}",
        tests,
        figure=f"{percent(shares[best].value)} by the {LABELS[best]}",
        versus=f"against {percent(shares['logit'].value)} by the logit lens",
    )


def _semicolons(parts: Sequence[str]) -> str:
    """Returns a list whose parts have commas of their own."""
    return listing(parts) if len(parts) < 3 else f"{'; '.join(parts[:-1])}; and {parts[-1]}"


def nearest_control(rows: Sequence[Record]) -> tuple[str, Interval, PairedTest] | None:
    """Returns name, share and test of the control that supports one lens at one cover least."""
    beside = _beside(rows)
    test = weakest([test for *_, test in beside])
    if test is None:
        return None
    name, share, _ = next(x for x in beside if test.against.endswith(x[0]))
    return name, share, test


def lens_finding(run: StudyRun, lens: str = "logit") -> Finding | None:
    """Returns one model's result by one lens at every cover, from its "peak" table."""
    covers = covers_of(run)
    parts, tests, shares, controls = [], [], [], []
    for cover in covers:
        rows = pick(run.extra("peak"), lens=lens, cover=cover)
        measured = interval(rows[0] if rows else None, "share", "n_images")
        if measured is None:
            continue
        shares.append(measured)
        layers = str(rows[0]["layers"])
        text = f"layer{'s' if ',' in layers else ''} {layers} of {rows[0]['last_layer']}"
        if nearest := nearest_control(rows):
            name, control, test = nearest
            tests.append(replace(test, about=at_cover(cover)))
            controls.append(control)
            text += f"; {name} {percent(control.value)}"
        parts.append(f"{percent_interval(measured)} {at_cover(cover)}".strip() + f" ({text})")
    if not shares:
        return None
    best = pick(run.extra("best_layer"), lens=lens, measure="strict")
    row = first(best, weights="trained", group="object")
    known = None if row is None else number(row, "paper_share")
    by = "" if kinds_of(run) == ["logit"] else f" by the {LABELS[lens]}"
    return make_finding(
        CLAIM,
        f"In {run.label} an object's tokens read as its name{by}: {listing(parts)}",
        tests,
        figure=_over([percent(x.value) for x in shares]),
        versus=_versus(covers, controls),
        follows=_border(run, lens),
        paper="" if known is None else f"{100 * known:.1f}% at the best layer of each image",
    )


def _beside(rows: Sequence[Record]) -> list[tuple[str, Interval, PairedTest]]:
    """Returns name, share and test of each control at one cover."""
    controls = []
    for group, weights, name in CONTROLS:
        for row in pick(rows, control_group=group, control_weights=weights):
            share = interval(row, "control_share", "n_images")
            test = paired_test(row, images="n_images", against=f"against {name}")
            if share is not None and test is not None:
                controls.append((name, share, test))
    return controls


def _over(parts: Sequence[str]) -> str:
    return " / ".join(parts)


def _versus(covers: Sequence[float | None], controls: Sequence[Interval]) -> str:
    text = f"({_over([cover_name(cover) for cover in covers])})" if covers != [None] else ""
    if controls:
        text += f" against {_over([percent(x.value) for x in controls])} for the nearest control"
    return text.strip()


def _border(run: StudyRun, lens: str) -> str:
    """Returns the conclusion from the difference between the covers."""
    for row in pick(run.extra("peak"), lens=lens, control_lens=lens):
        if (row.get("control_group"), row.get("control_weights")) != OWN:
            continue
        test = paired_test(row, images="n_images")
        if test is None or test.sign == "too few":
            continue
        here, there = (at_cover(number(row, name)) for name in ("cover", "control_cover"))
        if test.sign == "lower":
            lower = paired_test(row, images="n_images", sign=-1)
            return (
                "The result rests on tokens at the object's border: on the same objects it is "
                f"{lower} lower {here}."
            )
        if test.sign == "higher":
            return (
                "The result rests on tokens that lie mostly on the object: on the same objects it "
                f"is {test} higher {here}."
            )
        minus = f"{here.removeprefix('at ')} minus {there.removeprefix('at ')}"
        return f"The two kinds of tokens do not differ significantly ({minus}: {test})."
    return ""


def best_layer_sentence(run: StudyRun, cover: float | None) -> str:
    """Returns the paper's statistic, with that for background tokens, which shows its bias."""
    rows = pick(run.extra("best_layer"), lens="logit", measure="strict", weights="trained")
    of_object = pick(rows, group="object", cover=cover)
    row = first(of_object, images="all")
    share, layer = interval(row, "share"), interval(row, "layer")
    if row is None or share is None or layer is None:
        return ""
    last = int(number(row, "n_layers") or 0) - 1
    text = (
        f"The paper's own statistic, the best layer chosen for each object, {at_cover(cover)}: "
        f"{percent_interval(share)}, on average at layer {layer.value:.1f} of {last}"
    )
    if hitting := interval(first(of_object, images="hitting"), "share"):
        text += f" ({percent_interval(hitting)} without objects that are named at no layer)"
    if bias := interval(first(rows, group="background", images="all"), "share"):
        text += (
            f". Choosing the best of several layers can only raise a share; for background tokens "
            f"it gives {percent_interval(bias)}"
        )
    text += "."
    paper_share, paper_layer = number(row, "paper_share"), number(row, "paper_layer")
    if paper_share is not None and paper_layer is not None:
        text += f" The paper: {100 * paper_share:.1f}%, layer {paper_layer:.1f} of 33 ({PAPER})."
    return text
