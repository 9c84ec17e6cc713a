"""Findings: what a reader is told of a study, made from the paired test behind it.

A study measures an effect and its control on the same items. One paired test decides whether the
two differ; the title and the sentence of a `Finding` are written from that verdict, so that no
title claims what its sentence takes back. The terminal, the report and its cards print a finding's
own words and add none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..stats import holm as corrected

LEVEL = 0.05
"""A paired difference whose p value is below it is significant."""
FEWEST = 6
"""With fewer images even a difference that all of them share has p > 0.05 by a sign-flip test:
2 of 2**5 assignments of signs are as extreme."""

Outcome = Literal["significant", "partly", "not significant", "opposite", "too few", "no control"]
Sign = Literal["higher", "lower", "none", "too few"]


@dataclass(frozen=True)
class PairedTest:
    """A difference over pairs that were measured on the same items, and its test.

    Attributes:
        difference, low, high: its mean and 95% interval; positive speaks for the finding.
        p: of a two-sided sign-flip test over images; None where the interval alone decides.
        n_images: independent images behind it.
        about: which of several tests of one finding this is, such as "for captions".
        against: the control, where a finding has several, such as "against background tokens".
        scale, unit: how it is written: 100 and " points" for a difference of shares.
    """

    difference: float
    low: float | None
    high: float | None
    p: float | None
    n_images: int
    about: str = ""
    against: str = ""
    scale: float = 100.0
    unit: str = " points"

    @property
    def sign(self) -> Sign:
        """What the test says."""
        if self.n_images < FEWEST:
            return "too few"
        if self.p is None:
            apart = self.low is not None and self.high is not None and self.low * self.high > 0
        else:
            # As in `stats.PairedDifference.significant`.
            apart = self.p < LEVEL - 1e-12
        if not apart or not self.difference:
            return "none"
        return "higher" if self.difference > 0 else "lower"

    def __str__(self) -> str:
        """ "17 points (12 to 21; p = 0.001)"."""
        details = []
        if self.low is not None and self.high is not None:
            details.append(f"{self._written(self.low)} to {self._written(self.high)}")
        if self.p is not None:
            details.append(written_p(self.p))
        text = f"{self._written(self.difference)}{self.unit}"
        return f"{text} ({'; '.join(details)})" if details else text

    def _written(self, value: float) -> str:
        digits = 0 if self.scale >= 100 else 2
        # Nothing is "-0".
        return f"{round(self.scale * value, digits) + 0.0:.{digits}f}"


@dataclass(frozen=True)
class Finding:
    """One result: a title and a sentence that say what the test behind it says, never more.

    Attributes:
        title: the claim where it is significant, otherwise that it does not show.
        figure, versus: the number that carries it, and the one it stands beside.
        sentence: what was measured, the paired differences, and what follows.
        outcome: "partly" where some of several tests are significant, "opposite" where the control
            has the larger effect, "too few" where the images do not suffice for any test, "no
            control" where nothing was compared.
        tests: the paired tests behind it.
        paper: what the paper reports, where that is known.
    """

    title: str
    figure: str
    versus: str
    sentence: str
    outcome: Outcome
    tests: tuple[PairedTest, ...] = ()
    paper: str = ""

    @property
    def significant(self) -> bool | None:
        """Whether every test is significant; None where there was nothing to compare with."""
        return None if self.outcome == "no control" else self.outcome == "significant"

    @property
    def headline(self) -> str:
        """The title with its numbers, as on the terminal."""
        return f"{self.title}: {self.figure} {self.versus}".rstrip()


def make_finding(
    claim: str,
    measured: str,
    tests: Sequence[PairedTest],
    *,
    figure: str,
    versus: str = "",
    follows: str = "",
    paper: str = "",
) -> Finding:
    """The finding that a claim and its tests give.

    Args:
        claim: a clause without capital and full stop, such as "objects are local".
        measured: what was measured and what the control gave, without a verdict.
        tests: all of which have to be significant for the claim as it stands. Where only some are,
            they are named, after Holm's correction for their number.
        figure, versus: the number that carries it, and what it stands beside.
        follows: a sentence for what else follows where the claim holds, or a part of it.
        paper: what the paper reports.
    """
    outcome, held, reverse = _outcome(tests)
    told = _verdict(claim, tests, outcome, held, reverse)
    follows = follows if outcome in ("significant", "partly") else ""
    sentence = " ".join(part for part in (f"{measured.rstrip('.')}.", told, follows) if part)
    return Finding(
        _title(claim, tests, outcome, held, reverse),
        figure,
        versus,
        sentence,
        outcome,
        tuple(tests),
        paper,
    )


def paired_test(
    row: Mapping[str, object] | None,
    name: str = "difference",
    *,
    images: str = "n_samples",
    about: str = "",
    against: str = "",
    sign: float = 1.0,
    scale: float = 100.0,
) -> PairedTest | None:
    """The paired test in a summary's columns `name`, `name`_low, `name`_high and `name`_p.

    Args:
        images: the column that counts the independent images.
        sign: -1 where a negative difference speaks for the finding.

    Returns: None where the study had no pairs.
    """
    if row is None or (difference := _number(row, name)) is None:
        return None
    low, high = (_number(row, f"{name}_{end}") for end in ("low", "high"))
    if sign < 0:
        low, high = high, low
    return PairedTest(
        sign * difference,
        None if low is None else sign * low,
        None if high is None else sign * high,
        _number(row, f"{name}_p"),
        int(_number(row, images) or 0),
        about,
        against,
        scale,
        " points" if scale >= 100 else "",
    )


def told(test: PairedTest) -> str:
    """One test as a sentence: "The paired difference is ...: not significant." """
    text = f"The paired difference is {test}".rstrip()
    if test.sign == "higher":
        return f"{text}."
    if test.sign == "too few":
        return f"{text}: {test.n_images} images are too few for a test."
    if test.sign == "lower":
        return f"{text}: the control has the larger effect."
    return f"{text}: not significant."


def chosen_of(test: PairedTest, n: int) -> PairedTest:
    """A test that was chosen by looking at `n` of them: its p value times their number
    (Bonferroni), and no interval, since that of the largest of several would not cover."""
    if n <= 1 or test.p is None:
        return test
    about = f"{test.about} (corrected for {n})".strip()
    return replace(test, p=min(1.0, n * test.p), low=None, high=None, about=about)


def weakest(tests: Sequence[PairedTest], about: str = "") -> PairedTest | None:
    """Of an effect against several controls the test that speaks least for it.

    If that is significant all are: a claim against every control needs no correction for their
    number (an intersection-union test, Berger 1982, Technometrics 24:295).
    """
    order: tuple[Sign, ...] = ("lower", "too few", "none", "higher")
    if not tests:
        return None

    def speaks(test: PairedTest) -> tuple[int, float, float]:
        # Of tests that are the other way round the surest one speaks least for the effect.
        p = test.p or 0.0
        return order.index(test.sign), p if test.sign == "lower" else -p, test.difference

    return replace(min(tests, key=speaks), about=about)


def holm(tests: Sequence[PairedTest]) -> list[PairedTest]:
    """Tests with p values corrected for their number (Holm 1979, Scand. J. Stat. 6:65)."""
    return [
        test if p is None else replace(test, p=p)
        for test, p in zip(tests, corrected([test.p for test in tests]), strict=True)
    ]


def written_p(p: float) -> str:
    """ "p = 0.012", "p < 0.001"."""
    if p < 0.0005:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def listing(parts: Sequence[str]) -> str:
    """ "a, b and c"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _number(row: Mapping[str, object], name: str) -> float | None:
    value = row.get(name)
    if not isinstance(value, int | float) or value != value:
        return None
    return float(value)


def _outcome(
    tests: Sequence[PairedTest],
) -> tuple[Outcome, list[PairedTest], list[PairedTest]]:
    """The outcome, the tests that are significant, and those whose control has the larger effect;
    of several tests those that stay so after Holm's correction."""
    signs = [test.sign for test in tests]
    if not tests:
        return "no control", [], []
    if all(sign == "higher" for sign in signs):
        # All of them together need no correction: each has to hold, as in `weakest`.
        return "significant", list(tests), []
    if all(sign == "too few" for sign in signs):
        return "too few", [], []
    if all(sign == "lower" for sign in signs):
        return "opposite", [], list(tests)
    # Tests of several controls of one effect have no name of their own: one of them is not enough.
    if not all(test.about for test in tests):
        return "not significant", [], []
    known = [test for test in tests if test.sign != "too few"]
    judged = list(zip(known, holm(known), strict=True))
    held = [test for test, one in judged if one.sign == "higher"]
    reverse = [test for test, one in judged if one.sign == "lower"]
    return "partly" if held else "not significant", held, reverse


def _about(tests: Sequence[PairedTest]) -> str:
    return listing([test.about for test in tests])


def _title(
    claim: str,
    tests: Sequence[PairedTest],
    outcome: Outcome,
    held: Sequence[PairedTest],
    reverse: Sequence[PairedTest],
) -> str:
    if outcome == "significant":
        return _capital(claim)
    if outcome == "partly":
        rest = [test for test in tests if test not in held and test not in reverse]
        parts = [f"{_capital(claim)} {_about(held)}"]
        parts += [f"not shown {_about(rest)}"] if rest else []
        parts += [f"evidence against {_about(reverse)}"] if reverse else []
        return ", ".join(parts)
    if outcome == "opposite":
        return f"Evidence against: {claim}"
    if outcome == "too few":
        return f"Too few images to say whether {claim}"
    if outcome == "no control":
        return f"Without a control it is open whether {claim}"
    return f"No evidence that {claim}"


def _verdict(
    claim: str,
    tests: Sequence[PairedTest],
    outcome: Outcome,
    held: Sequence[PairedTest],
    reverse: Sequence[PairedTest],
) -> str:
    if not tests:
        return "No control was run, so nothing can be concluded."
    told = listing(
        [" ".join(filter(None, (str(test), test.about, test.against))) for test in tests]
    )
    sizes = sorted({test.n_images for test in tests})
    n = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    images = f"{n} image{'s' if sizes[-1] != 1 else ''}"
    text = f"Paired difference{'s' if len(tests) > 1 else ''} over {images}: {told}."
    if outcome == "too few":
        return f"{text} Nothing can be concluded from so few images: a test needs {FEWEST} or more."
    if outcome == "significant":
        return text
    if outcome == "opposite":
        return f"{text} The control has the larger effect."
    # Where only the correction takes a test back, the reader sees its p value and has to know.
    single = any(test.sign in ("higher", "lower") for test in tests)
    how = " (Holm's correction)" if single and all(test.about for test in tests) else ""
    rest = [test for test in tests if test not in held and test not in reverse]
    parts = []
    if rest:
        parts.append("Not significant" + (f" {_about(rest)}" if len(rest) < len(tests) else ""))
    if reverse:
        parts.append(f"the control has the larger effect {_about(reverse)}")
    text = f"{text} {_capital('; '.join(parts))}{how}"
    return f"{text}." if outcome == "partly" else f"{text}: this run does not show that {claim}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
