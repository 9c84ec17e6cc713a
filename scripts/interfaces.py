"""The tables of docs/interfaces.md, from committed results.

python -m scripts.interfaces             of `retinoscope train interface`
python -m scripts.interfaces RUN         first takes over the run RUN of `retinoscope interfaces`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

import retinoscope as rs
from retinoscope.interfaces import WEIGHTS
from retinoscope.recipes.comparison import Comparison, read_comparison
from retinoscope.recipes.interfaces import (
    ARMS,
    CLAIMS,
    JUDGED,
    MEASURES,
    MECHANISM,
    OF_ATTENTION,
    OF_RECONSTRUCTION,
    OF_REFINERS,
    OF_RETRIEVAL,
    RATIOS,
    STATE_ARMS,
    SYSTEMS,
    gap_table,
    of_completion,
)

from .api_reference import ROOT
from .result_pages import (
    NOT_YET,
    Written,
    arms_with,
    change,
    interval,
    measured,
    page,
    shares,
    table_of,
    verdict_table,
)

RESULTS = ROOT / "benchmarks" / "results" / "interfaces"
STUDY = "study.json"
PAGE = ROOT / "docs" / "interfaces.md"


def _differences(arm: str) -> Written:
    """The arm's controls in columns, measures in rows."""

    def table(comparison: Comparison) -> str:
        others = [o for o in ARMS[arm].against if comparison.shared_seeds(arm, o)]
        if not others:
            return NOT_YET
        seeds = [str(len(comparison.shared_seeds(arm, other))) for other in others]
        rows = [
            ["seeds", *seeds],
            *(
                [m.title, *(change(comparison.difference(arm, other, m)) for other in others)]
                for m in MEASURES.values()
            ),
        ]
        return table_of([f"`{arm}` against", *(f"`{other}`" for other in others)], rows)

    return table


def _completion(comparison: Comparison) -> str:
    """What the same scene's partner adds to another's, by the share that is hidden."""
    rows = []
    for arm in arms_with(comparison, "completion"):
        for modality in ("image", "text"):
            pairs = [
                [of_completion(modality, ratio, partner) for partner in ("same", "another")]
                for ratio in RATIOS
            ]
            gains = [change(comparison.difference(arm, arm, *pair)) for pair in pairs]
            shares = [f"{100 * comparison.share(arm, pair[0]).value:.0f}" for pair in pairs]
            cells = [f"{share}; {gain}" for share, gain in zip(shares, gains, strict=True)]
            rows.append([f"`{arm}`", modality, *cells])
    return table_of(["arm", "hidden", *(f"{100 * ratio:.0f}%" for ratio in RATIOS)], rows)


def _attention(comparison: Comparison) -> str:
    head = ["arm", *(measure.title for measure in OF_ATTENTION.values()), "own - other objects"]
    own, other = OF_ATTENTION["inside"], OF_ATTENTION["inside_another"]
    rows = [
        [
            f"`{arm}`",
            *(interval(comparison.share(arm, measure), 1) for measure in OF_ATTENTION.values()),
            change(comparison.difference(arm, arm, own, other), 1),
        ]
        for arm in arms_with(comparison, "attention")
    ]
    return table_of(head, rows)


def _reconstruction(comparison: Comparison) -> str:
    head = ["arm", *(m.title for m in OF_RECONSTRUCTION.values()), "other - own", "alone - own"]
    own = OF_RECONSTRUCTION["own"]
    rows = [
        [
            f"`{arm}`",
            *(interval(comparison.share(arm, m), 2) for m in OF_RECONSTRUCTION.values()),
            *(
                change(comparison.difference(arm, arm, OF_RECONSTRUCTION[name], own), 2)
                for name in ("other", "alone")
            ),
        ]
        for arm in arms_with(comparison, "reconstruction")
    ]
    return table_of(head, rows)


def _towers(comparison: Comparison) -> str:
    """What the packaged towers know; nothing of it depends on the arms."""
    gate = json.loads((WEIGHTS / "towers.json").read_text("utf-8"))["gate"]
    names = ("contrastive", "mae", "start", "untrained")
    rows = []
    for probe in gate["probes"].values():
        towers = [_three(probe["towers"][name]) for name in names if name in probe["towers"]]
        rows.append([probe["what"], *towers, _three(probe["mae - contrastive"], "+")])
    return table_of(["in linear form", *names, "mae - contrastive"], rows)


def _three(values: Sequence[float], sign: str = "") -> str:
    value, low, high = (f"{number:{sign}.2f}" for number in values)
    return f"{value} ({low} to {high})"


def _mechanism(comparison: Comparison) -> str:
    file = comparison.folder / MECHANISM
    table = gap_table(pl.read_parquet(file)) if file.is_file() else pl.DataFrame()
    rows = []
    for row in table.iter_rows(named=True):
        gaps = [
            " to ".join(f"{100 * row[f'{gap} {end}']:+.2f}" for end in ("low", "high"))
            for gap in ("other - own", "alone - own")
        ]
        rows.append(
            [
                f"{100 * row['hidden']:.0f}%",
                "yes" if row["residual"] else "no",
                row["norm"],
                row["weighting"],
                *(f"{100 * row[name]:.2f}" for name in ("own", "other", "alone")),
                *(
                    f"{100 * row[gap]:+.2f} ({ends})"
                    for gap, ends in zip(("other - own", "alone - own"), gaps, strict=True)
                ),
            ]
        )
    if not rows:
        return NOT_YET
    head = ["hidden", "residual", "norm", "weights", "own", "other", "alone"]
    return table_of([*head, "other - own", "alone - own"], rows)


def take_over(run: Path, file: Path = RESULTS / STUDY) -> None:
    """Writes what the page needs of a run: of each interface, its audit and three experiments."""
    results = rs.studies.open_results(run)
    tables = {name: table.to_pylist() for name, table in results.extras().items()}
    rows: dict[str, dict[str, list[float]]] = {}
    for row in tables["audit"]:
        rows.setdefault(row["interface"], {})["auc"] = _ends(row, "auc")
    for row in tables["edits"]:
        if row["token_set"] in ("changed", "random") and row["window"] in (None, "all"):
            name = f"{row['edit']}-{row['token_set']}"
            rows[row["interface"]][name] = _ends(row, "lost")
            if row["token_set"] == "changed":
                rows[row["interface"]][f"{row['edit']}-p"] = [row["difference_p_corrected"]]
    for row in tables["words"]:
        if (row["word"], row["measure"], row["token_set"]) == ("name", "top1", "changed"):
            rows[row["interface"]] |= {
                "words-changed": _ends(row, "value"),
                "words-random": _ends(row, "control"),
                "words-p": [row["difference_p"]],
            }
    told = {"n_samples": results.n_samples, "interfaces": rows}
    file.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def _ends(row: Mapping[str, Any], name: str) -> list[float]:
    return [row[name], row[f"{name}_low"], row[f"{name}_high"]]


def _study(comparison: Comparison) -> str:
    file = comparison.folder / STUDY
    found = json.loads(file.read_text("utf-8"))["interfaces"] if file.is_file() else {}
    rows = []
    for name, told in found.items():
        row = [f"`{name}`", _three(told["auc"])]
        for experiment in ("ablation", "words", "knockout"):
            own, random = (told[f"{experiment}-{which}"] for which in ("changed", "random"))
            p = told[f"{experiment}-p"][0]
            text = f"{_percent(own)}; {_percent(random)}"
            row.append(f"**{text}**" if p < 0.05 else text)
        rows.append(row)
    head = ["interface", "AUC of the declared origin", "answers lost: tokens replaced"]
    return table_of([*head, "tokens that say the name", "answers lost: hidden from the last"], rows)


def _percent(values: Sequence[float]) -> str:
    value, low, high = (f"{100 * number:.0f}" for number in values)
    return f"{value} ({low} to {high})"


def _arms(comparison: Comparison) -> str:
    rows = [
        [f"`{name}`", arm.what, ", ".join(f"`{other}`" for other in arm.against)]
        for name, arm in STATE_ARMS.items()
    ]
    return table_of(["arm", "what it is", "compared with"], rows)


def _cost(comparison: Comparison) -> str:
    rows = []
    for arm in comparison.arms:
        seconds = [result.facts["seconds"] / 60 for result in comparison.results(arm)]
        few, many = f"{min(seconds):.0f}", f"{max(seconds):.0f}"
        rows.append([f"`{arm}`", few if few == many else f"{few} to {many}"])
    return table_of(["arm", "minutes"], rows)


TABLES: dict[str, Written] = {
    "towers": _towers,
    "mechanism": _mechanism,
    "study": _study,
    "arms": _arms,
    "shares": shares(SYSTEMS, MEASURES),
    "cost": _cost,
    "refiners": measured(OF_REFINERS),
    "retrieval": measured(OF_RETRIEVAL),
    "completion": _completion,
    "attention": _attention,
    "reconstruction": _reconstruction,
    **{f"claim-{system}": verdict_table(claim, JUDGED) for system, claim in CLAIMS.items()},
    **{
        f"differences-{arm}": _differences(arm)
        for arm in ("lyrics", "lyrics-withheld", "lyrics-false", "scl", "x-former")
    },
}
"""Name -> table."""


def main(runs: Sequence[str]) -> None:
    """Takes over a run, if one is given, and writes the tables into the page."""
    for run in runs:
        take_over(Path(run))
    PAGE.write_text(page(PAGE.read_text("utf-8"), read_comparison(RESULTS), TABLES), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
