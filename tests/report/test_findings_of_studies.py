"""Of every study: title, sentence, terminal and card say what the paired test says."""

from __future__ import annotations

import html
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from synthetic_runs import lens_rows, write_run
from synthetic_studies import MAKERS

from retinoscope.cli._common import say_findings
from retinoscope.reporting import compose, write_report
from retinoscope.studies import Finding
from retinoscope.studies.probe.section import probe_finding
from retinoscope.studies.registry import STUDIES
from retinoscope.studies.token_sets import RING_1, NamedSet

CASES = [
    (study, effect, n) for study in MAKERS for effect, n in ((True, 24), (False, 24), (True, 3))
]
TAKEN_BACK = ("Not significant", "not significant:", "Nothing can be concluded", "larger effect")


def test_every_study_with_a_finding_has_a_case() -> None:
    # Probes are tested below: their draws are no rows that a few lines can make up.
    assert {*MAKERS, "probe"} == set(STUDIES)


@pytest.mark.parametrize(("study", "effect", "n"), CASES)
def test_one_verdict_everywhere(
    study: str, effect: bool, n: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, study, "m", MAKERS[study](effect), samples=n)
    report = compose(tmp_path)
    (finding,) = report.findings
    _consistent(finding)
    if n < 6:
        assert finding.outcome == "too few"
        assert finding.title.startswith("Too few images")
    else:
        assert finding.significant is effect, finding.sentence
    say_findings(report.findings)
    assert capsys.readouterr().out == f"{finding.headline}\n  {finding.sentence}\n"
    (card,) = re.findall(
        r'<article class="claim( unshown)?">(.*?)</article>', report.write().read_text(), re.DOTALL
    )
    # A word joiner keeps ranges on one line, spaces that do not break keep p values.
    text = html.unescape(card[1]).replace("\u2060", "").replace("\u00a0", " ")
    assert (card[0] == "") is (finding.significant is not False)
    assert f"<h2>{finding.title}</h2>" in text
    assert f"<p>{finding.sentence}</p>" in text


def _consistent(finding: Finding) -> None:
    """The title claims exactly what the tests say, and the sentence takes nothing back."""
    signs = {test.sign for test in finding.tests}
    assert finding.significant is (signs == {"higher"})
    takes_back = [text for text in TAKEN_BACK if text in finding.sentence]
    assert bool(takes_back) is not finding.significant, finding.sentence
    hedged = re.match(r"No evidence|Too few|Evidence against|Without a control", finding.title)
    partly = re.search(r"not shown|evidence against", finding.title)
    assert bool(hedged or partly) is not finding.significant, finding.title


def test_a_tie_has_no_best_method(tmp_path: Path) -> None:
    write_run(tmp_path, "attend", "m", MAKERS["attend"](True), samples=24)
    (finding,) = compose(tmp_path).findings
    assert finding.title == "A map finds the object"
    (told,) = re.findall(r"Not told apart: ([^.]*)\.", finding.sentence)
    assert set(told.split(" and ")) == {"lens-probability", "chefer"}


def test_windows_that_leave_as_much_are_not_told_apart(tmp_path: Path) -> None:
    def rows(sample: str, rng: Any) -> list[dict[str, object]]:
        kept = {(RING_1, "last", "mid"), (RING_1, "last", "late")}
        lost = sample.endswith(("0", "2", "4", "6", "8"))
        return [
            row | {"correct": not (lost and key in kept), "probability_after": 0.9}
            for row in MAKERS["knockout"](False)(sample, rng)
            if (key := (NamedSet.of(row), row["target"], row["window"]))
        ]

    write_run(tmp_path, "knockout", "m", rows, samples=24)
    (section,) = compose(tmp_path).sections
    to_last, to_row, to_question, rest = section.sentences
    assert "blocking mid and late layers" in to_last
    for text in (to_row, to_question, rest):
        assert "no window stands out" in text
        assert not re.search(r"window (early|mid|late)", text)


def test_the_lens_says_which_tokens_carry_its_figure(tmp_path: Path) -> None:
    """Border tokens alone on one model, tokens that lie on the object on the other."""
    write_run(tmp_path / "d", "lens", "none", lambda s, r: lens_rows(s, r, 0.6, half=0.06))
    (open_,) = compose(tmp_path / "d").findings
    assert open_.title == "Tokens become words at any overlap, not shown at half cover"
    write_run(tmp_path / "a", "lens", "border", lambda s, r: lens_rows(s, r, 0.6, half=0.0))
    write_run(tmp_path / "b", "lens", "inside", lambda s, r: lens_rows(s, r, 0.3, half=0.9))
    write_run(tmp_path / "c", "lens", "alike", lambda s, r: lens_rows(s, r, 0.6))
    (border,) = compose(tmp_path / "a").findings
    # At half cover significantly fewer than under the control: that is more than "not shown".
    assert border.title == "Tokens become words at any overlap, evidence against at half cover"
    assert "Not significant" not in border.sentence
    assert "rests on tokens at the object's border" in border.sentence
    assert re.fullmatch(r"\d+% / \d+%", border.figure)
    (inside,) = compose(tmp_path / "b").findings
    assert inside.title == "Tokens become words"
    assert "rests on tokens that lie mostly on the object" in inside.sentence
    (alike,) = compose(tmp_path / "c").findings
    assert "do not differ significantly" in alike.sentence
    report = compose(tmp_path / "a")
    (section,) = report.sections
    table = next(t for t in section.tables if t.name.endswith("covers"))
    heads = " ".join(column.label for column in table.columns)
    assert "any overlap" in heads
    assert "at least half covered" in heads
    assert "any overlap" in section.figures[0].alt
    write_report(tmp_path / "a")
    assert (tmp_path / "a" / "tables" / f"{table.name}.csv").exists()


def _lenses(**shares: float) -> Any:
    """Rows of several kinds of lens, by the peak of each."""
    return lambda sample, rng: [
        row for kind, peak in shares.items() for row in lens_rows(sample, rng, peak, lens=kind)
    ]


def test_several_lenses_are_judged_against_the_logit_lens(tmp_path: Path) -> None:
    write_run(tmp_path, "lens", "m", _lenses(logit=0.05, embedding=0.8, jacobian=0.05))
    report = compose(tmp_path)
    (finding,) = report.findings
    assert finding.title == (
        "Object names missed by the logit lens are found by the embedding lens, not shown by the "
        "Jacobian lens"
    )
    assert re.fullmatch(r"\d+% by the embedding lens", finding.figure)
    text = " ".join(report.sections[0].sentences)
    assert "in m, at least half covered, lie on its name (embedding lens" in text
    assert "but do not measurably cause it (Jacobian lens" in text
    table = next(t for t in report.sections[0].tables if t.name.endswith("kinds"))
    assert [row[0] for row in table.rows] == ["logit lens", "embedding lens", "Jacobian lens"]


def test_models_differ_in_what_their_tokens_lie_on_and_cause(tmp_path: Path) -> None:
    for model, shares in {
        "pocket": {"embedding": 0.8, "jacobian": 0.7},
        "pocket-none": {"embedding": 0.0, "jacobian": 0.7},
        "pocket-sentences": {"embedding": 0.0, "jacobian": 0.0},
    }.items():
        write_run(tmp_path / model, "lens", model, _lenses(logit=0.05, **shares))
    text = " ".join(compose(tmp_path).sections[0].sentences)
    assert re.search(r"in pocket, [^.]*, lie on its name [^.]* and cause it", text)
    none = re.search(r"in pocket-none, [^.]*, do not measurably lie on[^.]* but cause it", text)
    assert none is not None
    neither = (
        r"in pocket-sentences, [^.]* do not measurably lie on[^.]* and do not measurably cause"
    )
    assert re.search(neither, text)


def test_numbers_of_the_paper_name_their_tasks(tmp_path: Path) -> None:
    def two(sample: str, rng: Any) -> list[dict[str, object]]:
        rows = MAKERS["ablation"](True)(sample, rng)
        return [row for row in rows if row["task"] in ("polling", "question")]

    write_run(tmp_path, "ablation", "m", two)
    (finding,) = compose(tmp_path).findings
    assert finding.paper == "51% (yes/no) and 87% (question)"


@pytest.mark.parametrize("effect", [True, False])
def test_a_probe_stands_against_random_weights(effect: bool) -> None:
    def interval(name: str, value: float, half: float) -> dict[str, object]:
        return {name: value, f"{name}_low": value - half, f"{name}_high": value + half}

    summary, pairs = [], []
    for task, measure in (("name", "class_accuracy"), ("foreground", "iou")):
        for kind, value in (("encoder", 0.8 if effect else 0.4), ("untrained", 0.4)):
            summary.append(
                {"task": task, "measure": measure, "kind": kind, "of": "e", "layer": "vision.6"}
                | {"encoder": "e" if kind == "encoder" else "e, untrained", "val": 0.5}
                | interval("value", value, 0.05)
                | {"constant": 0.1, "shuffled": 0.1, "control": None, "bound": 0.9}
            )
        pairs.append(
            {"task": task, "measure": measure, "a": "e", "b": "e, untrained", "n_images": 40}
            | {"a_value": 0.8, "b_value": 0.4, "verdict": "higher" if effect else "not told apart"}
            | interval("difference", 0.4 if effect else 0.0, 0.1)
        )
    run = SimpleNamespace(summary=summary, extra=lambda name: pairs if name == "comparison" else [])
    finding = probe_finding(cast("Any", run))
    assert finding is not None
    _consistent(finding)
    assert finding.significant is effect
