"""A reproduction of Neo et al. 2024: each number beside the paper's, in each mode."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

from ..arguments import checked
from ..curation import Curated
from ..errors import InputError
from ..report.blocks import PAPER, Record, Section
from ..report.rows import pick
from ..report.tables import count, table, text
from ..studies.ablation import section as _ablation
from ..studies.knockout import section as _knockout
from ..studies.lens import section as _lens
from ..studies.report import NOTHING, Report
from ..studies.runs import StudyRun, collect, of_study
from ._differences import Difference, differences, known
from ._measured import Facts
from ._neo2024_tables import lens_numbers, table_1, table_2

PLAN = "reproduce.json"
"""File with the settings of a reproduction and what was left out."""
MODES = ("paper", "corrected")


@checked
def compose_neo2024(folder: str | Path) -> Report:
    """Composes the report of a reproduction from its folder alone.

    Raises:
        InputError: the folder holds no reproduction, or an unfinished or damaged one.
    """
    root = Path(folder)
    facts = _facts(root)
    runs = collect(root)
    by_mode = {mode: of_mode for mode in MODES if (of_mode := _of_mode(runs, mode))}
    lens = of_study(runs, "lens")
    sections = [
        _curation(facts),
        table_1({mode: _Merged(mode, of_mode).summary for mode, of_mode in by_mode.items()}),
        lens_numbers(lens),
        table_2(
            {
                mode: of_mode["knockout"].summary if "knockout" in of_mode else []
                for mode, of_mode in by_mode.items()
            }
        ),
        _differences(facts, runs),
    ]
    # The corrected mode comes first if both were run.
    measured = [_Merged(mode, by_mode[mode]) for mode in reversed(MODES) if mode in by_mode]
    measured = [merged for merged in measured if merged.summary]
    if measured:
        sections.append(_ablation.section(cast("list[StudyRun]", measured)))
    if any(run.summary for run in lens):
        sections.append(_lens.section([run for run in lens if run.summary]))
    cuts = [by_mode[mode].get("knockout") for mode in reversed(MODES) if mode in by_mode]
    cuts = [run for run in cuts if run is not None and run.summary]
    if cuts:
        sections.append(_knockout.section(cuts))
    failures = [(run.place, s, why) for run in runs for s, why in run.results.errors()]
    failures += [(run.place, "all", NOTHING) for run in runs if not run.summary]
    modes = " and ".join(by_mode)
    return Report(
        root,
        runs,
        tuple(sections),
        tuple(failures),
        title="Neo et al. 2024, reproduced",
        lead=(
            f"The experiments of “Towards Interpreting Visual Information Processing in "
            f"Vision-Language Models” on {runs[0].model} ({modes} mode), each number next to "
            f"the paper's where it is known. The paper's numbers are for {PAPER}."
        ),
    )


@checked
def differences_of(folder: str | Path | None) -> tuple[Difference, ...]:
    """Returns every known difference to the released code, measured in a reproduction.

    Args:
        folder: folder of a reproduction; None for the list alone.

    Raises:
        InputError: as `compose_neo2024`.
    """
    if folder is None:
        return known()
    root = Path(folder)
    return differences(_facts(root), collect(root))


def _facts(root: Path) -> Facts:
    try:
        plan = json.loads((root / PLAN).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"expected a reproduction, but {root / PLAN} cannot be read ({type(error).__name__}): "
            "give the folder that retinoscope reproduce wrote with --out"
        ) from error
    folder = root / "curation"
    files = sorted(folder.rglob("curation.json"))
    curated = {file.parent.relative_to(folder).as_posix(): Curated.load(file) for file in files}
    order = [f"{mode}/{kind}" for mode in MODES for kind in ("objects", "questions")]
    names = sorted(curated, key=lambda name: (name not in order, (*order, name).index(name)))
    return Facts(root, plan, {name: curated[name] for name in names})


def _of_mode(runs: Sequence[StudyRun], mode: str) -> dict[str, StudyRun]:
    """Returns the runs of one mode by their subject: captions, questions, knockout."""
    of_mode = {}
    for run in runs:
        kind, _, name = run.place.partition("/")
        if kind == mode:
            of_mode[name] = run
    return of_mode


@dataclass(frozen=True)
class _Merged:
    """The two ablation runs of one mode, merged under that mode's rules."""

    mode: str
    runs: dict[str, StudyRun]

    @property
    def label(self) -> str:
        return f"{next(iter(self.runs.values())).model}, {self.mode} mode"

    @cached_property
    def summary(self) -> list[Record]:
        parts = [self.runs[name] for name in ("captions", "questions") if name in self.runs]
        return [row for run in parts for row in pick(run.summary, mode=self.mode)]

    @property
    def incomplete(self) -> tuple[int, int]:
        parts = [
            self.runs[name].incomplete for name in ("captions", "questions") if name in self.runs
        ]
        return sum(count for count, _ in parts), sum(every for _, every in parts)

    def extra(self, name: str) -> list[Record]:
        parts = [self.runs[part] for part in ("captions", "questions") if part in self.runs]
        return [row for run in parts for row in run.extra(name)]


def _curation(facts: Facts) -> Section:
    tables = []
    sentences = [f"{name}: left out. {why}." for name, why in facts.notes.items()]
    for name, curated in facts.curated.items():
        stopped = curated.limit is not None and len(curated.kept) >= curated.limit
        more = f", stopped at {curated.limit} kept" if stopped else ""
        tables.append(
            table(
                f"curation-{name.replace('/', '-')}",
                f"{name}: {curated.examined} of {curated.data['samples']} images of "
                f"{curated.data['name']} examined{more}.",
                [asdict(counted) for counted in curated.counts],
                (text("text", "left after"), count("images"), count("objects")),
            )
        )
    return Section(
        key="curation",
        title="Which images: curation",
        question="The filters in order, and how much each one keeps. There are three sets, as in "
        "the paper: for captions and yes/no questions, for open questions, and for the lens.",
        sentences=tuple(sentences),
        tables=tuple(tables),
        notes=(
            "In the paper 4,318 images of COCO's training images pass the filters of area and "
            "number of annotations; how many pass all filters is not known. Its lens set has 170 "
            "validation images with an object of 20,000 to 30,000 pixels.",
        ),
    )


def _differences(facts: Facts, runs: Sequence[StudyRun]) -> Section:
    known_differences = differences(facts, runs)
    return Section(
        key="differences",
        title="Paper mode and corrected mode",
        question="Every known difference between the released code and the corrected rules, and "
        "what it does to the result.",
        sentences=tuple(f"{one.what}: {one.measured}" for one in known_differences if one.measured),
        tables=(
            table(
                "neo2024-differences",
                "Known differences. “Not in either mode” marks what the released code does and "
                "paper mode does not repeat. The measurements on small models come from python -m "
                "benchmarks.differences.",
                [asdict(one) for one in known_differences],
                (
                    text("what"),
                    text("paper", "released code"),
                    text("corrected"),
                    text("effect", "what it does"),
                    text("on_small_models", "measured on small models", {"": "nothing to measure"}),
                    text("measured", "measured in this run", {"": "not measured here"}),
                ),
            ),
        ),
    )
