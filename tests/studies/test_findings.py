"""One verdict: title, sentence and outcome of a finding say what its paired tests say."""

from __future__ import annotations

import pytest

from retinoscope.report.findings import (
    PairedTest,
    chosen_of,
    holm,
    make_finding,
    paired_test,
    sentence_of,
    weakest,
)


def result(difference: float, p: float | None, about: str = "", n: int = 20) -> PairedTest:
    half = abs(difference) / 2 if p is not None and p < 0.05 else 2 * abs(difference) + 0.1
    return PairedTest(difference, difference - half, difference + half, p, n, about)


def found(*tests: PairedTest):
    return make_finding("objects are local", "Lost: 9 of 10", tests, figure="90%", versus="of 10")


@pytest.mark.parametrize(
    ("tests", "outcome", "title"),
    [
        ([result(0.9, 0.001)], "significant", "Objects are local"),
        ([result(0.1, 0.3)], "not significant", "No evidence that objects are local"),
        ([result(-0.9, 0.001)], "opposite", "Evidence against: objects are local"),
        (
            [result(0.9, 0.001, n=5)],
            "too few",
            "Too few images to say whether objects are local",
        ),
        ([], "no control", "Without a control it is open whether objects are local"),
        ([result(0.0, 1.0)], "not significant", "No evidence that objects are local"),
    ],
)
def test_title_and_sentence_follow_the_test(tests, outcome, title) -> None:
    finding = found(*tests)
    assert (finding.outcome, finding.title) == (outcome, title)
    assert finding.significant is (None if outcome == "no control" else outcome == "significant")
    assert finding.headline == f"{title}: 90% of 10"
    takes_back = ("Not significant", "nothing can be concluded", "Nothing can", "larger effect")
    assert any(text in finding.sentence for text in takes_back) is (outcome != "significant")


def test_the_p_value_decides_and_not_the_interval_s_ends() -> None:
    beside = PairedTest(0.5, -0.01, 1.0, 0.04, 20)
    assert beside.sign == "higher"
    assert PairedTest(0.5, 0.01, 1.0, 0.06, 20).sign == "none"
    assert PairedTest(0.5, 0.01, 1.0, None, 20).sign == "higher"
    assert PairedTest(0.5, None, None, None, 20).sign == "none"


def test_of_several_tests_all_have_to_hold_or_they_are_named() -> None:
    captions, polls = result(0.9, 0.001, "for captions"), result(0.1, 0.2, "for polls")
    assert found(captions, result(0.8, 0.04, "for polls")).significant
    partly = found(captions, polls)
    assert partly.title == "Objects are local for captions, not shown for polls"
    assert partly.significant is False
    assert "Not significant for polls" in partly.sentence
    # One of two at p = 0.03 is none of two after Holm's correction, which the sentence names.
    corrected = found(result(0.9, 0.03, "for captions"), polls)
    assert corrected.outcome == "not significant"
    assert "Holm" in corrected.sentence
    assert "Holm" not in found(result(0.1, 0.2, "for captions"), polls).sentence
    assert [round(t.p or 0, 3) for t in holm([result(1, 0.01), result(1, 0.04)])] == [
        0.02,
        0.04,
    ]


def test_a_test_the_other_way_round_is_not_called_open() -> None:
    captions, polls = result(0.9, 0.001, "for captions"), result(0.1, 0.2, "for polls")
    questions = result(-0.4, 0.001, "for questions")
    mixed = found(captions, questions)
    assert mixed.outcome == "partly"
    assert "evidence against for questions" in mixed.title
    assert "Not significant" not in mixed.sentence
    assert "larger effect for questions" in mixed.sentence
    three = found(captions, polls, questions)
    assert "not shown for polls, evidence against for questions" in three.title
    assert "Not significant for polls; the control" in three.sentence
    none = found(polls, questions)
    assert none.outcome == "not significant"
    assert "Not significant for polls; the control" in none.sentence


def test_an_effect_stands_against_its_nearest_control() -> None:
    far, near = result(0.9, 0.001), result(0.1, 0.2)
    surely, less = result(-0.6, 0.001), result(-0.4, 0.005)
    assert weakest([less, surely]) == surely
    assert weakest([far, near], "at half cover") == result(0.1, 0.2, "at half cover")
    assert weakest([]) is None


def test_what_was_chosen_by_looking_is_corrected_for_how_many_there_were() -> None:
    best = chosen_of(result(0.9, 0.01), 8)
    assert best.p == pytest.approx(0.08)
    assert best.sign == "none"
    assert (best.low, best.high) == (None, None)
    assert "not significant" in sentence_of(best)
    assert chosen_of(best, 1) == best


def test_a_test_is_read_from_the_columns_of_a_summary() -> None:
    row = {"difference": -0.25, "difference_low": -0.5, "difference_high": -0.1}
    row |= {"difference_p": 0.002, "n_samples": 12}
    test = paired_test(row, sign=-1)
    assert test == PairedTest(0.25, 0.1, 0.5, 0.002, 12)
    assert str(test) == "25 points (10 to 50; p = 0.002)"
    assert paired_test({"difference": None}) is None
    assert str(paired_test({"difference": -0.001, "n_samples": 9}, scale=1)) == "0.00"
