"""What each difference between the released code of Neo et al. 2024 and corrected rules does.

Those that a reproduction measures come from one on pocket and drawn scenes, the others from
measurements of their own, on pocket, on random LLaVAs and on drawn outlines. Prints a table in
Markdown and writes what the report shows beside each difference.

    python -m benchmarks.differences
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from retinoscope.data import scenes
from retinoscope.reproduce import (
    DIFFERENCES,
    Difference,
    OpenedData,
    ReproductionPlan,
    differences_of,
    neo2024,
)

from . import _effects_data, _effects_edges, _effects_sets
from ._effects import Bench

EFFECTS: Mapping[str, Callable[[Bench], str]] = {
    "Caption: when an object counts as named": _effects_data.caption_rule,
    "Question: when an answer is right": _effects_data.question_rule,
    "Question: how many of an image": _effects_data.first_question,
    "Curation: the area": _effects_data.stated_area,
    "Curation: an object without a patch": _effects_data.patchless,
    "Curation: what the hallucination filter replaces": _effects_data.replaced_pixels,
    "Which tokens are the object's": _effects_data.which_tokens,
    "Integrated gradients: the target": _effects_sets.gradient_target,
    "Integrated gradients: the prompt of questions": _effects_sets.gradient_prompt,
    "Integrated gradients: the sum": _effects_sets.gradient_sum,
    "Integrated gradients: the baseline": _effects_sets.gradient_baseline,
    "Random sets": _effects_sets.random_draws,
    "The mean visual token": _effects_sets.mean_token,
    "Knockout: towards the last row": _effects_edges.last_row,
    "Knockout: probability": _effects_edges.probability_drop,
    "Knockout: the mask": _effects_edges.false_in_mask,
    "Lens: the last layer": _effects_edges.normed_twice,
}
"""By name of the difference, as `retinoscope.report` has it."""

POCKET = ReproductionPlan(
    min_area=200,
    max_area=2500,
    lens_min_area=500,
    lens_max_area=6000,
    limit=16,
    sizes=(5, 10, 20, 40),
    gradient_steps=10,
    caption_tokens=40,
)
"""The reproduction that docs/reproduce.md shows, on 60 scenes."""


def main(argv: Sequence[str] | None = None) -> Path:
    """Measures, prints, and returns the path of what was written."""
    parser = argparse.ArgumentParser("python -m benchmarks.differences", description=__doc__)
    parser.add_argument("--scenes", type=int, default=16, help="for the single measurements")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=Path, help="folder of the runs; by default a temporary one")
    parser.add_argument("--out", type=Path, default=DIFFERENCES)
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    with TemporaryDirectory() as temporary:
        folder = given.runs or Path(temporary)
        bench = Bench(given.scenes)
        found = reproduced(bench, folder / "neo2024")
        for name, measure in EFFECTS.items():
            found[name] = measure(bench)
    content = json.loads(DIFFERENCES.read_text("utf-8"))
    for name, texts in content.items():
        texts["on_small_models"] = found.get(name, "")
    given.out.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(table(differences_of(None), found))
    return given.out


def reproduced(bench: Bench, out: Path) -> dict[str, str]:
    """What the reproduction on pocket measures."""
    neo2024(bench.pocket, OpenedData(partial(scenes, 60)), out, POCKET).write()
    return {
        one.what: f"pocket, reproduced: {one.measured}"
        for one in differences_of(out)
        if one.measured
    }


def table(differences: Sequence[Difference], found: Mapping[str, str]) -> str:
    """Every difference and what was measured of it, as Markdown."""
    lines = ["| difference | measured on small models |", "|---|---|"]
    lines += [f"| {one.what} | {found.get(one.what, one.effect)} |" for one in differences]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
