"""Rows and the report name the questions that a model cannot read."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import retinoscope as rs
from retinoscope.data import Question
from retinoscope.errors import UnknownWordsWarning
from retinoscope.reporting import write_report
from retinoscope.studies import AttentionKnockout


def test_a_question_with_unknown_words(tmp_path: Path) -> None:
    sample = rs.data.scenes(1, seed=1)[0]
    question = next(one for one in sample.questions if one.kind == "color" and one.about)
    strange = Question("What zebra color?", question.answer, "color", question.about)
    samples = [replace(sample, questions=(question, strange))]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnknownWordsWarning)
        results = AttentionKnockout(rs.load("pocket"), samples).run(tmp_path / "run")
    words = {row["question"]: row["unknown_words"] for row in results.table.to_pylist()}
    assert words == {question.question: None, strange.question: "zebra"}
    assert results.unknown_words == (1, ("zebra",))
    page = write_report(tmp_path / "run").read_text("utf-8")
    assert "words that the model does not know" in page
    assert "zebra" in page
