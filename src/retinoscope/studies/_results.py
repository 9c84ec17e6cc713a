"""`Results`: a finished study, read from its run directory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..store import Json, read_manifest, read_results

if TYPE_CHECKING:
    import pyarrow as pa

EXAMPLES = "examples.json"


@dataclass(frozen=True)
class Results:
    """What a study found. Everything is read from `path`; nothing needs the model.

    `manifest` says what was run, `table` holds one row per sample and condition, `summary()` the
    shares with their intervals, `examples()` a few pictures.
    """

    path: Path

    @cached_property
    def manifest(self) -> dict[str, Json]:
        return read_manifest(self.path)

    @property
    def study(self) -> str:
        """ "ablation", "lens" or "knockout"."""
        return str(self.manifest["study"])

    @cached_property
    def table(self) -> pa.Table:
        """All rows, in the order of the samples.

        Raises:
            InputError: the study is not finished.
        """
        return read_results(self.path)

    def to_frame(self) -> pa.Table:
        """The same as `table`; `.to_pandas()` of it gives a pandas frame."""
        return self.table

    def summary(self) -> pa.Table:
        """One row per condition: the estimate, its 95% interval, its control, its sample size."""
        return self._summary

    @cached_property
    def _summary(self) -> pa.Table:
        # A bootstrap per row takes seconds on a large run, and a report asks more than once.
        return _summaries()[self.study][0](self.table)

    def extras(self) -> dict[str, pa.Table]:
        """Further summaries by name: "baseline" (ablation, knockout), "best_layer" (lens)."""
        return self._extras

    @cached_property
    def _extras(self) -> dict[str, pa.Table]:
        return {name: make(self.table) for name, make in _summaries()[self.study][1].items()}

    def errors(self) -> list[tuple[str, str]]:
        """Sample and message of what failed."""
        samples, errors = self.table["sample"].to_pylist(), self.table["error"].to_pylist()
        return [(s, e) for s, e in zip(samples, errors, strict=True) if e is not None]

    @property
    def n_samples(self) -> int:
        """Samples that were asked about; the others had nothing to ask about (or did not fit)."""
        return len(set(self.table["sample"].to_pylist())) if self.table.num_rows else 0

    def examples(self) -> list[dict[str, Json]]:
        """Pictures for a report; `image` is a file name relative to `path`."""
        file = self.path / EXAMPLES
        return json.loads(file.read_text("utf-8")) if file.exists() else []


def open_results(path: str | Path) -> Results:
    """The results of a finished study.

    Raises:
        InputError: `path` is no run directory of a study, or the study is not finished.
    """
    results = Results(Path(path))
    if results.study not in _summaries():
        raise InputError(
            f"{path} holds a run of {results.study!r}; expected one of {', '.join(_summaries())}"
        )
    _ = results.table
    return results


Summary = Callable[["pa.Table"], "pa.Table"]


def _summaries() -> dict[str, tuple[Summary, dict[str, Summary]]]:
    from ._ablation_summary import baseline, summarise_ablation
    from ._knockout_summary import knockout_baseline, summarise_knockout
    from ._lens_summary import best_layer, summarise_lens

    return {
        "ablation": (summarise_ablation, {"baseline": baseline}),
        "lens": (summarise_lens, {"best_layer": best_layer}),
        "knockout": (summarise_knockout, {"baseline": knockout_baseline}),
    }
