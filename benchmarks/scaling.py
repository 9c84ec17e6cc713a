"""How a study spreads over workers: what is serial, what is not, and docs/scaling.md made of it.

python -m benchmarks.scaling            measures, then writes the page
python -m benchmarks.scaling --page     writes the page from the results that are there
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from jinja2 import StrictUndefined, Template
from PIL import Image

import retinoscope as rs
from retinoscope.data import Object, Sample
from retinoscope.scale import RayWorkers
from retinoscope.sources import open_source
from retinoscope.studies import AttentionKnockout, sample_fingerprint

from ._bench import RESULTS, write_json

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
TEMPLATE = Path(__file__).with_name("scaling.md.jinja")
SCENES, MEASURED, COCO = 60, 30, 118_000
WORKERS = (1, 8, 64)
COSTS = (0.5, 2.0, 10.0)
"""Seconds per image for which the page works out an example."""


def main(argv: Sequence[str] | None = None) -> Path:
    """Returns the path of the page."""
    parser = argparse.ArgumentParser("python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--page", action="store_true", help="only write the page")
    given = parser.parse_args(argv)
    if not given.page:
        found = {
            "benchmark": "scaling",
            "command": "python -m benchmarks.scaling",
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
            "fingerprint_seconds": fingerprint_seconds(),
            "spread": {str(workers): spread_seconds(workers) for workers in (1, 2)},
            "scenes": SCENES,
        }
        write_json(RESULTS / "scaling.json", found)
    PAGE.write_text(page_of(_results()), "utf-8")
    print(PAGE)
    return PAGE


def fingerprint_seconds() -> float:
    """Median seconds to read and fingerprint an image of COCO's size with seven masks."""
    height, width = 480, 640
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    masks = [np.zeros((height, width), bool) for _ in range(7)]
    for place, mask in enumerate(masks):
        mask[40 * place : 40 * place + 100, 60 * place : 60 * place + 120] = True
    objects = tuple(Object("thing", mask, (0.0, 0.0, 1.0, 1.0)) for mask in masks)
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.jpg"
        small.resize((width, height), Image.Resampling.BICUBIC).save(file, quality=90)
        for _ in range(MEASURED):
            start = time.perf_counter()
            with Image.open(file) as image:
                sample_fingerprint(Sample("image", image.convert("RGB"), objects))
            seconds.append(time.perf_counter() - start)
    return median(seconds)


def spread_seconds(workers: int) -> float:
    """Seconds from the first sample that is done to the last, on so many workers of one thread."""
    times: list[float] = []

    def show(done: int, total: int, what: str) -> None:
        if done:
            times.append(time.perf_counter())

    with (
        tempfile.TemporaryDirectory() as folder,
        RayWorkers(
            partial(rs.load, "pocket"),
            partial(open_source, f"scenes:{SCENES}"),
            workers=workers,
            threads=1,
        ) as cluster,
    ):
        study = AttentionKnockout(cluster.model(), rs.data.scenes(SCENES))  # pyright: ignore[reportArgumentType]
        study.run(Path(folder) / "run", show, executor=cluster)
    return times[-1] - times[0]


def _results() -> dict[str, Mapping[str, Any]]:
    names = ("knockouts", "ablations", "lens", "rows", "scaling")
    return {name: json.loads((RESULTS / f"{name}.json").read_text("utf-8")) for name in names}


def page_of(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole page; ends with a newline."""
    scaling, rows = results["scaling"], results["rows"]
    write = rows["steps"]["study and merge"]["cpu_seconds"] / rows["images"]
    costs = {
        "knockout": _seconds(results["knockouts"], 0, "engine, clean run included"),
        "ablation": _seconds(results["ablations"], 1, "engine, clean runs included"),
        "lens": _seconds(results["lens"], 0, "lens"),
    }
    text = TEMPLATE.read_text("utf-8")
    return Template(text, undefined=StrictUndefined, keep_trailing_newline=True).render(
        **costs,
        images=COCO,
        read=scaling["fingerprint_seconds"],
        write=write,
        conditions=rows["conditions"],
        rows=rows["rows"],
        summary=rows["steps"]["summary"]["cpu_seconds"],
        machine=results["knockouts"]["machine"],
        table=_table(sum(costs.values()), write),
        scenes=scaling["scenes"],
        one=scaling["spread"]["1"],
        two=scaling["spread"]["2"],
    )


def _seconds(result: Mapping[str, Any], case: int, way: str) -> float:
    """Of the whole of a benchmark's case on this way."""
    return float(result["cases"][case]["timings"][way]["total"])


def _table(measured: float, write: float) -> str:
    named = [f"{n} workers" if n > 1 else "1 worker" for n in WORKERS]
    header = f"| seconds per image | {' | '.join(named)} | linear up to |"
    lines = [_hours_row(f"{measured:.0f}, measured here", measured, write)]
    lines += [_hours_row(f"{cost:g}", cost, write) for cost in COSTS]
    return "\n".join([header, "|" + " --- |" * (len(WORKERS) + 2), *lines])


def _hours_row(label: str, cost: float, write: float) -> str:
    hours = [max(COCO * cost / n, COCO * write) / 3600 for n in WORKERS]
    listed = " | ".join(f"{one:,.0f} h" if one >= 10 else f"{one:.1f} h" for one in hours)
    return f"| {label} | {listed} | {cost / write:,.0f} workers |"


if __name__ == "__main__":
    main()
