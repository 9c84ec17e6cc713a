"""What a claim's table says, of made-up answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from retinoscope.recipes.comparison import ArmResult, Claim, Comparison, verdicts
from retinoscope.recipes.interfaces import ARMS, CLAIMS, JUDGED, MEASURES

N = 80


def arm(name: str, shares: Sequence[float], kind: str = "color") -> list[ArmResult]:
    """Results that answer this share of one question per scene, seed by seed."""
    results = []
    for seed, share in enumerate(shares):
        right = np.random.default_rng([seed, *name.encode()]).random(N) < share
        rows = pl.DataFrame({"scene": np.arange(N), "kind": kind, "right": right})
        rows = rows.with_columns(
            expected=pl.lit("no"),
            said=pl.when("right").then(pl.lit("yes")).otherwise(pl.lit("no")),
            radius=pl.lit(20.0),
        )
        facts = {"recipe": {"held_out": N}}
        results.append(ArmResult(name, seed, facts, {"": rows}))
    return results


@pytest.mark.parametrize(
    ("mine", "others", "sign", "shown"),
    [
        ((0.9, 0.9, 0.9), (0.3, 0.3, 0.3), 1, "yes"),
        ((0.3, 0.3, 0.3), (0.9, 0.9, 0.9), 1, "the opposite"),
        ((0.3, 0.3, 0.3), (0.9, 0.9, 0.9), -1, "yes"),
        ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 1, "no"),
        # Clear in every single seed, but they disagree.
        ((0.9, 0.3, 0.9), (0.3, 0.9, 0.3), 1, "no"),
        ((0.9, 0.9), (0.3, 0.3, 0.3), 1, "yes (2 seeds so far)"),
    ],
)
def test_what_is_shown(mine, others, sign: int, shown: str) -> None:
    comparison = Comparison([*arm("lyrics", mine), *arm("qformer", others)])
    claim = Claim("better", "lyrics", ("qformer", "lyrics-dense"), {"color": sign})
    (verdict,) = verdicts(claim, comparison, JUDGED)
    assert (verdict.control, verdict.n_seeds) == ("qformer", len(mine))
    assert verdict.shown == shown


@pytest.mark.parametrize(
    ("mine", "shown"), [((0.9,) * 3, "yes"), ((0.8,) * 3, "no"), ((0.2,) * 3, "the opposite")]
)
def test_no_worse_has_a_margin(mine, shown: str) -> None:
    comparison = Comparison([*arm("lyrics", mine), *arm("qformer", (0.8, 0.8, 0.8))])
    claim = Claim("no worse", "lyrics", ("qformer",), {}, no_worse=("color",))
    (verdict,) = verdicts(claim, comparison, JUDGED)
    assert verdict.shown == shown


def test_all_rows_hold_together() -> None:
    comparison = Comparison(
        [result for name in ("a", "b", "c") for result in arm(name, (0.6, 0.7, 0.5))]
    )
    alone = comparison.difference("a", "b", MEASURES["color"])
    claim = Claim("better", "a", ("b", "c"), {"color": 1, "kind": 1, "count": 1})
    found = [v.difference for v in verdicts(claim, comparison, JUDGED) if v.difference.defined]
    assert found[0].level == pytest.approx(1 - 0.05 / 6)
    assert found[0].low <= alone.low <= alone.high <= found[0].high


def test_claims_name_arms_and_measures() -> None:
    for claim in CLAIMS.values():
        assert {claim.arm, *claim.against} <= set(ARMS)
        assert set(claim.measures) <= set(JUDGED)
