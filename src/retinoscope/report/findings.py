"""Findings: a study's conclusions, each derived from the paired test behind it.

A study measures an effect and its control on the same items, and one paired test decides whether
they differ. Title and sentence of a `Finding` are both written from that verdict, so that the title
never claims more than the sentence. The terminal, the report and its cards print a finding's own
words and add none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..stats import holm as corrected

LEVEL = 0.05
"""A paired difference whose p value is below it is significant."""
FEWEST = 6
"""With fewer images a sign-flip test gives p > 0.05 even if all of them agree: 2 of 2**5
assignments of signs are as extreme."""

Outcome = Literal["significant", "partly", "not significant", "opposite", "too few", "no control"]
Sign = Literal["higher", "lower", "none", "too few"]


@dataclass(frozen=True)
class PairedTest:
    """A mean difference over pairs measured on the same items, and its test.

    Attributes:
        difference, low, high: the mean and its 95% interval; positive supports the finding.
        p: of a two-sided sign-flip test over images; None where the interval alone decides.
        n_images: the number of independent images.
        about: which of several tests of one finding this is, such as "for captions".
        against: the control, where a finding has several, such as "against background tokens".
        scale, unit: for printing: 100 and " points" for a difference of shares.
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
        """The direction in which the test is significant, if it is."""
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
        # Avoids "-0".
        return f"{round(self.scale * value, digits) + 0.0:.{digits}f}"


@dataclass(frozen=True)
class Finding:
    """One result: a title and a sentence that say what the test behind it says, never more.

    Attributes:
        title: the claim if it is significant, otherwise that there is no evidence for it.
        figure, versus: the number that supports it, and the one to compare it with.
        sentence: what was measured, the paired differences, and what follows.
        outcome: "partly" where some of several tests are significant, "opposite" where the control
            has the larger effect, "too few" where no test is possible with so few images, "no
            control" where nothing was compared.
        tests: the paired tests behind it.
        paper: what the paper reports, if known.
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
        """Whether every test is significant; None where there was nothing to compare."""
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
    """Writes the finding that follows from a claim and its tests.

    Args:
        claim: a clause without capital letter and full stop, such as "objects are local".
        measured: what was measured and the control's result, without a verdict.
        tests: all must be significant for the claim as it stands. Where only some are, these are
            named, after Holm's correction for their number.
        figure, versus: the number that supports it, and the one to compare it with.
        follows: a sentence added where the claim holds, at least in part.
        paper: what the paper reports.
    """
    outcome, held, reverse = _outcome(tests)
    verdict = _verdict(claim, tests, outcome, held, reverse)
    follows = follows if outcome in ("significant", "partly") else ""
    sentence = " ".join(part for part in (f"{measured.rstrip('.')}.", verdict, follows) if part)
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
        sign: -1 where a negative difference supports the finding.

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


def sentence_of(test: PairedTest) -> str:
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
    """A test that was selected among `n`: its p value is multiplied by their number (Bonferroni).

    Its interval is dropped, since the interval of the largest of several would not cover.
    """
    if n <= 1 or test.p is None:
        return test
    about = f"{test.about} (corrected for {n})".strip()
    return replace(test, p=min(1.0, n * test.p), low=None, high=None, about=about)


def weakest(tests: Sequence[PairedTest], about: str = "") -> PairedTest | None:
    """Of the tests of an effect against several controls, the one that supports it least.

    If that one is significant, all are: a claim against every control needs no correction for their
    number (an intersection-union test, Berger 1982, Technometrics 24:295).
    """
    order: tuple[Sign, ...] = ("lower", "too few", "none", "higher")
    if not tests:
        return None

    def support(test: PairedTest) -> tuple[int, float, float]:
        # Among tests in the opposite direction, the surest one supports the effect least.
        p = test.p or 0.0
        return order.index(test.sign), p if test.sign == "lower" else -p, test.difference

    return replace(min(tests, key=support), about=about)


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
    """The outcome, the significant tests, and those whose control has the larger effect; of several
    tests, those that remain so after Holm's correction."""
    signs = [test.sign for test in tests]
    if not tests:
        return "no control", [], []
    if all(sign == "higher" for sign in signs):
        # Each has to hold, so no correction is needed, as in `weakest`.
        return "significant", list(tests), []
    if all(sign == "too few" for sign in signs):
        return "too few", [], []
    if all(sign == "lower" for sign in signs):
        return "opposite", [], list(tests)
    # Several controls of one effect have no names of their own: one alone does not suffice.
    if not all(test.about for test in tests):
        return "not significant", [], []
    known = [test for test in tests if test.sign != "too few"]
    judged = list(zip(known, holm(known), strict=True))
    held = [test for test, adjusted in judged if adjusted.sign == "higher"]
    reverse = [test for test, adjusted in judged if adjusted.sign == "lower"]
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
    shared = tests[0].against if len({test.against for test in tests}) == 1 else ""
    differences = listing(
        [
            " ".join(filter(None, (str(test), test.about, "" if shared else test.against)))
            for test in tests
        ]
    )
    sizes = sorted({test.n_images for test in tests})
    n = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    images = f"{n} image{'s' if sizes[-1] != 1 else ''}"
    what = f"Paired difference{'s' if len(tests) > 1 else ''} {shared}".rstrip()
    text = f"{what} over {images}: {differences}."
    if outcome == "too few":
        return f"{text} Nothing can be concluded from so few images: a test needs {FEWEST} or more."
    if outcome == "significant":
        return text
    if outcome == "opposite":
        return f"{text} The control has the larger effect."
    # A test that only the correction makes insignificant still shows its own p value: say why.
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
